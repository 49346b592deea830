use std::{fmt, time::Duration};

use clap::Args;
use rdkafka::ClientConfig;

use super::security::SecurityArgs;

/// How long the cluster may take for its first answer.
pub const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach the cluster.
#[derive(Clone, Debug, Args)]
pub struct KafkaSettings {
    /// Brokers to start from, HOST:PORT, comma-separated.
    #[arg(
        long,
        visible_alias = "bootstrap-server",
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094",
        help_heading = "Kafka"
    )]
    pub brokers: String,
    /// How to get in.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// Anything else that librdkafka has a setting for, KEY=VALUE; may be repeated, wins over our own choice. Secrets are
    /// refused here.
    #[arg(long = "kafka-config", value_name = "KEY=VALUE", value_parser = key_value, help_heading = "Kafka")]
    pub extra: Vec<(String, String)>,
    /// A file of such settings, one KEY=VALUE a line, which may be secrets.
    #[arg(long = "kafka-config-file", env = "KAFKA_CONFIG_FILE", value_name = "FILE", value_parser = config_file, help_heading = "Kafka")]
    config_file: Option<ConfigFile>,
}

/// The library refuses, or warns of, those that don't fit the other settings of a client that is no member.
const OF_MEMBERS: [&str; 7] = [
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
        // Whoever lists the machine's processes reads the command line.
        Some((key, _)) if is_secret(key.trim()) => Err(format!(
            "{} is a secret, which does not belong on a command line: give KAFKA_SASL_PASSWORD or KAFKA_TLS_KEY_PASSWORD in \
             the environment, anything else in a file named by KAFKA_CONFIG_FILE",
            key.trim()
        )),
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as linger.ms=5".to_owned()),
    }
}

fn is_secret(key: &str) -> bool {
    ["password", "secret", "jaas", "token"].iter().any(|word| key.contains(word)) || key == "ssl.key.pem"
}

/// A file of librdkafka's settings, one `KEY=VALUE` a line; `#` begins a comment. Read once, and never shown.
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
    /// The configuration of a client that is no member of a group, with `role`'s own settings, and the user's over them; those
    /// that only a member can make sense of are left out.
    pub fn client(&self, role: &[(&str, &str)]) -> ClientConfig {
        self.client_with(role, |key| !OF_MEMBERS.contains(&key))
    }

    /// The configuration of a group's member.
    pub fn member(&self, role: &[(&str, &str)]) -> ClientConfig {
        self.client_with(role, |_| true)
    }

    fn client_with(&self, role: &[(&str, &str)], takes: impl Fn(&str) -> bool) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "orderflow");
        // A broker that went silent is noticed after 10 s, not 60 (invariant 12); one that is back is used soon.
        config.set("socket.timeout.ms", "10000").set("reconnect.backoff.max.ms", "2000");
        self.security.apply(&mut config);
        for (key, value) in role {
            config.set(*key, *value);
        }
        for (key, value) in self.extra_settings().filter(|(key, _)| takes(key)) {
            config.set(key, value);
        }
        config
    }

    /// What was asked for beyond the settings here, the latter over the former where both say something.
    pub fn extra_settings(&self) -> impl Iterator<Item = &(String, String)> {
        self.config_file.iter().flat_map(|file| &file.settings).chain(&self.extra)
    }

    /// The same settings as environment variables, for a program that is started with them; with the secrets, without
    /// `--kafka-config`, which has no variable.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.security.environment();
        environment.push(("KAFKA_BROKERS".to_owned(), self.brokers.clone()));
        environment.extend(self.config_file.iter().map(|file| ("KAFKA_CONFIG_FILE".to_owned(), file.path.clone())));
        environment
    }
}
