//! Synthetic users: ages and regions of South Korea, names of a [`Locale`].

use chrono::{Datelike, Days, Months, NaiveDate};
use clap::ValueEnum;
use fake::{Fake, faker::name::raw::Name, locales};
use rand::{Rng, RngExt};

use super::{
    model::{User, age_group},
    names::{self, Gender, SURNAME},
    population::{AGE, REGION},
    weighted::pick,
};

/// Lowest age at which a user signs up, in years. Below 14, Korean law requires a parent's consent (Personal
/// Information Protection Act, article 22-2).
const MIN_AGE: u32 = 14;
/// Highest age that a birthday in [`change_user`] leads to, in years.
const MAX_AGE: i32 = 110;
/// How long ago the first user signed up, in years.
const SHOP_AGE_YEARS: u32 = 10;

/// Language of the users' names. All but the Korean ones come from the crate `fake`, and do not depend on gender and
/// age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Locale {
    /// Korean
    #[default]
    KoKr,
    /// English
    EnUs,
    /// Arabic
    ArSa,
    /// Welsh
    CyGb,
    /// German
    DeDe,
    /// Persian
    FaIr,
    /// French
    FrFr,
    /// Italian
    ItIt,
    /// Japanese
    JaJp,
    /// Dutch
    NlNl,
    /// Portuguese of Brazil
    PtBr,
    /// Portuguese of Portugal
    PtPt,
    /// Turkish
    TrTr,
    /// Chinese, simplified
    ZhCn,
    /// Chinese, traditional
    ZhTw,
}

/// User `number`. Its id is `U00000001` for number 1; all other values follow from the state of `random`.
///
/// Age (14 to 89 years) and region follow the population of South Korea, in every `locale`. The user signed up in the
/// ten years up to `today`, at the age of 14 or older.
pub fn synthetic_user(random: &mut impl Rng, number: u64, locale: Locale, today: NaiveDate) -> User {
    synthetic_user_with(random, number, locale, today, UserTraits::default())
}

/// What is known of a user. The rest is drawn so that it fits: the name to gender and age, `join_date` to the age.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserTraits {
    /// Drawn if not known.
    pub gender: Option<Gender>,
    /// In years; drawn if not known.
    pub age: Option<u32>,
}

/// As [`synthetic_user`], with these traits.
pub fn synthetic_user_with(
    random: &mut impl Rng,
    number: u64,
    locale: Locale,
    today: NaiveDate,
    traits: UserTraits,
) -> User {
    let gender = traits.gender.unwrap_or_else(|| pick(random, &Gender::BOTH));
    let age = traits.age.unwrap_or_else(|| {
        let band = AGE.draw(random).clone();
        random.random_range(band)
    });
    let region = *REGION.draw(random);
    let last_birthday = date_before(today, 0, random.random_range(0..365));
    let join_date = join_date(random, age, last_birthday, today);
    let name = match locale {
        Locale::KoKr => korean_name(random, gender, age, last_birthday),
        Locale::EnUs => Name(locales::EN).fake_with_rng(random),
        Locale::ArSa => Name(locales::AR_SA).fake_with_rng(random),
        Locale::CyGb => Name(locales::CY_GB).fake_with_rng(random),
        Locale::DeDe => Name(locales::DE_DE).fake_with_rng(random),
        Locale::FaIr => Name(locales::FA_IR).fake_with_rng(random),
        Locale::FrFr => Name(locales::FR_FR).fake_with_rng(random),
        Locale::ItIt => Name(locales::IT_IT).fake_with_rng(random),
        Locale::JaJp => Name(locales::JA_JP).fake_with_rng(random),
        Locale::NlNl => Name(locales::NL_NL).fake_with_rng(random),
        Locale::PtBr => Name(locales::PT_BR).fake_with_rng(random),
        Locale::PtPt => Name(locales::PT_PT).fake_with_rng(random),
        Locale::TrTr => Name(locales::TR_TR).fake_with_rng(random),
        Locale::ZhCn => Name(locales::ZH_CN).fake_with_rng(random),
        Locale::ZhTw => Name(locales::ZH_TW).fake_with_rng(random),
    };
    User {
        user_id: user_id(number).into(),
        name,
        gender: gender.letter().to_owned(),
        age: age.cast_signed(),
        age_group: age_group(age.cast_signed()),
        region: region.to_owned(),
        join_date,
    }
}

