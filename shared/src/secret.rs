//! Passwords as settings. They come from the environment, from a file or from systemd's credentials, never from the
//! command line: all users of a machine can read the command lines of its processes.

use std::{ffi::OsStr, io, path::Path};

use clap::{
    Arg, Command, Error,
    builder::TypedValueParser,
    error::{ErrorKind, Result},
    parser::ValueSource,
};
use secrecy::{ExposeSecret, SecretString};

/// Reads a secret from the environment, else from the credential of the same name, which systemd passes to a service
/// (`LoadCredential=`) as a file in `CREDENTIALS_DIRECTORY`. An empty one counts as not set. A credential that can't be
/// read ends the process as wrong usage does: it is read while the command line is parsed.
pub fn variable(name: &str) -> Option<SecretString> {
    let variable = std::env::var(name).ok().filter(|secret| !secret.is_empty());
    variable.map(SecretString::from).or_else(|| {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
        let credential = credential(&Path::new(&folder).join(name));
        credential.unwrap_or_else(|message| {
            let error: Error = Error::raw(ErrorKind::Io, format!("{message}\n"));
            error.exit()
        })
    })
}

/// Reads a credential. One that is missing or empty counts as not set.
///
/// # Errors
/// When the file can't be read. The message has the path.
fn credential(path: &Path) -> std::result::Result<Option<SecretString>, String> {
    match read(path) {
        Ok(secret) => Ok((!secret.is_empty()).then(|| secret.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the credential {} can't be read: {error}", path.display())),
    }
}

/// Reads a file without the line break at its end: editors end a file with one.
fn read(path: &Path) -> io::Result<String> {
    Ok(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads a secret from a file; a line break at its end is not part of it. An empty path is no file, and its secret is
/// empty.
///
/// # Errors
/// When the file can't be read or is empty. The message has the path.
pub fn file(path: &str) -> std::result::Result<SecretString, String> {
    if path.is_empty() {
        return Ok(SecretString::from(""));
    }
    let secret = read(Path::new(path)).map_err(|error| format!("{path} can't be read: {error}"))?;
    if secret.is_empty() { Err(format!("{path} is empty")) } else { Ok(secret.into()) }
}

/// The secret of the file if there is one, else that of the environment. An empty one counts as not set.
pub fn of_file_or_variable<'a>(
    file: &'a Option<SecretString>,
    variable: &'a Option<SecretString>,
) -> Option<&'a SecretString> {
    [file, variable].into_iter().flatten().find(|secret| !secret.expose_secret().is_empty())
}

/// A value parser whose error does not print the value, for one that may contain a secret.
#[derive(Clone)]
pub struct Unprinted<Value>(
    /// Parses the value, or returns a message without it.
    pub fn(&str) -> std::result::Result<Value, String>,
);

impl<Value: Clone + Send + Sync + 'static> TypedValueParser for Unprinted<Value> {
    type Value = Value;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Value> {
        let text = value.to_str().ok_or_else(|| "it is not valid UTF-8".to_owned());
        text.and_then(self.0).map_err(|message| refused(command, argument, &message))
    }
}

/// The value parser of a URL, which may have a password in the environment and in `.env`, but not on the command line.
#[derive(Clone)]
pub struct UrlParser {
    /// What to do in place of a password on the command line, for the message.
    pub instead: &'static str,
    /// Whether the URL has a password.
    pub has_password: fn(&str) -> bool,
}

impl TypedValueParser for UrlParser {
    type Value = SecretString;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<SecretString> {
        self.parse_ref_(command, argument, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<SecretString> {
        match value.to_str() {
            None => Err(refused(command, argument, "it is not valid UTF-8")),
            Some(url) if source == ValueSource::CommandLine && (self.has_password)(url) => {
                let message =
                    format!("it has a password, which all users of this machine could read: {}", self.instead);
                Err(refused(command, argument, &message))
            }
            Some(url) => Ok(url.into()),
        }
    }
}

fn refused(command: &Command, argument: Option<&Arg>, message: &str) -> Error {
    let argument = argument.map(ToString::to_string).unwrap_or_default();
    Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{argument}': {message}\n")).with_cmd(command)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCommand {
        #[arg(long, value_parser = Unprinted(number))]
        number: Option<u32>,
        #[arg(
            long,
            env = "CARGO_MANIFEST_DIR",
            value_parser = UrlParser { instead: "set SOME_URL in the environment", has_password: |url| !url.contains("harmless") }
        )]
        url: SecretString,
    }

    fn number(text: &str) -> std::result::Result<u32, String> {
        text.parse().map_err(|_| "it is not a number".to_owned())
    }

    fn error(arguments: &[&str]) -> String {
        TestCommand::try_parse_from(["test"].iter().chain(arguments)).unwrap_err().to_string()
    }

    #[test]
    fn a_refused_value_is_not_printed_and_its_argument_is() {
        for arguments in [&["--number", "hunter2"][..], &["--number=hunter2"]] {
            let error = error(arguments);
            assert!(error.contains("'--number <NUMBER>': it is not a number"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_url_has_a_password_in_the_environment_only() {
        // The variable is set for every test, and its value counts as one with a password.
        let parse = |arguments: &[&str]| TestCommand::try_parse_from(["test"].iter().chain(arguments)).unwrap();
        assert_eq!(parse(&[]).url.expose_secret(), env!("CARGO_MANIFEST_DIR"));
        assert_eq!(parse(&["--url", "harmless"]).url.expose_secret(), "harmless");
        let error = error(&["--url", "redis://me:hunter2@host"]);
        assert!(error.contains("--url") && error.contains("set SOME_URL in the environment"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_has_priority_over_the_environment_and_an_empty_one_counts_as_not_set() {
        let secret = |text: &str| Some(SecretString::from(text));
        let chosen = |file, variable| of_file_or_variable(&file, &variable).map(|it| it.expose_secret().to_owned());
        assert_eq!(chosen(secret("f"), secret("v")).as_deref(), Some("f"));
        assert_eq!(chosen(secret(""), secret("v")).as_deref(), Some("v"));
        assert_eq!(chosen(None, None), None);
        assert_eq!(file("").unwrap().expose_secret(), "");
        assert!(file("/nowhere/secret").unwrap_err().contains("/nowhere/secret can't be read"));
    }

    #[test]
    fn a_credential_that_is_missing_or_empty_counts_as_not_set_and_one_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("POSTGRES_PASSWORD");
        let read = || credential(&path).map(|secret| secret.map(|secret| secret.expose_secret().to_owned()));
        assert_eq!(read(), Ok(None));
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(read(), Ok(None));
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(read(), Ok(Some("hunter2".to_owned())));
        std::fs::write(&path, b"hunter2\xff").unwrap();
        let error = read().unwrap_err();
        assert!(error.contains(path.to_str().unwrap()) && !error.contains("hunter2"), "{error}");
    }
}
