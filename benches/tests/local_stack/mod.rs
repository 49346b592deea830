//! The local stack: its settings, and what protects it from other users of the machine.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use benches::measure::stack_folder;
use testbed::Testbed;

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack");

fn stack_name() -> String {
    std::env::var("ORDERFLOW_TEST_STACK").expect("ORDERFLOW_TEST_STACK names the stack of the tests")
}

#[test]
fn the_settings_of_a_stack_remove_every_other_setting_of_a_service() {
    let mut stack = Command::new(STACK);
    stack.args(["--name", &stack_name(), "env"]);
    let foreign = ["PGHOSTADDR", "PGSERVICE", "REDISCLI_AUTH", "SUPABASE_URL", "RDS_PROD_URL", "KAFKA_CONFIG_FILE"];
    let output =
        stack.envs(foreign.map(|name| (name, "192.0.2.1"))).env("POSTGRES_HOST", "192.0.2.1").output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    for name in foreign {
        assert!(lines.lines().any(|line| line == format!("unset {name}")), "{name}: {lines}");
    }
    assert!(lines.contains("export POSTGRES_HOST=127.0.0.1\n") && !lines.contains("192.0.2.1"), "{lines}");
}

#[tokio::test]
async fn the_passwords_are_random_and_secret_and_the_programs_are_no_superuser() {
    let bed = Testbed::new("local_stack").await;
    let query = "SELECT rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles \
                 WHERE rolname = current_user";
    assert!(!bed.sql().await.query_one(query, &[]).await.unwrap().get::<_, bool>(0), "the role has too many rights");

    let environment = bed.environment();
    let variable = |name: &str| environment.iter().find(|(known, _)| known == name).unwrap().1.as_str();
    let redis = variable("REDIS_URL");
    let (_, address) = redis.split_once('@').expect("the URL has a password");
    let connecting = async {
        let client = redis::Client::open(format!("redis://{address}"))?;
        redis::cmd("PING").query_async::<String>(&mut client.get_multiplexed_async_connection().await?).await
    };
    let refused = connecting.await.expect_err("Redis accepts a client without the password");
    assert!(refused.to_string().contains("NOAUTH") || refused.to_string().contains("Authentication"), "{refused}");

    let folder = stack_folder(Path::new(STACK), &stack_name());
    let passwords = std::fs::read_to_string(folder.join("passwords")).unwrap();
    let mut values: Vec<&str> = passwords.lines().filter_map(|line| Some(line.split_once('=')?.1)).collect();
    assert!(values.len() == 4 && values.iter().all(|value| value.len() == 40), "{} passwords", values.len());
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 4, "each has its own");
    for file in ["passwords", "redis.conf", "kafka-1", "tls"] {
        let mode = std::fs::metadata(folder.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is not for its user alone: {mode:o}");
    }
}
