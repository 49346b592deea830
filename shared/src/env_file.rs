//! The file `.env`, whose lines are variables of the environment that are not set otherwise.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::OnceLock,
};

static LOADED: OnceLock<EnvFile> = OnceLock::new();

/// The file that this process has read.
#[derive(Debug)]
pub struct EnvFile {
    path: PathBuf,
    variables: BTreeSet<OsString>,
}

impl EnvFile {
    /// The file; `None` when there was none.
    pub fn loaded() -> Option<&'static Self> {
        LOADED.get()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has set the variable, which was not set before.
    pub fn has_set(&self, variable: &OsStr) -> bool {
        self.variables.contains(variable)
    }
}

/// Loads `file`, or `.env` of the working directory or one above it when there is one.
///
/// # Errors
/// A message without any content of the file.
pub(crate) fn load(file: Option<&OsStr>) -> Result<(), String> {
    let before = variables();
    let loaded = match file {
        Some(path) => dotenvy::from_path(path).map(|()| Some(PathBuf::from(path))),
        None => match dotenvy::dotenv() {
            Err(error) if error.not_found() => Ok(None),
            found => found.map(Some),
        },
    };
    let name = file.map_or(".env".into(), OsStr::to_string_lossy);
    let path = loaded.map_err(|error| match error {
        // The message of dotenvy has the line, which may contain a secret.
        dotenvy::Error::LineParse(_, at) => {
            format!("{name} can't be read: character {at} of a line is not KEY=value; a value with spaces needs quotes")
        }
        error => format!("{name} can't be read: {error}"),
    })?;
    if let Some(path) = path {
        let variables = variables().difference(&before).cloned().collect();
        LOADED.get_or_init(|| EnvFile { path, variables });
    }
    Ok(())
}

fn variables() -> BTreeSet<OsString> {
    std::env::vars_os().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_env_file_that_is_set_must_exist_and_its_secrets_are_not_shown() {
        assert_eq!(load(Some(OsStr::new("/dev/null"))), Ok(()));
        assert!(load(Some(OsStr::new("/nowhere/env"))).unwrap_err().contains("/nowhere/env can't be read"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "REDIS_URL=redis://me:hunter2 @host\n").unwrap();
        let error = load(Some(file.path().as_os_str())).unwrap_err();
        assert!(error.contains("is not KEY=value") && !error.contains("hunter2"), "{error}");
    }
}
