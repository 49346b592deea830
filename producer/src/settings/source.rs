use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shared::catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS};

use super::usage::wrong_usage;
use crate::sample::{BuiltinCatalog, Popularity, Source};

/// The value of `--source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// The cache that the cache-worker fills.
    Redis,
    /// Synthetic users and products; no Redis is needed.
    Builtin,
    /// The file of --catalog.
    Catalog,
}

/// Where users and products come from.
#[derive(Clone, Debug, Args)]
pub struct SourceSettings {
    /// Where users and products come from: redis, unless --catalog is set.
    #[arg(long, value_enum, help_heading = "Users and products")]
    pub source: Option<SourceKind>,
    #[arg(
        long,
        help = format!("Number of users with --source builtin [default: {DEFAULT_USERS}]"),
        value_parser = clap::value_parser!(u64).range(1..=10_000_000),
        value_name = "NUMBER",
        help_heading = "Users and products"
    )]
    pub builtin_users: Option<u64>,
    #[arg(
        long,
        help = format!("Number of products with --source builtin [default: {DEFAULT_PRODUCTS}]"),
        value_parser = clap::value_parser!(u64).range(1..=10_000_000),
        value_name = "NUMBER",
        help_heading = "Users and products"
    )]
    pub builtin_products: Option<u64>,
    #[arg(
        long,
        help = format!(
            "Seed of the users and products of --source builtin. A database has the same ones after orderdb seed with \
             this --seed-value [default: {DEFAULT_SEED}]"
        ),
        value_name = "NUMBER",
        help_heading = "Users and products"
    )]
    pub catalog_seed: Option<u64>,
    /// Read users and products from this file. One JSON object per line: {"user_id": …} or {"product_id": …, "price":
    /// …}; further fields are ignored. `producer catalog` and a snapshot of an earlier run are such files.
    #[arg(long, value_name = "FILE", help_heading = "Users and products")]
    pub catalog: Option<PathBuf>,
    /// Use the rows that Redis has at the start for the whole run. The run's ledger keeps them as catalog.jsonl.
    #[arg(long, conflicts_with = "catalog", help_heading = "Users and products")]
    pub snapshot: bool,
    /// Make some users and products popular, by Zipf's law with this exponent, such as 1.1. The first rows of the
    /// catalog are the most popular. With --source redis it implies --snapshot, in random order.
    #[arg(long, value_parser = exponent, value_name = "EXPONENT", help_heading = "Users and products")]
    pub skew: Option<f64>,
}

fn exponent(text: &str) -> Result<f64, &'static str> {
    let exponent = text.parse().ok().filter(|exponent| *exponent > 0.0 && *exponent <= 10.0);
    exponent.ok_or("an exponent is above 0 and at most 10, such as 1.1")
}

impl SourceSettings {
    /// The configured source.
    ///
    /// # Errors
    /// Wrong usage, when a flag belongs to another source.
    pub fn source(&self) -> Result<Source, clap::Error> {
        let default = if self.catalog.is_some() { SourceKind::Catalog } else { SourceKind::Redis };
        let kind = self.source.unwrap_or(default);
        self.check_flags(kind)?;
        let popularity = self.skew.map_or(Popularity::Uniform, Popularity::Zipf);
        match kind {
            SourceKind::Redis if self.snapshot || self.skew.is_some() => Ok(Source::RedisSnapshot { popularity }),
            SourceKind::Redis => Ok(Source::Redis),
            SourceKind::Builtin => Ok(Source::Builtin { catalog: self.builtin_catalog(), popularity }),
            SourceKind::Catalog => match self.catalog.clone() {
                Some(path) => Ok(Source::Catalog { path, popularity }),
                None => Err(wrong_usage("--source catalog needs --catalog FILE")),
            },
        }
    }

