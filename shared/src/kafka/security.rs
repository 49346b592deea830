use std::{fmt, path::PathBuf};

use clap::{Args, ValueEnum};
use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

/// How the brokers are talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecurityProtocol {
    /// In the clear.
    Plaintext,
    /// TLS, with a client certificate where the brokers ask for one.
    Ssl,
    /// A name and a password, in the clear.
    #[value(name = "sasl_plaintext", alias = "sasl-plaintext")]
    SaslPlaintext,
    /// A name and a password over TLS.
    #[value(name = "sasl_ssl", alias = "sasl-ssl")]
    SaslSsl,
}

/// How a name and a password are proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaslMechanism {
    /// As they are.
    #[value(name = "PLAIN")]
    Plain,
    /// Challenge and response, SHA-256.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response, SHA-512.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

/// What a secured cluster asks for. Passwords come from the environment or a file, never from the command line, which anyone
/// on the machine may read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kafka security")]
pub struct SecurityArgs {
    /// How the brokers are talked to; in the clear when not given.
    #[arg(long, env = "KAFKA_SECURITY_PROTOCOL", value_enum, ignore_case = true)]
    security_protocol: Option<SecurityProtocol>,
    /// How name and password are proved.
    #[arg(long, env = "KAFKA_SASL_MECHANISM", value_enum, ignore_case = true, requires = "security_protocol")]
    sasl_mechanism: Option<SaslMechanism>,
    /// The name; its password is in KAFKA_SASL_PASSWORD, or in a file.
    #[arg(long, env = "KAFKA_SASL_USERNAME", requires = "sasl_mechanism")]
    sasl_username: Option<String>,
    /// A file with the password.
    #[arg(long, env = "KAFKA_SASL_PASSWORD_FILE", value_name = "FILE", value_parser = secret_of_file, requires = "sasl_username")]
    sasl_password_file: Option<SecretString>,
    #[arg(skip = secret_of_environment("KAFKA_SASL_PASSWORD"))]
    sasl_password: Option<SecretString>,
    /// A file with the certificate of the authority that signed the brokers', PEM; the system's authorities when not given.
    #[arg(long, env = "KAFKA_TLS_CA", value_name = "FILE", value_parser = existing_file, requires = "security_protocol")]
    tls_ca: Option<PathBuf>,
    /// A file with our own certificate, PEM, for brokers that ask for one.
    #[arg(long, env = "KAFKA_TLS_CERTIFICATE", value_name = "FILE", value_parser = existing_file, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// A file with our certificate's key, PEM; its password, if it has one, is in KAFKA_TLS_KEY_PASSWORD, or in a file.
    #[arg(long, env = "KAFKA_TLS_KEY", value_name = "FILE", value_parser = existing_file, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A file with the key's password.
    #[arg(long, env = "KAFKA_TLS_KEY_PASSWORD_FILE", value_name = "FILE", value_parser = secret_of_file, requires = "tls_key")]
    tls_key_password_file: Option<SecretString>,
    #[arg(skip = secret_of_environment("KAFKA_TLS_KEY_PASSWORD"))]
    tls_key_password: Option<SecretString>,
}

/// `None` as well where nothing is in the variable.
fn secret_of_environment(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|secret| !secret.is_empty()).map(SecretString::from)
}

fn secret_of_file(path: &str) -> Result<SecretString, String> {
    let content = std::fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"))?;
    // Editors end a file with a line break, which is no part of the secret.
    let secret = content.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err(format!("{path} is empty")) } else { Ok(secret.into()) }
}

/// librdkafka says of a file that is not there only that it has no certificate.
fn existing_file(path: &str) -> Result<PathBuf, String> {
    std::fs::File::open(path).map(|_| path.into()).map_err(|error| format!("{path} can't be read: {error}"))
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A file wins over the environment.
fn exposed(file: &Option<SecretString>, environment: &Option<SecretString>) -> Option<String> {
    file.as_ref().or(environment.as_ref()).map(|secret| secret.expose_secret().to_owned())
}

impl SecurityArgs {
    fn sasl_secret(&self) -> Option<String> {
        exposed(&self.sasl_password_file, &self.sasl_password)
    }

    fn tls_key_secret(&self) -> Option<String> {
        exposed(&self.tls_key_password_file, &self.tls_key_password)
    }

    /// Writes what is set into `config`.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        let path = |path: &PathBuf| path.display().to_string();
        for (key, value) in [
            ("security.protocol", self.security_protocol.map(name)),
            ("sasl.mechanism", self.sasl_mechanism.map(name)),
            ("sasl.username", self.sasl_username.clone()),
            ("sasl.password", self.sasl_secret().filter(|_| self.sasl_username.is_some())),
            ("ssl.ca.location", self.tls_ca.as_ref().map(path)),
            ("ssl.certificate.location", self.tls_certificate.as_ref().map(path)),
            ("ssl.key.location", self.tls_key.as_ref().map(path)),
            ("ssl.key.password", self.tls_key_secret().filter(|_| self.tls_key.is_some())),
        ] {
            if let Some(value) = value {
                config.set(key, value);
            }
        }
    }

    /// The same settings as environment variables, for a program that is started with them; with the secrets.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let all = [
            ("KAFKA_SECURITY_PROTOCOL", self.security_protocol.map(name)),
            ("KAFKA_SASL_MECHANISM", self.sasl_mechanism.map(name)),
            ("KAFKA_SASL_USERNAME", self.sasl_username.clone()),
            ("KAFKA_SASL_PASSWORD", self.sasl_secret()),
            ("KAFKA_TLS_CA", path(&self.tls_ca)),
            ("KAFKA_TLS_CERTIFICATE", path(&self.tls_certificate)),
            ("KAFKA_TLS_KEY", path(&self.tls_key)),
            ("KAFKA_TLS_KEY_PASSWORD", self.tls_key_secret()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl fmt::Display for SecurityArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.security_protocol.map_or_else(|| "plaintext".to_owned(), name))?;
        self.sasl_username.iter().try_for_each(|user| write!(f, " as {user}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        security: SecurityArgs,
    }

    fn parse(arguments: &[&str]) -> Result<SecurityArgs, clap::Error> {
        Command::try_parse_from(["test"].iter().chain(arguments)).map(|command| command.security)
    }

    #[test]
    fn a_password_file_is_used_without_its_line_break_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let path = file.path().to_str().unwrap();
        let user = ["--security-protocol", "SASL_SSL", "--sasl-mechanism", "scram-sha-512", "--sasl-username", "me"];
        let security = parse(&[&user[..], &["--sasl-password-file", path]].concat()).unwrap();
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert!(!format!("{security:?} {security}").contains("hunter2"));
        assert_eq!(security.to_string(), "sasl_ssl as me");
    }

    #[test]
    fn what_cannot_work_is_wrong_usage() {
        for (arguments, says) in [
            (&["--sasl-username", "me"][..], "--security-protocol"),
            (&["--tls-ca", "/dev/null"], "--security-protocol"),
            (&["--security-protocol", "ssl", "--tls-ca", "/nowhere/ca.pem"], "/nowhere/ca.pem can't be read"),
            (&["--security-protocol", "ssl", "--tls-key", "/dev/null"], "--tls-certificate"),
            (&["--security-protocol", "tls"], "sasl_ssl"),
            (&["--security-protocol", "ssl", "--sasl-mechanism", "GSSAPI"], "SCRAM-SHA-256"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
