use clap::error::ErrorKind;

/// An error about settings that contradict each other in a way that clap's attributes can't express. Exits with 2.
pub fn wrong_usage(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n"))
}
