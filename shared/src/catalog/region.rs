//! The region of an address.

use super::model::UNKNOWN;

/// Short name of each of the 17 provinces and metropolitan cities, and its other names.
const NAMES: [(&str, &[&str]); 17] = [
    ("서울", &["서울특별시", "서울시"]),
    ("부산", &["부산광역시", "부산시"]),
    ("대구", &["대구광역시", "대구시"]),
    ("인천", &["인천광역시", "인천시"]),
    // Not 광주시, which is a city of 경기도.
    ("광주", &["광주광역시"]),
    ("대전", &["대전광역시", "대전시"]),
    ("울산", &["울산광역시", "울산시"]),
    ("세종", &["세종특별자치시", "세종시"]),
    ("경기", &["경기도"]),
    ("강원", &["강원특별자치도", "강원도"]),
    ("충북", &["충청북도"]),
    ("충남", &["충청남도"]),
    ("전북", &["전북특별자치도", "전라북도"]),
    ("전남", &["전라남도"]),
    ("경북", &["경상북도"]),
    ("경남", &["경상남도"]),
    ("제주", &["제주특별자치도", "제주도", "제주시"]),
];

/// The region of a Korean address: the short name of the province or metropolitan city with which it begins, after the
/// country and the postal code if it has them; else [`UNKNOWN`].
pub fn region_of(address: &str) -> &'static str {
    let is_postal_code = |word: &str| word.chars().all(|c| c.is_ascii_digit() || "()[]-,".contains(c));
    let first = address.split_whitespace().find(|word| *word != "대한민국" && !is_postal_code(word));
    let first = first.unwrap_or_default().trim_end_matches(',');
    // The space after an official name is often left out, but a street may begin with the short name.
    let is_of = |(short, long): &&(&str, &[&str])| first == *short || long.iter().any(|name| first.starts_with(name));
    NAMES.iter().find(is_of).map_or(UNKNOWN, |(short, _)| *short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::population::REGIONS;

    #[test]
    fn an_address_begins_with_the_short_or_an_official_name_of_its_region() {
        for (address, region) in [
            ("서울 강남구 테헤란로 1", "서울"),
            ("서울특별시 종로구", "서울"),
            ("서울특별시종로구", "서울"),
            ("06236 서울시 강남구", "서울"),
            ("(06236) 대한민국 부산광역시, 해운대구", "부산"),
            ("경기도 광주시 오포읍", "경기"),
            ("광주 북구", "광주"),
            ("전북특별자치도 전주시", "전북"),
            ("전라북도 전주시", "전북"),
            ("강원도 춘천시", "강원"),
            ("세종특별자치시", "세종"),
            ("제주시 연동", "제주"),
            ("", UNKNOWN),
            ("광주시 오포읍", UNKNOWN),
            ("Berlin", UNKNOWN),
            ("서울숲길 1", UNKNOWN),
        ] {
            assert_eq!(region_of(address), region, "{address}");
        }
    }

    #[test]
    fn every_region_of_the_synthetic_users_is_known() {
        for (_, region) in REGIONS {
            assert_eq!(region_of(region), region);
        }
        for (short, long) in NAMES {
            assert!(long.iter().all(|name| region_of(name) == short), "{short}");
        }
    }
}
