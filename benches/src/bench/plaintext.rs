//! Some contestants know neither TLS nor passwords of Kafka.

use anyhow::ensure;
use shared::kafka::KafkaSettings;

/// # Errors
/// When the settings, from flags, the environment or a file, have TLS or SASL.
pub fn require_plaintext(kafka: &KafkaSettings) -> anyhow::Result<()> {
    let protocol = kafka.client(&[]).get("security.protocol").unwrap_or("plaintext").to_lowercase();
    ensure!(
        protocol == "plaintext",
        "the bench compares clients without TLS and SASL: give it brokers that accept plaintext, not {protocol}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        kafka: KafkaSettings,
    }

    fn check(arguments: &[&str]) -> anyhow::Result<()> {
        require_plaintext(&Settings::parse_from([&["bench"], arguments].concat()).kafka)
    }

    #[test]
    fn brokers_with_tls_or_sasl_are_refused_by_whatever_setting() {
        check(&[]).unwrap();
        check(&["--kafka-config", "linger.ms=3"]).unwrap();
        for arguments in [["--security-protocol", "ssl"], ["--kafka-config", "security.protocol=SASL_PLAINTEXT"]] {
            let error = check(&arguments).unwrap_err().to_string();
            assert!(error.contains("plaintext"), "{error}");
        }
    }
}
