//! Users and products that do not change during the run: builtin, from a file, or a snapshot of the cache.
//!
//! The file has one JSON object per line, `{"user_id": …}` or `{"product_id": …, "price": …}`. Further fields are
//! ignored, so that rows of the cache are valid lines. With a skewed popularity, the first rows are the popular ones.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use rand::{Rng, seq::SliceRandom};
use redis::aio::ConnectionManager;
use serde::Deserialize;
use shared::{
    cache::{self, CacheKeys},
    catalog::{ProductId, UserId},
    wire::MAX_ID_CHARS,
};

use super::{
    builtin::BuiltinCatalog,
    model::{SampledProduct, SampledUser},
    popularity::{IndexSampler, Popularity},
};
use crate::random::{Purpose, run_random};

/// Maximum price in whole won: the total of five pieces and shipping fits the column of the table.
const MAX_PRICE: i32 = 400_000_000;

/// Users and products to draw from.
#[derive(Clone, Debug)]
pub struct Catalog {
    users: Vec<SampledUser>,
    products: Vec<SampledProduct>,
    user_sampler: IndexSampler,
    product_sampler: IndexSampler,
}

/// One line of a catalog file.
#[derive(Deserialize)]
struct CatalogLine {
    user_id: Option<UserId>,
    product_id: Option<ProductId>,
    price: Option<i32>,
}

impl Catalog {
    fn new(users: Vec<SampledUser>, products: Vec<SampledProduct>, popularity: Popularity) -> anyhow::Result<Self> {
        let user_sampler = IndexSampler::new(popularity, users.len())?;
        let product_sampler = IndexSampler::new(popularity, products.len())?;
        Ok(Self { users, products, user_sampler, product_sampler })
    }

    /// The builtin catalog.
    ///
    /// # Errors
    /// When it has no users or no products.
    pub fn builtin(builtin: BuiltinCatalog, popularity: Popularity) -> anyhow::Result<Self> {
        let (users, products) = (builtin.sampled_users(), builtin.sampled_products());
        ensure!(
            !users.is_empty() && !products.is_empty(),
            "the builtin catalog needs at least one user and one product"
        );
        Self::new(users, products, popularity)
    }

    /// Reads a catalog file.
    ///
    /// # Errors
    /// When the file can't be read, a line is invalid (the message has its number), or there are no users or no
    /// products.
    pub fn read(path: &Path, popularity: Popularity) -> anyhow::Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("the catalog {name} can't be opened"))?;
        let (mut users, mut products) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let at = || format!("the catalog {name} has an error in line {number}");
            let line = line.with_context(at)?;
            if !line.trim().is_empty() {
                add_line(&line, &mut users, &mut products).with_context(at)?;
            }
        }
        ensure!(!users.is_empty(), "the catalog {name} has no users: add lines such as {{\"user_id\": \"…\"}}");
        ensure!(
            !products.is_empty(),
            "the catalog {name} has no products: add lines such as {{\"product_id\": \"…\", \"price\": 1000}}"
        );
        Self::new(users, products, popularity)
    }

    /// Reads all rows of the cache and shuffles them by `seed`.
    ///
    /// # Errors
    /// When Redis fails or the cache is empty.
    pub async fn snapshot(
        connection: &mut ConnectionManager,
        keys: &CacheKeys,
        popularity: Popularity,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let failed = "the cache can't be read from Redis";
        let mut users: Vec<SampledUser> = cache::all(connection, &keys.users).await.context(failed)?;
        let mut products: Vec<SampledProduct> = cache::all(connection, &keys.products).await.context(failed)?;
        ensure!(!users.is_empty() && !products.is_empty(), keys.empty());
        // Redis returns the rows of a hash in no defined order: sorted first, so that the same seed yields the same
        // order.
        users.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
        products.sort_unstable_by(|a, b| a.product_id.cmp(&b.product_id));
        let mut random = run_random(seed, Purpose::Snapshot);
        users.shuffle(&mut random);
        products.shuffle(&mut random);
        Self::new(users, products, popularity)
    }

    /// Writes the catalog as a file that [`Self::read`] reads.
    ///
    /// # Errors
    /// When the file can't be written.
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

    /// Draws a user and a product.
    pub fn draw(&self, random: &mut impl Rng) -> (&UserId, &SampledProduct) {
        let user = &self.users[self.user_sampler.draw(random)];
        (&user.user_id, &self.products[self.product_sampler.draw(random)])
    }
}

