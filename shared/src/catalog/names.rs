//! Korean names, which the crate `fake` does not have.
//!
//! The given names are common ones of each generation. A given name that makes the name of a famous person together
//! with one of the surnames is left out. Some of the most common ones (지훈, 정숙, 민호) are therefore missing.

use std::sync::LazyLock;

use super::weighted::Weighted;

/// Gender of a synthetic user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// `M`
    Man,
    /// `F`
    Woman,
}

impl Gender {
    /// Both, each with half of the population.
    pub const BOTH: [Self; 2] = [Self::Man, Self::Woman];

    /// The value of the column: `M` or `F`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Man => "M",
            Self::Woman => "F",
        }
    }
}

/// The 40 most common surnames, weighted by thousands of people. Source: Statistics Korea, census of 2015, approximate.
/// Surnames that differ only in their Chinese characters (鄭 and 丁, 林 and 任) are one row.
pub const SURNAMES: [(u32, &str); 40] = [
    (10_690, "김"),
    (7_307, "이"),
    (4_192, "박"),
    (2_408, "정"),
    (2_334, "최"),
    (1_454, "조"),
    (1_265, "강"),
    (1_021, "윤"),
    (1_020, "장"),
    (1_015, "임"),
    (1_010, "유"),
    (975, "신"),
    (773, "한"),
    (763, "오"),
    (752, "서"),
    (750, "전"),
    (706, "권"),
    (697, "황"),
    (686, "안"),
    (683, "송"),
    (559, "홍"),
    (519, "양"),
    (471, "고"),
    (464, "문"),
    (457, "손"),
    (401, "배"),
    (382, "백"),
    (327, "허"),
    (316, "노"),
    (276, "남"),
    (272, "심"),
    (230, "하"),
    (216, "주"),
    (203, "곽"),
    (203, "구"),
    (199, "성"),
    (195, "차"),
    (195, "우"),
    (172, "민"),
    (113, "류"),
];

/// [`SURNAMES`] as a table to draw from.
pub static SURNAME: LazyLock<Weighted<&str>> = LazyLock::new(|| Weighted::new(&SURNAMES));

/// The given names of people born in year `born`, all with the same weight. Chosen from the most common names by year
/// of birth that the Supreme Court of Korea publishes from the family register.
pub fn given_names(gender: Gender, born: i32) -> &'static [&'static str] {
    match (gender, born) {
        (Gender::Man, ..1950) => &MEN_BEFORE_1950,
        (Gender::Man, ..1970) => &MEN_1950_TO_1969,
        (Gender::Man, ..1990) => &MEN_1970_TO_1989,
        (Gender::Man, ..2000) => &MEN_1990_TO_1999,
        (Gender::Man, _) => &MEN_SINCE_2000,
        (Gender::Woman, ..1950) => &WOMEN_BEFORE_1950,
        (Gender::Woman, ..1970) => &WOMEN_1950_TO_1969,
        (Gender::Woman, ..1990) => &WOMEN_1970_TO_1989,
        (Gender::Woman, ..2000) => &WOMEN_1990_TO_1999,
        (Gender::Woman, _) => &WOMEN_SINCE_2000,
    }
}

