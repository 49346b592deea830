//! What a database has of its own in a folder with its name: migrations and a seed.

use std::path::{Path, PathBuf};

use shared::database::DEFAULT_DATABASE;

/// The folder of the default database, which has no name.
const DEFAULT_FOLDER: &str = "default";

/// The files of one database. Those that do not exist are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFiles {
    /// `NAME/migrations`, which are used instead of those of the program.
    pub migrations: Option<PathBuf>,
    /// `NAME/seed.jsonl`, whose rows are inserted instead of synthetic ones.
    pub seed: Option<PathBuf>,
}

impl OwnFiles {
    /// Those of database `name` in `folder`; none without a folder.
    pub fn of(folder: Option<&Path>, name: &str) -> Self {
        let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else { return Self::default() };
        let folder = folder.join(if name == DEFAULT_DATABASE { DEFAULT_FOLDER } else { name });
        let existing = |file: &str| Some(folder.join(file)).filter(|path| path.exists());
        Self { migrations: existing("migrations"), seed: existing("seed.jsonl") }
    }
}