fn add_line(json: &str, users: &mut Vec<SampledUser>, products: &mut Vec<SampledProduct>) -> anyhow::Result<()> {
    let line: CatalogLine = serde_json::from_str(json)?;
    match line {
        CatalogLine { user_id: Some(user_id), product_id: None, .. } => {
            check_id(user_id.as_str())?;
            users.push(SampledUser { user_id });
        }
        CatalogLine { user_id: None, product_id: Some(product_id), price } => {
            check_id(product_id.as_str())?;
            let price = price.context("a product needs its price in whole won, such as \"price\": 1000")?;
            ensure!((0..=MAX_PRICE).contains(&price), "price {price} is not between 0 and {MAX_PRICE}");
            products.push(SampledProduct { product_id, price });
        }
        _ => bail!("a line has either a user_id or a product_id"),
    }
    Ok(())
}

fn check_id(id: &str) -> anyhow::Result<()> {
    let valid = (1..=MAX_ID_CHARS).contains(&id.chars().count()) && !id.contains('\0');
    ensure!(valid, "an id has 1 to {MAX_ID_CHARS} characters and no NUL");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::RunRandom;

    fn read(content: &str, popularity: Popularity) -> anyhow::Result<Catalog> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Catalog::read(file.path(), popularity)
    }

    #[test]
    fn a_catalog_is_read_as_it_was_written() {
        let rows =
            "{\"user_id\":\"U1\",\"name\":\"김\"}\n\n{\"user_id\":\"U2\"}\n{\"product_id\":\"P1\",\"price\":7}\n";
        let catalog = read(rows, Popularity::Uniform).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        catalog.write(file.path()).unwrap();
        let again = Catalog::read(file.path(), Popularity::Uniform).unwrap();
        assert_eq!((&again.users, &again.products), (&catalog.users, &catalog.products));
        assert_eq!((again.users.len(), again.products[0].price), (2, 7));
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number_and_the_reason() {
        let whole = "{\"user_id\":\"U1\"}\n{\"product_id\":\"P1\",\"price\":7}\n";
        for (line, expected) in [
            ("{\"user_id\":", "EOF"),
            ("{\"product_id\":\"P2\"}", "price"),
            ("{\"product_id\":\"P2\",\"price\":\"7\"}", "invalid type"),
            ("{\"product_id\":\"P2\",\"price\":-1}", "price -1"),
            ("{\"user_id\":\"\"}", "1 to 50 characters"),
            ("{\"name\":\"nobody\"}", "either a user_id or a product_id"),
            ("{\"user_id\":\"U\",\"product_id\":\"P\"}", "either"),
        ] {
            let error = format!("{:#}", read(&format!("{whole}{line}\n"), Popularity::Uniform).unwrap_err());
            assert!(error.contains("in line 3") && error.contains(expected), "{line}: {error}");
        }
        for lacking in ["", "{\"user_id\":\"U1\"}", "{\"product_id\":\"P1\",\"price\":7}"] {
            assert!(format!("{:#}", read(lacking, Popularity::Uniform).unwrap_err()).contains("has no"), "{lacking}");
        }
    }

    #[test]
    fn the_first_rows_are_drawn_most_often_by_zipfs_law() {
        let mut rows: String = (0..100).map(|n| format!("{{\"user_id\":\"U{n}\"}}\n")).collect();
        rows.push_str("{\"product_id\":\"P1\",\"price\":7}");
        let catalog = read(&rows, Popularity::Zipf(1.1)).unwrap();
        let mut random = run_random(1, Purpose::Orders);
        let draws = 100_000;
        let of = |name: &str, random: &mut RunRandom| {
            (0..draws).filter(|_| catalog.draw(random).0.as_str() == name).count() as f64 / f64::from(draws)
        };
        let sum: f64 = (1..=100).map(|rank| f64::from(rank).powf(-1.1)).sum();
        for rank in [1, 2, 10] {
            let (seen, law) = (of(&format!("U{}", rank - 1), &mut random), f64::from(rank).powf(-1.1) / sum);
            assert!((seen / law - 1.0).abs() < 0.06, "rank {rank}: {seen} instead of {law}");
        }
    }
}
