use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use rdkafka::ClientConfig;

use super::security::SecurityArgs;

/// How long a first answer of the cluster is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How to reach the cluster.
#[derive(Clone, Debug, Args)]
pub struct KafkaSettings {
    /// Brokers to start from, HOST:PORT, comma-separated.
    #[arg(
        long,
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094",
        help_heading = "Kafka"
    )]
    pub brokers: String,
    /// How to get in.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// Anything else that librdkafka has a setting for, KEY=VALUE; may be repeated, wins over our own choice.
    #[arg(long = "kafka-config", value_name = "KEY=VALUE", value_parser = key_value, help_heading = "Kafka")]
    pub extra: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as linger.ms=5".to_owned()),
    }
}

impl KafkaSettings {
    /// A client configuration with `role`'s own settings, and the user's over them.
    pub fn client(&self, role: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "orderflow");
        // A broker that went silent is noticed after 10 s, not 60 (invariant 12); one that is back is used soon.
        config.set("socket.timeout.ms", "10000").set("reconnect.backoff.max.ms", "2000");
        self.security.apply(&mut config);
        for (key, value) in role {
            config.set(*key, *value);
        }
        for (key, value) in &self.extra {
            config.set(key, value);
        }
        config
    }

    /// What was asked for with `--kafka-config`, for a record of the run; values that may be secrets are left out.
    pub fn extra_for_record(&self) -> BTreeMap<String, String> {
        let hidden = |key: &str| ["password", "secret", "key", "jaas", "token"].iter().any(|word| key.contains(word));
        self.extra
            .iter()
            .map(|(key, value)| (key.clone(), if hidden(key) { "***".to_owned() } else { value.clone() }))
            .collect()
    }

    /// The same settings as environment variables, for a program that is started with them; with the secrets, without
    /// `--kafka-config`, which has no variable.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.security.environment();
        environment.push(("KAFKA_BROKERS".to_owned(), self.brokers.clone()));
        environment
    }
}
