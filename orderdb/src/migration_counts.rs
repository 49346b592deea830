//! How many of the migrations are applied.

use serde::Serialize;
use tokio_postgres::Client;

use crate::migrate::{history, source::Migrations};

/// Numbers of migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationCounts {
    /// Those of this program.
    pub known: usize,
    /// Those of this program that are not applied.
    pub missing: usize,
    /// Those that are applied and that this program does not have: a newer one has migrated the database.
    pub unknown: usize,
}

impl MigrationCounts {
    /// # Errors
    /// When the table of the migrations can't be read.
    pub async fn read(client: &Client) -> anyhow::Result<Self> {
        let (known, applied) = (Migrations::built_in()?, history::applied(client).await?);
        let (missing, unknown) = (known.missing(&applied, None)?.len(), known.unknown(&applied).len());
        Ok(Self { known: known.all().len(), missing, unknown })
    }

    /// Such as `2 of 3 applied`.
    pub fn text(self) -> String {
        let Self { known, missing, unknown } = self;
        let applied = if missing == 0 { format!("all {known}") } else { format!("{} of {known}", known - missing) };
        if unknown == 0 { format!("{applied} applied") } else { format!("{applied} applied, and {unknown} newer") }
    }
}
