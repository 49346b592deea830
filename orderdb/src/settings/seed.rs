use std::{path::PathBuf, time::Duration};

use anyhow::bail;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
    value_parser,
};
use shared::{
    catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, Locale},
    program::{WrongUsage, positive_duration},
};

use super::input_file::InputFile;

/// Maximum number of users, and of products, of a synthetic catalog.
const MAX_ROWS: u64 = 100_000_000;
/// Maximum number of users, and of products, that a live seed adds per minute.
const MAX_ROWS_PER_MINUTE: i64 = 600_000;

#[derive(Clone, Debug, Args)]
pub struct SeedSettings {
    /// Number of synthetic users.
    #[arg(long, default_value_t = DEFAULT_USERS, value_parser = value_parser!(u64).range(..=MAX_ROWS))]
    pub users: u64,
    /// Number of synthetic products.
    #[arg(long, default_value_t = DEFAULT_PRODUCTS, value_parser = value_parser!(u64).range(..=MAX_ROWS))]
    pub products: u64,
    /// The seed of the synthetic rows: the same value makes the same rows.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    pub seed_value: u64,
    /// Language of the synthetic users' names.
    #[arg(long, value_enum, default_value_t)]
    pub locale: Locale,
    /// Insert the users and products of FILE instead of synthetic ones, all of them or none; `-` reads standard input.
    /// FILE has one JSON object per line, as `producer catalog --output jsonl` prints them.
    #[arg(
        long,
        value_name = "FILE",
        value_parser = OsStringValueParser::new().map(InputFile::from),
        conflicts_with_all = ["users", "products", "seed_value", "locale", "live"]
    )]
    pub catalog: Option<InputFile>,
    /// Insert nothing at the start when both tables have rows.
    #[arg(long)]
    pub if_empty: bool,
    /// Give up when the database does not answer a statement within this time.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = positive_duration)]
    pub statement_deadline: Duration,
    #[command(flatten)]
    pub live: LiveSettings,
}

impl SeedSettings {
    /// With the rows of `file`, the seed of the database, unless --catalog is set.
    ///
    /// # Errors
    /// When there are options for synthetic rows as well.
    pub fn with_own(mut self, file: Option<PathBuf>) -> anyhow::Result<Self> {
        let (Some(file), None) = (file, &self.catalog) else { return Ok(self) };
        let synthetic = (self.users, self.products, self.seed_value, self.locale);
        let is_default = synthetic == (DEFAULT_USERS, DEFAULT_PRODUCTS, DEFAULT_SEED, Locale::default());
        if !is_default || self.live.live {
            bail!(WrongUsage(format!(
                "the seed of this database is {}: leave out --users, --products, --seed-value, --locale and --live",
                file.display()
            )));
        }
        self.catalog = Some(InputFile::Path(file));
        Ok(self)
    }

    /// Those of `orderdb seed` without options.
    pub fn default_rows() -> Self {
        Self {
            users: DEFAULT_USERS,
            products: DEFAULT_PRODUCTS,
            seed_value: DEFAULT_SEED,
            locale: Locale::default(),
            catalog: None,
            if_empty: false,
            statement_deadline: Duration::from_secs(30),
            live: LiveSettings::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Live")]
pub struct LiveSettings {
    /// After the inserts, continue to add rows until Ctrl-C. For each added row, one existing row is changed: region or
    /// age of a user, price and stock of a product.
    #[arg(long)]
    pub live: bool,
    /// Users added per minute.
    #[arg(
        long,
        default_value_t = 600,
        requires = "live",
        value_parser = value_parser!(u32).range(..=MAX_ROWS_PER_MINUTE)
    )]
    pub users_per_minute: u32,
    /// Products added per minute.
    #[arg(
        long,
        default_value_t = 60,
        requires = "live",
        value_parser = value_parser!(u32).range(..=MAX_ROWS_PER_MINUTE)
    )]
    pub products_per_minute: u32,
    /// Stop after this time.
    #[arg(long, requires = "live", value_parser = positive_duration, value_name = "DURATION")]
    pub duration: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;
    use crate::settings::{Action, Command};

    fn seed(arguments: &[&str]) -> Result<SeedSettings, clap::Error> {
        let command = Command::try_parse_from(["orderdb", "seed"].iter().chain(arguments))?;
        let Action::Seed(settings) = command.action else { panic!("another action: {command:?}") };
        Ok(settings)
    }

    #[test]
    fn a_catalog_comes_from_a_file_or_from_standard_input() {
        assert_eq!(seed(&[]).unwrap().catalog, None);
        assert_eq!(seed(&["--catalog", "-"]).unwrap().catalog, Some(InputFile::StandardInput));
        let catalog = seed(&["--if-empty", "--catalog", "a.jsonl"]).unwrap().catalog;
        assert_eq!(catalog, Some(InputFile::Path("a.jsonl".into())));
    }

    #[test]
    fn a_catalog_conflicts_with_the_options_of_the_synthetic_rows() {
        for options in [
            &["--users", "10000"][..],
            &["--products", "1"],
            &["--seed-value", "7"],
            &["--locale", "en-us"],
            &["--live"],
            &["--live", "--users-per-minute", "60"],
        ] {
            let error = seed(&[&["--catalog", "a.jsonl"], options].concat()).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ArgumentConflict, 2), "{error}");
        }
    }
}
