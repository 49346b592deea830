//! What `orderdb debug` prints, and that it prints no secret.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use clap::CommandFactory;
use serde_json::Value;
use testbed::Testbed;

async fn orderdb(bed: &Testbed, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    let environment = bed.environment().into_iter().filter(|(name, _)| name != "RDS_PORT");
    orderdb.args(arguments).envs(environment).envs(variables.iter().copied()).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

/// The value and the source of a setting.
fn setting<'a>(debug: &'a Value, name: &str) -> (&'a Value, &'a str) {
    let found = debug["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name);
    let found = found.unwrap_or_else(|| panic!("{name} is not in {debug:#}"));
    (&found["value"], found["source"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_has_its_source_and_each_service_its_version() {
    let bed = Testbed::new("debug_sources").await;
    let env_file = bed.folder().join("env");
    fs::write(&env_file, "RDS_HOST=of-the-file\nREDIS_PREFIX=of-the-file\nSUPABASE_PASSWORD=hunter2\n").unwrap();
    let variables = [("ORDERFLOW_ENV_FILE", env_file.to_str().unwrap()), ("DB_MAX_LIFETIME", "7m")];
    let output = orderdb(&bed, &["debug", "--output", "json", "--rds-user", "of-the-flag"], &variables).await;
    assert!(output.status.success(), "{output:?}");
    let debug: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, value, source) in [
        ("RDS_USER", "of-the-flag", "flag"),
        ("DB_MAX_LIFETIME", "7m", "environment"),
        ("RDS_HOST", "of-the-file", "env-file"),
        ("RDS_PORT", "5432", "default"),
        ("SUPABASE_PASSWORD", "******", "env-file"),
        ("POSTGRES_PASSWORD", "******", "environment"),
    ] {
        assert_eq!(setting(&debug, name), (&value.into(), source), "{name}");
    }
    // It was set before.
    assert_eq!(setting(&debug, "REDIS_PREFIX"), (&format!("{}:", bed.name).into(), "environment"));
    assert_eq!(setting(&debug, "RDS_DB"), (&Value::Null, "not-set"));
    assert_eq!(debug["env_file"], env_file.to_str().unwrap());
    for program in ["orderflow", "librdkafka", "postgresql", "redis"] {
        let version = debug["versions"][program].as_str().unwrap();
        assert!(version.starts_with(char::is_numeric), "{program}: {version}");
    }
    assert!(debug["versions"]["kafka"].as_str().unwrap().starts_with("brokers "), "{debug:#}");
    assert!(debug["platform"]["target"].as_str().unwrap().contains("linux"), "{debug:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_wherever_it_is() {
    let bed = Testbed::new("debug_secrets").await;
    let secret_file = bed.folder().join("secret");
    fs::write(&secret_file, "hunter2\n").unwrap();
    let kafka_file = bed.folder().join("kafka");
    fs::write(&kafka_file, "client.id=hunter2\n").unwrap();
    let url = "postgres://me:hunter2@127.0.0.1:1/db";
    let command = orderdb::settings::Command::command();
    let debug = command.find_subcommand("debug").unwrap();
    // Every setting with a variable has a secret, a URL with one, or a file with one.
    let arguments = debug.get_arguments().chain(command.get_arguments());
    let names = arguments.filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    let value = |name: &str| match name {
        "ORDERFLOW_DATABASE" => Some("hidden"),
        "KAFKA_CONFIG_FILE" => kafka_file.to_str(),
        "REDIS_URL" => Some("redis://:hunter2@127.0.0.1:1"),
        "SUPABASE_CA_CERT" | "RDS_CA_CERT" => Some("-----BEGIN CERTIFICATE-----hunter2"),
        // A cluster that does not answer is waited for.
        name if name.starts_with("KAFKA_") || name.ends_with("_PORT") => None,
        name if name.ends_with("_PASSWORD_FILE") => secret_file.to_str(),
        "DB_TYPE" | "DB_POOLER" | "DB_MAX_LIFETIME" | "DB_TLS" | "DB_CA" | "DB_CERT" | "DB_KEY" => None,
        "POSTGRES_PASSWORD_TTL" => None,
        "ORDERFLOW_LOG_FORMAT" => None,
        // Also where a URL does not belong.
        _ => Some(url),
    };
    let names: Vec<String> = names.collect();
    let mut variables: Vec<(&str, &str)> =
        names.iter().filter_map(|name| Some((name.as_str(), value(name)?))).collect();
    assert!(variables.len() > 15, "{variables:?}");
    variables.extend([
        ("POSTGRES_PASSWORD", "hunter2"),
        ("SUPABASE_PASSWORD", "hunter2"),
        ("RDS_PASSWORD", "hunter2"),
        ("REDIS_PASSWORD", "hunter2"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
        ("KAFKA_TLS_KEY_PASSWORD", "hunter2"),
        ("OAUTH_CLIENT_SECRET", "hunter2"),
        ("DATABASE_URL_HIDDEN", url),
        ("DATABASE_DIRECT_URL_HIDDEN", url),
        ("RDS_OTHER_URL", url),
    ]);
    // The second time, with the default database, whose host is a URL.
    for (format, left_out) in [("text", &[][..]), ("json", &["ORDERFLOW_DATABASE", "DATABASE_URL"])] {
        variables.retain(|(name, _)| !left_out.contains(name));
        let arguments = ["debug", "--output", format, "--kafka-config", "client.rack=hunter2"];
        let output = orderdb(&bed, &arguments, &variables).await;
        assert!(output.status.success(), "{output:?}");
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(printed.contains("DATABASE_URL_HIDDEN") && printed.contains("******"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_completions_of_each_shell_name_the_commands() {
    let bed = Testbed::new("completions").await;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = orderdb(&bed, &["completions", shell], &[]).await;
        let script = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && script.contains("orderdb") && script.contains("migrate"),
            "{shell}: {script}"
        );
    }
    let output = orderdb(&bed, &["completions", "tcsh"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
}
