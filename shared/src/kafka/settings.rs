use std::{fmt, time::Duration};

use clap::Args;
use rdkafka::ClientConfig;

use super::security::SecuritySettings;
use crate::secret::Unprinted;

/// Timeout of the first answer of the cluster.
pub const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The client settings of a Kafka cluster.
#[derive(Clone, Debug, Args)]
pub struct KafkaSettings {
    /// Bootstrap servers: HOST:PORT, comma-separated.
    #[arg(
        long,
        visible_alias = "bootstrap-server",
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094",
        help_heading = "Kafka"
    )]
    pub brokers: String,
    /// Encryption and authentication.
    #[command(flatten)]
    pub security: SecuritySettings,
    /// Any other setting of librdkafka; may be repeated; overrides the program's own settings. A secret is refused: put
    /// it in the file of --kafka-config-file.
    #[arg(long = "kafka-config", value_name = "KEY=VALUE", value_parser = Unprinted(key_value), help_heading = "Kafka")]
    pub extra: Vec<(String, String)>,
    /// File of such settings, one KEY=VALUE per line; it may contain secrets.
    #[arg(
        long = "kafka-config-file",
        env = "KAFKA_CONFIG_FILE",
        value_name = "FILE",
        value_parser = config_file,
        help_heading = "Kafka"
    )]
    config_file: Option<ConfigFile>,
}

/// Settings of group members. librdkafka refuses them, or warns, when a client is not a member of a group.
const MEMBER_SETTINGS: [&str; 7] = [
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "session.timeout.ms",
];

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        // All users of a machine can read the command lines of its processes.
        Some((key, _)) if is_secret(key.trim()) => Err(format!(
            "{} is a secret and must not be on a command line: set KAFKA_SASL_PASSWORD or KAFKA_TLS_KEY_PASSWORD in \
             the environment, or put it in the file of --kafka-config-file",
            key.trim()
        )),
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as linger.ms=5".to_owned()),
    }
}

fn is_secret(key: &str) -> bool {
    ["password", "secret", "jaas", "token"].iter().any(|word| key.contains(word)) || key == "ssl.key.pem"
}

/// A file of librdkafka settings, one `KEY=VALUE` per line; a line that starts with `#` is a comment. `Debug` shows the
/// path alone, since the values may be secrets.
#[derive(Clone)]
pub struct ConfigFile {
    path: String,
    settings: Vec<(String, String)>,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

fn config_file(path: &str) -> Result<ConfigFile, String> {
    let content = std::fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"))?;
    let mut settings = Vec::new();
    for (number, line) in (1..).zip(content.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) => settings.push((key.trim().to_owned(), value.trim().to_owned())),
            None => return Err(format!("line {number} of {path} is not KEY=VALUE")),
        }
    }
    Ok(ConfigFile { path: path.to_owned(), settings })
}

impl KafkaSettings {
    /// The configuration of a client that is not a member of a group: the settings `role`, overridden by the user's
    /// settings. The user's settings for group members are left out.
    pub fn client(&self, role: &[(&str, &str)]) -> ClientConfig {
        self.client_with(role, |key| !MEMBER_SETTINGS.contains(&key))
    }

    /// The configuration of a group member: the settings `role`, overridden by the user's settings.
    pub fn member(&self, role: &[(&str, &str)]) -> ClientConfig {
        self.client_with(role, |_| true)
    }

    fn client_with(&self, role: &[(&str, &str)], accepts: impl Fn(&str) -> bool) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "orderflow");
        // A broker that does not answer counts as lost after 10 s instead of 60 (invariant 12). A broker that is back
        // is used within 2 s.
        config.set("socket.timeout.ms", "10000").set("reconnect.backoff.max.ms", "2000");
        self.security.apply(&mut config);
        for (key, value) in role {
            config.set(*key, *value);
        }
        for (key, value) in self.extra_settings().filter(|(key, _)| accepts(key)) {
            config.set(key, value);
        }
        config
    }

    /// The user's further librdkafka settings: those of `--kafka-config-file`, then those of `--kafka-config`. The last
    /// value of a key counts.
    pub fn extra_settings(&self) -> impl Iterator<Item = &(String, String)> {
        self.config_file.iter().flat_map(|file| &file.settings).chain(&self.extra)
    }

    /// These settings as environment variables for a child process. They include the passwords, but not
    /// `--kafka-config`, which has no variable.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.security.environment();
        environment.push(("KAFKA_BROKERS".to_owned(), self.brokers.clone()));
        environment.extend(self.config_file.iter().map(|file| ("KAFKA_CONFIG_FILE".to_owned(), file.path.clone())));
        environment
    }
}
