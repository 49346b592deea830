use std::path::PathBuf;

use clap::Args;

use crate::sample::{Popularity, Source};

/// Where users and products come from.
#[derive(Clone, Debug, Args)]
pub struct SourceSettings {
    /// Make some users and products popular, by Zipf's law with this exponent, such as 1.1; implies --snapshot.
    #[arg(long, value_parser = exponent, value_name = "EXPONENT", help_heading = "Users and products")]
    pub skew: Option<f64>,
    /// Use the rows that the cache has at the start for the whole run. The run's ledger keeps them as catalog.jsonl.
    #[arg(long, conflicts_with = "catalog", help_heading = "Users and products")]
    pub snapshot: bool,
    /// Read users and products from this file instead of Redis. One JSON object per line: {"user_id": …} or
    /// {"product_id": …, "price": …}. With --skew, the first lines are the popular ones.
    #[arg(long, value_name = "FILE", help_heading = "Users and products")]
    pub catalog: Option<PathBuf>,
}

fn exponent(text: &str) -> Result<f64, &'static str> {
    let exponent = text.parse().ok().filter(|exponent| *exponent > 0.0 && *exponent <= 10.0);
    exponent.ok_or("an exponent is above 0 and at most 10, such as 1.1")
}

impl SourceSettings {
    /// The configured source.
    pub fn source(&self) -> Source {
        let popularity = self.skew.map_or(Popularity::Uniform, Popularity::Zipf);
        match &self.catalog {
            Some(path) => Source::Catalog { path: path.clone(), popularity },
            None if self.snapshot || self.skew.is_some() => Source::RedisSnapshot { popularity },
            None => Source::Redis,
        }
    }
}
