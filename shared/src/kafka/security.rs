use std::{fmt, path::PathBuf};

use clap::{
    Args, ValueEnum,
    builder::{EnumValueParser, TypedValueParser},
};
use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::{credentials::OAuthClient, secret};

/// Encryption and authentication of the connection to the brokers (librdkafka's `security.protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecurityProtocol {
    /// No encryption, no authentication.
    Plaintext,
    /// TLS, with a client certificate if one is set.
    Ssl,
    /// User name and password, without encryption.
    #[value(name = "sasl_plaintext", alias = "sasl-plaintext")]
    SaslPlaintext,
    /// User name and password over TLS.
    #[value(name = "sasl_ssl", alias = "sasl-ssl")]
    SaslSsl,
}

/// Authentication of a user (librdkafka's `sasl.mechanism`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaslMechanism {
    /// The password is sent as it is.
    #[value(name = "PLAIN")]
    Plain,
    /// Challenge and response with SHA-256; the password is not sent.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response with SHA-512; the password is not sent.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
    /// An access token by OAuth, of the client in OAUTH_TOKEN_URL, OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET.
    #[value(name = "OAUTHBEARER")]
    OAuthBearer,
}

/// A mechanism, with what it needs from the environment.
#[derive(Clone, Debug)]
enum Sasl {
    Password(SaslMechanism),
    OAuth(OAuthClient),
}

impl Sasl {
    fn new(mechanism: SaslMechanism) -> Result<Self, String> {
        match mechanism {
            SaslMechanism::OAuthBearer => {
                OAuthClient::from_environment().map(Self::OAuth).map_err(|e| format!("{e:#}"))
            }
            mechanism => Ok(Self::Password(mechanism)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Password(mechanism) => name(*mechanism),
            Self::OAuth(_) => name(SaslMechanism::OAuthBearer),
        }
    }

    fn oauth(&self) -> Option<&OAuthClient> {
        match self {
            Self::Password(_) => None,
            Self::OAuth(client) => Some(client),
        }
    }
}

/// The settings of a secured cluster. Passwords come from the environment or from a file, never from the command line:
/// all users of a machine can read the command lines of its processes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kafka security")]
pub struct SecuritySettings {
    /// Encryption and authentication; `plaintext` when not set.
    #[arg(long, env = "KAFKA_SECURITY_PROTOCOL", value_enum, ignore_case = true)]
    security_protocol: Option<SecurityProtocol>,
    /// SASL mechanism.
    #[arg(
        long,
        env = "KAFKA_SASL_MECHANISM",
        value_parser = EnumValueParser::<SaslMechanism>::new().try_map(Sasl::new),
        ignore_case = true,
        requires = "security_protocol"
    )]
    sasl_mechanism: Option<Sasl>,
    /// Scope of the access tokens, for OAUTHBEARER.
    #[arg(long, env = "KAFKA_OAUTH_SCOPE", requires = "sasl_mechanism")]
    sasl_oauth_scope: Option<String>,
    /// User name; its password is in KAFKA_SASL_PASSWORD or in a file.
    #[arg(long, env = "KAFKA_SASL_USERNAME", requires = "sasl_mechanism")]
    sasl_username: Option<String>,
    /// File with the password of the user.
    #[arg(
        long,
        env = "KAFKA_SASL_PASSWORD_FILE",
        value_name = "FILE",
        value_parser = secret::file,
        requires = "sasl_username"
    )]
    sasl_password_file: Option<SecretString>,
    #[arg(skip = secret::variable("KAFKA_SASL_PASSWORD"))]
    sasl_password: Option<SecretString>,
    /// File with the CA certificate that signed those of the brokers, PEM; the CAs of the system when not set.
    #[arg(
        long,
        env = "KAFKA_TLS_CA",
        value_name = "FILE",
        value_parser = readable_file,
        requires = "security_protocol"
    )]
    tls_ca: Option<PathBuf>,
    /// File with the client certificate, PEM, for brokers that require one.
    #[arg(long, env = "KAFKA_TLS_CERTIFICATE", value_name = "FILE", value_parser = readable_file, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// File with the key of the client certificate, PEM; its password, if it has one, is in KAFKA_TLS_KEY_PASSWORD or
    /// in a file.
    #[arg(long, env = "KAFKA_TLS_KEY", value_name = "FILE", value_parser = readable_file, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// File with the password of the key.
    #[arg(
        long,
        env = "KAFKA_TLS_KEY_PASSWORD_FILE",
        value_name = "FILE",
        value_parser = secret::file,
        requires = "tls_key"
    )]
    tls_key_password_file: Option<SecretString>,
    #[arg(skip = secret::variable("KAFKA_TLS_KEY_PASSWORD"))]
    tls_key_password: Option<SecretString>,
}

