use std::{ffi::OsString, fmt, path::PathBuf};

/// A file, or standard input for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFile {
    StandardInput,
    Path(PathBuf),
}

impl From<OsString> for InputFile {
    fn from(file: OsString) -> Self {
        if file == "-" { Self::StandardInput } else { Self::Path(file.into()) }
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => f.write_str("standard input"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}
