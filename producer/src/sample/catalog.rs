//! Users and products that stay the same for the whole run: a file's, or what the cache held at the start.
//!
//! The file has one JSON object a line, `{"user_id": …}` or `{"product_id": …, "price": …}`, further fields don't matter:
//! the rows of the cache are of that form. Where some are to be popular, those that come first are.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use rand::{Rng, RngExt, SeedableRng, distr::Distribution, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use rand_distr::Zipf;
use redis::aio::ConnectionManager;
use serde::Deserialize;
use shared::{
    cache::{self, CacheKeys},
    catalog::{ProductId, UserId},
};

use super::{SampledProduct, SampledUser};

/// Whole won that a piece may cost: five of them and shipping still are an amount that the table takes.
const HIGHEST_PRICE: i32 = 400_000_000;
/// Characters that an id may have.
const LONGEST_ID: usize = 50;

/// How often each is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// All alike.
    Even,
    /// By Zipf's law: the one at rank r in proportion to r to the power of minus this, which is above 0.
    Zipf(f64),
}

#[derive(Clone, Debug)]
enum Draw {
    Even(usize),
    Zipf(Zipf<f64>),
}

impl Draw {
    fn new(popularity: Popularity, length: usize) -> anyhow::Result<Self> {
        Ok(match popularity {
            Popularity::Even => Self::Even(length),
            Popularity::Zipf(exponent) => Self::Zipf(Zipf::new(length as f64, exponent)?),
        })
    }

    fn index(&self, random: &mut impl Rng) -> usize {
        match self {
            Self::Even(length) => random.random_range(0..*length),
            Self::Zipf(zipf) => zipf.sample(random) as usize - 1,
        }
    }
}

/// Users and products to draw from.
#[derive(Clone, Debug)]
pub struct Catalog {
    users: Vec<SampledUser>,
    products: Vec<SampledProduct>,
    draw_user: Draw,
    draw_product: Draw,
}

/// A line of a catalog file.
#[derive(Deserialize)]
struct Row {
    user_id: Option<UserId>,
    product_id: Option<ProductId>,
    price: Option<i32>,
}

impl Catalog {
    fn new(users: Vec<SampledUser>, products: Vec<SampledProduct>, popularity: Popularity) -> anyhow::Result<Self> {
        let (draw_user, draw_product) = (Draw::new(popularity, users.len())?, Draw::new(popularity, products.len())?);
        Ok(Self { users, products, draw_user, draw_product })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read, a line is broken (which one, and how), or it lacks users or products.
    pub fn read(path: &Path, popularity: Popularity) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("the catalog {shown} can't be opened"))?;
        let (mut users, mut products) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let at = || format!("the catalog {shown} is broken in line {number}");
            let line = line.with_context(at)?;
            if !line.trim().is_empty() {
                add_row(&line, &mut users, &mut products).with_context(at)?;
            }
        }
        ensure!(!users.is_empty(), "the catalog {shown} has no user: a line {{\"user_id\": \"…\"}} is one");
        ensure!(
            !products.is_empty(),
            "the catalog {shown} has no product: a line {{\"product_id\": \"…\", \"price\": 1000}} is one"
        );
        Self::new(users, products, popularity)
    }

    /// All that the cache holds now, in an order that `seed` decides.
    ///
    /// # Errors
    /// When Redis fails or the cache is empty.
    pub async fn of_cache(
        connection: &mut ConnectionManager,
        keys: &CacheKeys,
        popularity: Popularity,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let failed = "the cache can't be read from Redis";
        let mut users: Vec<SampledUser> = cache::all(connection, &keys.users).await.context(failed)?;
        let mut products: Vec<SampledProduct> = cache::all(connection, &keys.products).await.context(failed)?;
        ensure!(!users.is_empty() && !products.is_empty(), keys.empty());
        // Redis gives them in no order that would be the same again.
        users.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
        products.sort_unstable_by(|a, b| a.product_id.cmp(&b.product_id));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        users.shuffle(&mut random);
        products.shuffle(&mut random);
        Self::new(users, products, popularity)
    }

    /// Writes it down, to be read again.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            for user in &self.users {
                writeln!(file, "{}", serde_json::to_string(user)?)?;
            }
            for product in &self.products {
                writeln!(file, "{}", serde_json::to_string(product)?)?;
            }
            Ok(file.flush()?)
        };
        write().with_context(|| format!("the catalog can't be written to {}", path.display()))
    }

    /// A user and a product at random.
    pub fn draw(&self, random: &mut impl Rng) -> (&UserId, &SampledProduct) {
        let user = &self.users[self.draw_user.index(random)];
        (&user.user_id, &self.products[self.draw_product.index(random)])
    }
}

