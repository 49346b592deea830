//! The categories of products, and the words and prices of the products of each.

/// A category: the words that its products' names are made of, and their prices.
pub struct CategoryTemplate {
    /// Name of the category, at most 50 characters.
    pub name: &'static str,
    /// Lowest list price in won: a multiple of 10, from 10,000 on of 100.
    pub min_price: i32,
    /// Highest list price in won: a multiple of 100, below 5,000,000.
    pub max_price: i32,
    /// Fictional brands. First word of a product's name.
    pub brands: &'static [&'static str],
    /// Second word of a product's name.
    pub adjectives: &'static [&'static str],
    /// Third word of a product's name: what the product is.
    pub nouns: &'static [&'static str],
    /// Last word of a product's name: size, colour or pack.
    pub variants: &'static [&'static str],
}

/// The categories, weighted by their share of the products in percent. The shares are fictional.
// rustfmt would put each of the longer words on a line of its own.
#[rustfmt::skip]
pub const CATEGORIES: [(u32, CategoryTemplate); 12] = [
    (
        18,
        CategoryTemplate {
            name: "식품",
            min_price: 1_500,
            max_price: 90_000,
            brands: &["온새뜰찬", "두레뫼곳간", "햇누리담", "소담윤슬", "달그린들", "바른새찬", "너른결농장"],
            adjectives: &[
                "국내산", "무농약", "갓 수확한", "저온숙성", "무첨가", "매콤한", "담백한", "고소한", "산지직송",
            ],
            nouns: &[
                "현미", "사과", "감귤", "한우 불고기", "고등어 순살", "포기김치", "들기름", "된장", "누룽지",
                "견과 믹스", "만두", "떡볶이", "두유", "꿀", "건표고", "미역국",
            ],
            variants: &["500g", "1kg", "2kg", "3팩", "5입", "10개입", "선물세트"],
        },
    ),
    (
        15,
        CategoryTemplate {
            name: "패션의류",
            min_price: 9_900,
            max_price: 450_000,
            brands: &["루멘데이아", "모노벨린", "어반로웬", "슬로네아", "하루결웨어", "노르딘느", "베르칸토"],
            adjectives: &["오버핏", "슬림핏", "베이직", "빈티지", "경량", "기모", "스트라이프", "린넨", "와이드"],
            nouns: &[
                "셔츠", "티셔츠", "니트", "가디건", "맨투맨", "후드집업", "청바지", "슬랙스", "스커트", "원피스",
                "트렌치코트", "패딩", "블레이저", "조거팬츠", "블라우스",
            ],
            variants: &["블랙 S", "블랙 M", "블랙 L", "아이보리 S", "아이보리 M", "네이비 M", "네이비 L", "그레이 XL"],
        },
    ),
    (
        9,
        CategoryTemplate {
            name: "패션잡화",
            min_price: 5_900,
            max_price: 600_000,
            brands: &["카르벨로나", "온느메종드", "피에라토", "담비결가죽", "오르네티아", "스텔바인"],
            adjectives: &["소가죽", "데일리", "미니", "클래식", "방수", "수제", "가벼운", "퀼팅"],
            nouns: &[
                "크로스백", "숄더백", "백팩", "토트백", "반지갑", "카드지갑", "벨트", "스니커즈", "로퍼", "첼시부츠",
                "샌들", "볼캡", "머플러", "손목시계", "선글라스",
            ],
            variants: &["블랙", "브라운", "베이지", "카키", "버건디", "네이비"],
        },
    ),
    (
        11,
        CategoryTemplate {
            name: "뷰티",
            min_price: 3_000,
            max_price: 250_000,
            brands: &["윤결하온", "셀로니아랩", "라피네온", "물빛소루", "더마누엘르", "꽃누리담아"],
            adjectives: &["수분", "진정", "저자극", "비건", "탄력", "미백", "촉촉한", "산뜻한"],
            nouns: &[
                "토너", "세럼", "앰플", "수분크림", "선크림", "클렌징폼", "마스크팩", "립밤", "립틴트", "쿠션",
                "아이섀도", "샴푸", "헤어에센스", "바디로션", "핸드크림",
            ],
            variants: &["30ml", "50ml", "150ml", "300ml", "1+1", "리필", "기획세트"],
        },
    ),
    (
        12,
        CategoryTemplate {
            name: "생활용품",
            min_price: 1_000,
            max_price: 80_000,
            brands: &["맑은채움결", "하얀모락", "살림누비", "에코두레온", "보송나루", "깔끔마루집"],
            adjectives: &["대용량", "무형광", "항균", "친환경", "고농축", "도톰한", "휴대용", "무향"],
            nouns: &[
                "화장지", "물티슈", "세탁세제", "섬유유연제", "주방세제", "칫솔", "치약", "비누", "수건", "고무장갑",
                "쓰레기봉투", "수납함", "옷걸이", "방향제", "건전지",
            ],
            variants: &["1개", "3개입", "5개입", "10개입", "30롤", "2.5L", "리필 3팩"],
        },
    ),
    (
        8,
        CategoryTemplate {
            name: "주방용품",
            min_price: 2_500,
            max_price: 350_000,
            brands: &["담은솥가", "쿠에르나", "온기그릇방", "메종드솔뫼", "나무결부엌", "스틸로렌"],
            adjectives: &["스테인리스", "인덕션용", "내열", "실리콘", "원목", "코팅", "접이식", "손잡이 분리형"],
            nouns: &[
                "프라이팬", "냄비", "뚝배기", "도마", "식칼", "밀폐용기", "텀블러", "머그컵", "수저세트", "접시",
                "국자", "주전자", "도시락", "찜기", "에어프라이어 용기",
            ],
            variants: &["소", "중", "대", "2종 세트", "4종 세트", "24cm", "28cm"],
        },
    ),
    (
        3,
        CategoryTemplate {
            name: "대형가전",
            min_price: 290_000,
            max_price: 4_900_000,
            brands: &["하이렌토", "코르비전자", "누리온가전", "벨루스텍", "아크로윈드"],
            adjectives: &["인버터", "절전형", "빌트인", "무소음", "스마트", "1등급", "슬림형"],
            nouns: &[
                "양문형 냉장고", "김치냉장고", "드럼세탁기", "건조기", "식기세척기", "벽걸이 에어컨", "스탠드 에어컨",
                "TV", "의류관리기",
            ],
            variants: &["화이트", "실버", "베이지", "그라파이트", "2025년형", "2026년형"],
        },
    ),
    (
        7,
        CategoryTemplate {
            name: "가전디지털",
            min_price: 9_900,
            max_price: 1_900_000,
            brands: &["픽셀로아", "넥스비아", "소닉마렌", "큐브린텍", "테라노드원", "루미트론즈"],
            adjectives: &["무선", "고속", "휴대용", "게이밍", "초경량", "노이즈캔슬링", "저소음", "USB-C"],
            nouns: &[
                "이어폰", "헤드폰", "블루투스 스피커", "키보드", "마우스", "모니터", "노트북", "태블릿", "보조배터리",
                "충전기", "웹캠", "외장 SSD", "공유기", "스마트워치", "선풍기", "가습기", "로봇청소기",
            ],
            variants: &["블랙", "화이트", "그레이", "블루", "2세대", "프로"],
        },
    ),
    (
        5,
        CategoryTemplate {
            name: "가구인테리어",
            min_price: 7_900,
            max_price: 2_900_000,
            brands: &["나린목공소", "하움살롱", "오크레아", "포근마루방", "리빙솔렌", "여백가옥"],
            adjectives: &["원목", "북유럽풍", "모던", "접이식", "높이조절", "패브릭", "미니멀", "수납형"],
            nouns: &[
                "책상", "의자", "소파", "침대 프레임", "매트리스", "책장", "옷장", "식탁", "협탁", "스탠드 조명",
                "커튼", "러그", "거울", "선반",
            ],
            variants: &["오크", "월넛", "화이트", "그레이", "1인용", "2인용", "4인용"],
        },
    ),
    (
        5,
        CategoryTemplate {
            name: "스포츠레저",
            min_price: 4_900,
            max_price: 1_500_000,
            brands: &["바람재아웃도어", "에버트리안", "런웨이브즈", "뫼오름기어", "캠프누아", "스윙마레"],
            adjectives: &["초경량", "방수", "통기성", "미끄럼방지", "접이식", "전문가용", "입문용", "보온"],
            nouns: &[
                "텐트", "침낭", "캠핑의자", "등산스틱", "등산화", "러닝화", "요가매트", "덤벨", "자전거 헬멧", "수영복",
                "배드민턴 라켓", "골프장갑", "낚싯대", "폼롤러",
            ],
            variants: &["블랙", "네이비", "레드", "카키", "M", "L", "세트"],
        },
    ),
    (
        4,
        CategoryTemplate {
            name: "출산유아동",
            min_price: 2_900,
            max_price: 700_000,
            brands: &["아기별누리", "포포리안", "꼬물담요", "베베솔비", "도담아루", "토리몽글"],
            adjectives: &["순면", "유기농", "무독성", "안전한", "말랑한", "신생아용", "단계별", "접이식"],
            nouns: &[
                "기저귀", "젖병", "유아 물티슈", "아기띠", "유모차", "카시트", "이유식 용기", "내복", "턱받이",
                "블록 장난감", "그림책", "놀이매트", "유아 욕조",
            ],
            variants: &["1단계", "2단계", "3단계", "2개입", "4팩", "아이보리", "민트"],
        },
    ),
    (
        3,
        CategoryTemplate {
            name: "반려동물",
            min_price: 1_900,
            max_price: 300_000,
            brands: &["멍누리상회", "냥소루", "포우담다", "꼬리결마을", "테일리움"],
            adjectives: &["곡물 없는", "수제", "저알레르기", "튼튼한", "소형견용", "노령묘용", "자동", "푹신한"],
            nouns: &[
                "사료", "간식", "짜먹는 퓌레", "배변패드", "고양이 모래", "하네스", "방석", "급수기", "스크래처",
                "이동장", "장난감", "영양제",
            ],
            variants: &["소", "중", "대", "1kg", "2kg", "50매", "3개입"],
        },
    ),
];