/// The id of user `number`.
pub fn user_id(number: u64) -> String {
    format!("U{number:08}")
}

/// `user` after a birthday or a move to another region, each with a probability of one half.
pub fn change_user(random: &mut impl Rng, mut user: User) -> User {
    if random.random() && user.age < MAX_AGE {
        user.age += 1;
        user.age_group = age_group(user.age);
    } else {
        user.region = REGION.draw(random).to_string();
    }
    user
}

/// Surname and given name without a space between them, as usual in Korean.
fn korean_name(random: &mut impl Rng, gender: Gender, age: u32, last_birthday: NaiveDate) -> String {
    let born = date_before(last_birthday, age, 0);
    let surname = SURNAME.draw(random);
    let given_name = pick(random, names::given_names(gender, born.year()));
    format!("{surname}{given_name}")
}

/// A day up to `today`, since the shop opened and the user was [`MIN_AGE`] years old.
fn join_date(random: &mut impl Rng, age: u32, last_birthday: NaiveDate, today: NaiveDate) -> NaiveDate {
    let old_enough = date_before(last_birthday, age.saturating_sub(MIN_AGE), 0);
    let earliest = old_enough.max(date_before(today, SHOP_AGE_YEARS, 0));
    let days_ago = random.random_range(0..=(today - earliest).num_days().unsigned_abs());
    date_before(today, 0, days_ago)
}