/// Checks that a file can be read. librdkafka's error for a missing file does not say that it is missing.
fn readable_file(path: &str) -> Result<PathBuf, String> {
    std::fs::File::open(path).map(|_| path.into()).map_err(|error| format!("{path} can't be read: {error}"))
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn exposed(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned())
}

impl SecuritySettings {
    fn sasl_secret(&self) -> Option<String> {
        exposed(secret::of_file_or_variable(&self.sasl_password_file, &self.sasl_password))
    }

    fn tls_key_secret(&self) -> Option<String> {
        exposed(secret::of_file_or_variable(&self.tls_key_password_file, &self.tls_key_password))
    }

    /// Copies the settings into `config`.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        let path = |path: &PathBuf| path.display().to_string();
        for (key, value) in [
            ("security.protocol", self.security_protocol.map(name)),
            ("sasl.mechanism", self.sasl_mechanism.as_ref().map(Sasl::name)),
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
        if let Some(client) = self.oauth() {
            for (key, value) in client.librdkafka(self.sasl_oauth_scope.as_deref().filter(|scope| !scope.is_empty())) {
                config.set(key, value);
            }
        }
    }

    fn oauth(&self) -> Option<&OAuthClient> {
        self.sasl_mechanism.as_ref().and_then(Sasl::oauth)
    }

    /// These settings as environment variables for a child process. They include the passwords.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let all = [
            ("KAFKA_SECURITY_PROTOCOL", self.security_protocol.map(name)),
            ("KAFKA_SASL_MECHANISM", self.sasl_mechanism.as_ref().map(Sasl::name)),
            ("KAFKA_OAUTH_SCOPE", self.sasl_oauth_scope.clone()),
            ("KAFKA_SASL_USERNAME", self.sasl_username.clone()),
            ("KAFKA_SASL_PASSWORD", self.sasl_secret()),
            ("KAFKA_TLS_CA", path(&self.tls_ca)),
            ("KAFKA_TLS_CERTIFICATE", path(&self.tls_certificate)),
            ("KAFKA_TLS_KEY", path(&self.tls_key)),
            ("KAFKA_TLS_KEY_PASSWORD", self.tls_key_secret()),
        ];
        let oauth =
            self.oauth().into_iter().flat_map(OAuthClient::environment).map(|(name, value)| (name, Some(value)));
        all.into_iter().chain(oauth).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl fmt::Display for SecuritySettings {
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
    struct TestCommand {
        #[command(flatten)]
        security: SecuritySettings,
    }

    fn parse(arguments: &[&str]) -> Result<SecuritySettings, clap::Error> {
        TestCommand::try_parse_from(["test"].iter().chain(arguments)).map(|command| command.security)
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
        for (arguments, expected) in [
            (&["--sasl-username", "me"][..], "--security-protocol"),
            (&["--tls-ca", "/dev/null"], "--security-protocol"),
            (&["--security-protocol", "ssl", "--tls-ca", "/nowhere/ca.pem"], "/nowhere/ca.pem can't be read"),
            (&["--security-protocol", "ssl", "--tls-key", "/dev/null"], "--tls-certificate"),
            (&["--security-protocol", "tls"], "sasl_ssl"),
            (&["--security-protocol", "ssl", "--sasl-mechanism", "GSSAPI"], "SCRAM-SHA-256"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