fn add_row(line: &str, users: &mut Vec<SampledUser>, products: &mut Vec<SampledProduct>) -> anyhow::Result<()> {
    let row: Row = serde_json::from_str(line)?;
    match row {
        Row { user_id: Some(user_id), product_id: None, .. } => {
            check_id(user_id.as_str())?;
            users.push(SampledUser { user_id });
        }
        Row { user_id: None, product_id: Some(product_id), price } => {
            check_id(product_id.as_str())?;
            let price = price.context("a product needs its price in whole won, such as \"price\": 1000")?;
            ensure!((0..=HIGHEST_PRICE).contains(&price), "price {price} is not between 0 and {HIGHEST_PRICE}");
            products.push(SampledProduct { product_id, price });
        }
        _ => bail!("a line has either a user_id or a product_id"),
    }
    Ok(())
}

fn check_id(id: &str) -> anyhow::Result<()> {
    let usable = (1..=LONGEST_ID).contains(&id.chars().count()) && !id.contains('\0');
    ensure!(usable, "an id has 1 to {LONGEST_ID} characters and no NUL");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str, popularity: Popularity) -> anyhow::Result<Catalog> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Catalog::read(file.path(), popularity)
    }

    #[test]
    fn a_catalog_is_read_as_it_was_written() {
        let rows =
            "{\"user_id\":\"U1\",\"name\":\"김\"}\n\n{\"user_id\":\"U2\"}\n{\"product_id\":\"P1\",\"price\":7}\n";
        let catalog = read(rows, Popularity::Even).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        catalog.write(file.path()).unwrap();
        let again = Catalog::read(file.path(), Popularity::Even).unwrap();
        assert_eq!((&again.users, &again.products), (&catalog.users, &catalog.products));
        assert_eq!((again.users.len(), again.products[0].price), (2, 7));
    }

    #[test]
    fn a_broken_line_is_named_and_said_what_is_wrong_with_it() {
        let whole = "{\"user_id\":\"U1\"}\n{\"product_id\":\"P1\",\"price\":7}\n";
        for (line, says) in [
            ("{\"user_id\":", "EOF"),
            ("{\"product_id\":\"P2\"}", "price"),
            ("{\"product_id\":\"P2\",\"price\":\"7\"}", "invalid type"),
            ("{\"product_id\":\"P2\",\"price\":-1}", "price -1"),
            ("{\"user_id\":\"\"}", "1 to 50 characters"),
            ("{\"name\":\"nobody\"}", "either a user_id or a product_id"),
            ("{\"user_id\":\"U\",\"product_id\":\"P\"}", "either"),
        ] {
            let error = format!("{:#}", read(&format!("{whole}{line}\n"), Popularity::Even).unwrap_err());
            assert!(error.contains("in line 3") && error.contains(says), "{line}: {error}");
        }
        for lacking in ["", "{\"user_id\":\"U1\"}", "{\"product_id\":\"P1\",\"price\":7}"] {
            assert!(format!("{:#}", read(lacking, Popularity::Even).unwrap_err()).contains("has no"), "{lacking}");
        }
    }

    #[test]
    fn the_first_are_the_popular_ones_as_zipf_says() {
        let mut rows: String = (0..100).map(|n| format!("{{\"user_id\":\"U{n}\"}}\n")).collect();
        rows.push_str("{\"product_id\":\"P1\",\"price\":7}");
        let catalog = read(&rows, Popularity::Zipf(1.1)).unwrap();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let draws = 100_000;
        let of = |name: &str, random: &mut Xoshiro256PlusPlus| {
            (0..draws).filter(|_| catalog.draw(random).0.as_str() == name).count() as f64 / f64::from(draws)
        };
        let sum: f64 = (1..=100).map(|rank| f64::from(rank).powf(-1.1)).sum();
        for rank in [1, 2, 10] {
            let (seen, law) = (of(&format!("U{}", rank - 1), &mut random), f64::from(rank).powf(-1.1) / sum);
            assert!((seen / law - 1.0).abs() < 0.06, "rank {rank}: {seen} instead of {law}");
        }
    }
}
