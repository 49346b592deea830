//! Ages and regions of the population of South Korea.

use std::{ops::RangeInclusive, sync::LazyLock};

use super::weighted::Weighted;

/// Ages in years, weighted by thousands of people. Source: resident registration at the end of 2024 (Ministry of the
/// Interior and Safety, published by Statistics Korea in KOSIS), approximate. The first row is a fifth of the group of
/// 10 to 14.
pub const AGES: [(u32, RangeInclusive<u32>); 16] = [
    (460, 14..=14),
    (2_290, 15..=19),
    (2_680, 20..=24),
    (3_360, 25..=29),
    (3_480, 30..=34),
    (3_170, 35..=39),
    (3_840, 40..=44),
    (3_820, 45..=49),
    (4_420, 50..=54),
    (4_230, 55..=59),
    (4_130, 60..=64),
    (3_570, 65..=69),
    (2_370, 70..=74),
    (1_760, 75..=79),
    (1_330, 80..=84),
    (750, 85..=89),
];

/// Short names of the 17 provinces and metropolitan cities, weighted by thousands of people. Same source as [`AGES`].
pub const REGIONS: [(u32, &str); 17] = [
    (9_332, "서울"),
    (3_266, "부산"),
    (2_364, "대구"),
    (3_021, "인천"),
    (1_409, "광주"),
    (1_439, "대전"),
    (1_098, "울산"),
    (391, "세종"),
    (13_695, "경기"),
    (1_518, "강원"),
    (1_591, "충북"),
    (2_136, "충남"),
    (1_739, "전북"),
    (1_789, "전남"),
    (2_532, "경북"),
    (3_228, "경남"),
    (670, "제주"),
];

/// [`AGES`] as a table to draw from.
pub static AGE: LazyLock<Weighted<RangeInclusive<u32>>> = LazyLock::new(|| Weighted::new(&AGES));
/// [`REGIONS`] as a table to draw from.
pub static REGION: LazyLock<Weighted<&str>> = LazyLock::new(|| Weighted::new(&REGIONS));