const MEN_BEFORE_1950: [&str; 28] = [
    "영수", "영호", "영식", "정웅", "정남", "종수", "성수", "춘식", "창수", "기철", "순철", "재섭", "봉수", "태식",
    "정식", "영환", "종식", "학수", "판수", "인수", "진수", "기식", "규철", "두호", "재구", "성길", "남수", "호식",
];
const MEN_1950_TO_1969: [&str; 30] = [
    "영호", "영식", "정호", "병수", "종호", "광호", "명호", "동수", "용호", "기호", "성식", "용식", "병식", "석호",
    "윤식", "성환", "광식", "순호", "천식", "재근", "정규", "규식", "기수", "재식", "종만", "상길", "윤수", "종태",
    "병태", "흥식",
];
const MEN_1970_TO_1989: [&str; 26] = [
    "정훈", "성훈", "상훈", "성민", "동현", "민수", "진우", "상현", "영훈", "태훈", "종훈", "경훈", "병훈", "형준",
    "성준", "기훈", "성현", "준형", "민규", "형석", "창훈", "대현", "원석", "태영", "진수", "영재",
];
const MEN_1990_TO_1999: [&str; 26] = [
    "동현", "성민", "민수", "재민", "승민", "현준", "성현", "지환", "민규", "준혁", "용현", "현민", "영민", "재원",
    "민혁", "윤성", "동하", "현성", "규민", "세현", "석준", "민우", "재윤", "영준", "형민", "상윤",
];
const MEN_SINCE_2000: [&str; 28] = [
    "민준", "준서", "예준", "시우", "도윤", "민성", "준우", "현준", "지환", "유준", "연우", "지후", "선우", "준혁",
    "재윤", "시현", "윤우", "수호", "유찬", "은찬", "태윤", "예성", "승민", "윤재", "도하", "재하", "한결", "강민",
];
const WOMEN_BEFORE_1950: [&str; 27] = [
    "정자", "춘자", "경자", "옥자", "명자", "화자", "영순", "정순", "말순", "복순", "금순", "순희", "옥순", "길순",
    "봉순", "순옥", "옥희", "필순", "분순", "점순", "길자", "숙자", "복자", "순례", "춘희", "금자", "연순",
];
const WOMEN_1950_TO_1969: [&str; 28] = [
    "영숙", "미숙", "인숙", "옥희", "금숙", "선자", "애숙", "정옥", "미정", "경옥", "순영", "춘희", "성숙", "종숙",
    "연숙", "경란", "병숙", "남숙", "윤숙", "경순", "말숙", "향숙", "동숙", "명옥", "명순", "정임", "순임", "미옥",
];
const WOMEN_1970_TO_1989: [&str; 30] = [
    "미영", "경아", "혜정", "정아", "진아", "은미", "주희", "현미", "미정", "정미", "연주", "경진", "효정", "혜원",
    "문정", "윤경", "주연", "현경", "선주", "선경", "유경", "명진", "은실", "혜란", "정란", "세진", "경은", "주은",
    "혜인", "영주",
];
const WOMEN_1990_TO_1999: [&str; 28] = [
    "다은", "하은", "혜린", "소정", "현지", "세은", "혜지", "다영", "은솔", "윤지", "연지", "다정", "지예", "혜빈",
    "유림", "희수", "예솔", "예나", "채은", "승아", "승희", "나현", "수아", "주은", "유경", "은별", "가람", "혜림",
];
const WOMEN_SINCE_2000: [&str; 30] = [
    "서연", "민서", "서현", "서윤", "윤서", "수아", "지유", "하은", "소율", "유주", "채은", "서영", "예서", "하린",
    "아린", "지율", "서아", "주아", "유하", "로아", "하율", "소윤", "예빈", "나윤", "서하", "가현", "하연", "지안",
    "채윤", "보민",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Famous people whose names could be made from common surnames and given names.
    const FAMOUS_NAMES: &str = "
        강감찬 강경애 강수진 강호동 고현정 공지영 권상우 권양숙 김건희 김경수 김고은 김광현 김구 김대중 김문수 김민석
        김민재 김수현 김연아 김영삼 김영철 김일성 김정숙 김정은 김정일 김태희 김현수 김혜경 김혜수 나경원 노무현 노태우
        류현진 문가영 문재인 박근혜 박명수 박보영 박서준 박정희 박종철 박지민 박지성 박찬욱 박찬호 박태준 배용준 백건우
        백종원 손예진 손흥민 송강호 송영길 송중기 송창식 송하윤 송혜교 신경숙 안정환 안중근 안철수 오세훈 오은영 유관순
        유승호 유재석 유현서 윤동주 윤석열 윤은혜 이강인 이건희 이광수 이낙연 이만수 이명박 이명희 이미연 이미자 이민호
        이병철 이병헌 이선희 이순신 이순자 이승기 이승만 이영애 이영자 이재명 이재용 이정재 이준석 이준호 이지아 이지은
        이창호 장동건 장미란 장윤정 장하준 전두환 전지현 정우성 정주영 정준영 정지훈 조국 조성진 조수미 조현우 주지훈
        차범근 차은우 차태현 최규하 최인호 최지우 하정우 하지원 한강 한덕수 한동훈 한명숙 한지민 홍준표 황교안 황정민
        황희찬";

    #[test]
    fn no_name_is_that_of_a_famous_person() {
        let famous: HashSet<_> = FAMOUS_NAMES.split_whitespace().collect();
        for gender in Gender::BOTH {
            for given_name in (1930..2015).step_by(5).flat_map(|born| given_names(gender, born)) {
                for (_, surname) in &SURNAMES {
                    let name = format!("{surname}{given_name}");
                    assert!(!famous.contains(name.as_str()), "{name}");
                }
            }
        }
    }

    #[test]
    fn old_and_young_people_have_different_names() {
        for gender in Gender::BOTH {
            let (old, young) = (given_names(gender, 1940), given_names(gender, 2005));
            assert!(old.iter().all(|name| !young.contains(name)));
        }
    }

    #[test]
    fn no_name_is_twice_in_its_table() {
        for gender in Gender::BOTH {
            for born in [1940, 1960, 1980, 1995, 2005] {
                let mut names = given_names(gender, born).to_vec();
                names.sort_unstable();
                assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{gender:?}, born {born}");
            }
        }
    }
}
