use clap::{Args, ValueEnum};
use shared::catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, Locale};

/// The format of a printed catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CatalogFormat {
    /// INSERT statements for PostgreSQL. Existing rows do not change.
    Sql,
    /// One JSON object per line, users first: for `orderdb seed --catalog` and `producer --catalog`.
    Jsonl,
}

/// The catalog to print.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CatalogSettings {
    /// Format of the output.
    #[arg(long, value_enum)]
    pub output: CatalogFormat,
    /// Number of users.
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_USERS)]
    pub users: u64,
    /// Number of products.
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_PRODUCTS)]
    pub products: u64,
    /// Seed of the users and products.
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_SEED)]
    pub catalog_seed: u64,
    /// Language of the users' names. Ids and prices do not depend on it.
    #[arg(long, value_enum, default_value_t)]
    pub locale: Locale,
}