    fn builtin_catalog(&self) -> BuiltinCatalog {
        let default = BuiltinCatalog::default();
        BuiltinCatalog {
            users: self.builtin_users.unwrap_or(default.users),
            products: self.builtin_products.unwrap_or(default.products),
            seed: self.catalog_seed.unwrap_or(default.seed),
        }
    }

    /// Refuses flags that have no effect with this source.
    fn check_flags(&self, kind: SourceKind) -> Result<(), clap::Error> {
        let flags = [
            ("--snapshot", self.snapshot, SourceKind::Redis),
            ("--builtin-users", self.builtin_users.is_some(), SourceKind::Builtin),
            ("--builtin-products", self.builtin_products.is_some(), SourceKind::Builtin),
            ("--catalog-seed", self.catalog_seed.is_some(), SourceKind::Builtin),
            ("--catalog", self.catalog.is_some(), SourceKind::Catalog),
        ];
        match flags.iter().find(|(_, is_set, of)| *is_set && *of != kind) {
            None => Ok(()),
            Some((flag, _, of)) => {
                let (of, kind) = (of.name(), kind.name());
                Err(wrong_usage(&format!("{flag} requires --source {of}, but the source is {kind}")))
            }
        }
    }
}

impl SourceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Builtin => "builtin",
            Self::Catalog => "catalog",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        source: SourceSettings,
    }

    fn source(arguments: &[&str]) -> Result<Source, clap::Error> {
        Flags::try_parse_from(["test"].iter().chain(arguments))?.source.source()
    }

    #[test]
    fn the_source_follows_from_the_flags() {
        let (uniform, zipf) = (Popularity::Uniform, Popularity::Zipf(1.1));
        let file = Source::Catalog { path: "f".into(), popularity: uniform };
        let builtin = |users, products, seed, popularity| Source::Builtin {
            catalog: BuiltinCatalog { users, products, seed },
            popularity,
        };
        let numbers = ["--builtin-users", "5", "--builtin-products", "6", "--catalog-seed", "7"];
        for (arguments, expected) in [
            (&[][..], Source::Redis),
            (&["--source", "redis"], Source::Redis),
            (&["--snapshot"], Source::RedisSnapshot { popularity: uniform }),
            (&["--source", "redis", "--skew", "1.1"], Source::RedisSnapshot { popularity: zipf }),
            (&["--catalog", "f"], file.clone()),
            (&["--source", "catalog", "--catalog", "f"], file),
            (&["--source", "builtin"], builtin(10_000, 2_000, 42, uniform)),
            (&["--source", "builtin", "--skew", "1.1"], builtin(10_000, 2_000, 42, zipf)),
            (&[&["--source", "builtin"], &numbers[..]].concat(), builtin(5, 6, 7, uniform)),
        ] {
            assert_eq!(source(arguments).unwrap(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_flag_of_another_source_is_wrong_usage() {
        for (arguments, expected) in [
            (&["--source", "catalog"][..], "--source catalog needs --catalog FILE"),
            (&["--source", "redis", "--catalog", "f"], "--catalog requires --source catalog, but the source is redis"),
            (
                &["--source", "builtin", "--catalog", "f"],
                "--catalog requires --source catalog, but the source is builtin",
            ),
            (&["--source", "builtin", "--snapshot"], "--snapshot requires --source redis, but the source is builtin"),
            (&["--source", "catalog", "--snapshot"], "--snapshot requires --source redis, but the source is catalog"),
            (&["--builtin-users", "5"], "--builtin-users requires --source builtin, but the source is redis"),
            (&["--catalog", "f", "--catalog-seed", "5"], "--catalog-seed requires --source builtin"),
            (&["--source", "redis", "--builtin-products", "5"], "--builtin-products requires --source builtin"),
            (&["--source", "builtin", "--builtin-users", "0"], "1..=10000000"),
            (&["--source", "other"], "[possible values: redis, builtin, catalog]"),
        ] {
            let error = source(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            assert!(error.to_string().contains(expected), "{arguments:?}: {error}");
        }
    }
}