/// The date `years` and `days` before `date`, or the first date of the calendar.
fn date_before(date: NaiveDate, years: u32, days: u64) -> NaiveDate {
    date.checked_sub_months(Months::new(12 * years))
        .and_then(|date| date.checked_sub_days(Days::new(days)))
        .unwrap_or(NaiveDate::MIN)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::catalog::{
        names::SURNAMES,
        population::{AGES, REGIONS},
        weighted::assert_share,
    };

    const DRAWS: usize = 20_000;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 2, 28).unwrap()
    }

    fn some_users(count: usize, locale: Locale) -> Vec<User> {
        let mut random = StdRng::seed_from_u64(7);
        (1..).map(|number| synthetic_user(&mut random, number, locale, today())).take(count).collect()
    }

    fn koreans() -> Vec<User> {
        some_users(DRAWS, Locale::KoKr)
    }

    fn years_before(years: u32) -> NaiveDate {
        today().checked_sub_months(Months::new(12 * years)).unwrap()
    }

    #[test]
    fn regions_follow_the_population() {
        let mut counts = HashMap::new();
        for user in koreans() {
            *counts.entry(user.region).or_default() += 1;
        }
        assert_eq!(counts.len(), REGIONS.len());
        let people: u32 = REGIONS.iter().map(|(people, _)| people).sum();
        for (share, region) in &REGIONS {
            assert_share(region, counts[*region], DRAWS, f64::from(*share) / f64::from(people));
        }
    }

    #[test]
    fn ages_follow_the_population() {
        let users = koreans();
        let people: u32 = AGES.iter().map(|(people, _)| people).sum();
        for (share, band) in &AGES {
            let count = users.iter().filter(|user| band.contains(&user.age.cast_unsigned())).count();
            assert_share(&format!("{band:?}"), count, DRAWS, f64::from(*share) / f64::from(people));
        }
        assert!(users.iter().all(|user| user.age_group == age_group(user.age)));
        assert!(users.iter().any(|user| user.age == 14) && users.iter().any(|user| user.age == 89));
    }

    #[test]
    fn half_of_the_users_are_women() {
        let users = koreans();
        assert_share("women", users.iter().filter(|user| user.gender == "F").count(), DRAWS, 0.5);
        assert!(users.iter().all(|user| ["F", "M"].contains(&user.gender.as_str())));
    }

    #[test]
    fn one_in_five_koreans_is_a_kim() {
        let people: u32 = SURNAMES.iter().map(|(people, _)| people).sum();
        let share = f64::from(SURNAMES[0].0) / f64::from(people);
        let users = koreans();
        assert_share("김", users.iter().filter(|user| user.name.starts_with('김')).count(), DRAWS, share);
        assert!(users.iter().all(|user| user.name.chars().count() == 3));
    }

    #[test]
    fn names_fit_the_year_of_birth_and_the_gender() {
        for user in koreans() {
            let given: String = user.name.chars().skip(1).collect();
            let gender = if user.gender == "F" { Gender::Woman } else { Gender::Man };
            // The row has no birthday, so the year of birth is one of two.
            let generations = [2025, 2026].map(|year| names::given_names(gender, year - user.age));
            assert!(generations.iter().any(|names| names.contains(&given.as_str())), "{user:?}");
        }
    }

    #[test]
    fn no_user_signed_up_as_a_child_or_before_the_shop_opened_or_after_today() {
        let mut days = HashSet::new();
        for user in koreans() {
            days.insert(user.join_date);
            assert!(user.join_date <= today() && user.join_date >= years_before(SHOP_AGE_YEARS), "{user:?}");
            // The exact age is below `age` + 1 years.
            let turned_14 = years_before(user.age.cast_unsigned() + 1 - MIN_AGE);
            assert!(user.join_date > turned_14, "{user:?}");
        }
        assert!(days.len() > 3_000, "{} days", days.len());
    }

    #[test]
    fn every_locale_fits_the_table() {
        for locale in Locale::value_variants() {
            let users = some_users(2_000, *locale);
            for user in &users {
                assert!((1..=50).contains(&user.user_id.as_str().len()), "{user:?}");
                assert!((2..=100).contains(&user.name.chars().count()), "{user:?}");
                assert!(!user.name.contains(['{', '}']), "{user:?}");
                assert!((1..=10).contains(&user.age_group.chars().count()), "{user:?}");
                assert!((1..=50).contains(&user.region.chars().count()), "{user:?}");
            }
            let names: HashSet<_> = users.iter().map(|user| &user.name).collect();
            // The Turkish tables of `fake` make about 400 names, the others thousands.
            assert!(names.len() > 300, "{locale:?}: {} names", names.len());
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_users() {
        for locale in Locale::value_variants() {
            assert_eq!(some_users(100, *locale), some_users(100, *locale));
        }
    }

    #[test]
    fn an_id_has_eight_digits_or_more() {
        let mut random = StdRng::seed_from_u64(7);
        let mut id = |number| synthetic_user(&mut random, number, Locale::KoKr, today()).user_id.to_string();
        assert_eq!([1, 12_345_678, 123_456_789].map(&mut id), ["U00000001", "U12345678", "U123456789"]);
        assert_eq!(id(u64::MAX).len(), 21);
    }

    #[test]
    fn locales_have_the_names_of_language_tags() {
        assert_eq!(Locale::from_str("ko-kr", false), Ok(Locale::default()));
        assert_eq!(Locale::from_str("ja-jp", false), Ok(Locale::JaJp));
        assert_eq!(Locale::from_str("en-us", false), Ok(Locale::EnUs));
    }

    #[test]
    fn a_user_may_be_made_on_a_leap_day_and_on_the_first_and_last_date() {
        let mut random = StdRng::seed_from_u64(7);
        for today in [NaiveDate::MIN, NaiveDate::from_ymd_opt(2024, 2, 29).unwrap(), NaiveDate::MAX] {
            for number in 0..1_000 {
                assert!(synthetic_user(&mut random, number, Locale::KoKr, today).join_date <= today);
            }
        }
    }
}
