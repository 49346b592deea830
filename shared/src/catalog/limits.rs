//! The values that tables `users` and `products` accept. The limits are those of the migrations.

use std::ops::RangeInclusive;

use anyhow::ensure;
use chrono::Datelike;

use super::model::{Product, UNKNOWN_GENDER, User};

/// The years whose days all fit PostgreSQL's type `date` and `NaiveDate`.
const JOIN_YEARS: RangeInclusive<i32> = -4712..=262_142;

/// Checks every column of a user.
///
/// # Errors
/// The first column whose value the table refuses, and why.
pub fn check_user(user: &User) -> anyhow::Result<()> {
    check_id("user_id", user.user_id.as_str())?;
    check_text("name", &user.name, 100)?;
    ensure!(
        ["M", "F", UNKNOWN_GENDER].contains(&user.gender.as_str()),
        "gender is {:?}: the table accepts M, F and {UNKNOWN_GENDER}",
        user.gender
    );
    check_number("age", user.age, 0..=150)?;
    check_text("age_group", &user.age_group, 10)?;
    check_text("region", &user.region, 50)?;
    check_number("the year of join_date", user.join_date.year(), JOIN_YEARS)
}

/// Checks every column of a product.
///
/// # Errors
/// The first column whose value the table refuses, and why.
pub fn check_product(product: &Product) -> anyhow::Result<()> {
    check_id("product_id", product.product_id.as_str())?;
    check_text("name", &product.name, 200)?;
    check_text("category", &product.category, 50)?;
    check_text("brand", &product.brand, 100)?;
    check_number("price", product.price, 0..=i32::MAX)?;
    ensure!(
        product.org_price >= product.price,
        "org_price is {}: the table accepts no value below price, {}",
        product.org_price,
        product.price
    );
    ensure!(
        (0.0..=1.0).contains(&product.discount_rate),
        "discount_rate is {}: the table accepts 0 to 1",
        product.discount_rate
    );
    check_number("stock", product.stock, 0..=i32::MAX)
}

fn check_id(column: &str, id: &str) -> anyhow::Result<()> {
    ensure!(!id.is_empty(), "{column} is empty");
    check_text(column, id, 50)
}

fn check_text(column: &str, text: &str, max_characters: usize) -> anyhow::Result<()> {
    ensure!(!text.contains('\0'), "{column} contains a NUL character, which PostgreSQL refuses");
    let characters = text.chars().count();
    ensure!(
        characters <= max_characters,
        "{column} has {characters} characters: the table accepts at most {max_characters}"
    );
    Ok(())
}

fn check_number(column: &str, number: i32, accepted: RangeInclusive<i32>) -> anyhow::Result<()> {
    let (min, max) = (accepted.start(), accepted.end());
    ensure!(accepted.contains(&number), "{column} is {number}: the table accepts {min} to {max}");
    Ok(())
}
