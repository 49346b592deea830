use std::path::PathBuf;

use clap::Args;

use crate::{flaw, partition::Partitioning, sample::catalog::Popularity};

/// What the orders are made of, and where they go.
#[derive(Clone, Debug, Args)]
pub struct OrderSettings {
    /// The same number gives the same arrivals and the same figures of each order; with --snapshot or --catalog the same
    /// users and products; with --start-at and --run-id as well, the same bytes. Follows from --run-id when that is given, else
    /// drawn at random.
    #[arg(long, value_name = "NUMBER", help_heading = "Orders")]
    pub seed: Option<u64>,
    /// Make some users and products popular, by Zipf's law with this exponent, such as 1.1; implies --snapshot.
    #[arg(long, value_parser = exponent, value_name = "EXPONENT", help_heading = "Orders")]
    pub skew: Option<f64>,
    /// Draw from what the cache holds at the start, for the whole run; the run's ledger keeps it as catalog.jsonl.
    #[arg(long, conflicts_with = "catalog", help_heading = "Orders")]
    pub snapshot: bool,
    /// Draw from this file in place of Redis: a JSON object a line, {"user_id": …} or {"product_id": …, "price": …}; with
    /// --skew the first lines are the popular ones.
    #[arg(long, value_name = "FILE", help_heading = "Orders")]
    pub catalog: Option<PathBuf>,
    /// Make this part of the orders wrong on purpose, such as 0.1%: an unknown user or product, broken JSON, a wrong type, a
    /// newer version. They are counted apart, and the audit wants to see them dead-lettered.
    #[arg(long, default_value = "0%", value_name = "SHARE", help_heading = "Orders")]
    pub invalid: flaw::Share,
    /// How orders are spread over the partitions.
    #[arg(long, value_enum, default_value_t, help_heading = "Orders")]
    pub partitioning: Partitioning,
}

/// Where users and products come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The cache, as it changes.
    Cache,
    /// What the cache holds at the start.
    Snapshot {
        /// How often each is drawn.
        popularity: Popularity,
    },
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// How often each is drawn.
        popularity: Popularity,
    },
}

fn exponent(text: &str) -> Result<f64, &'static str> {
    let exponent = text.parse().ok().filter(|exponent| *exponent > 0.0 && *exponent <= 10.0);
    exponent.ok_or("an exponent is above 0 and at most 10, such as 1.1")
}

impl OrderSettings {
    /// Where users and products come from.
    pub fn source(&self) -> Source {
        let popularity = self.skew.map_or(Popularity::Even, Popularity::Zipf);
        match &self.catalog {
            Some(path) => Source::File { path: path.clone(), popularity },
            None if self.snapshot || self.skew.is_some() => Source::Snapshot { popularity },
            None => Source::Cache,
        }
    }
}
