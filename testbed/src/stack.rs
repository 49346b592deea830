use std::{collections::BTreeMap, path::PathBuf, process::Command};

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack");

fn stack_name() -> String {
    let name = std::env::var("ORDERFLOW_TEST_STACK").or_else(|_| std::env::var("ORDERFLOW_STACK"));
    name.expect("ORDERFLOW_TEST_STACK or ORDERFLOW_STACK names the stack of the tests")
}

/// Runs SQL as the superuser of PostgreSQL, for what the role of the programs may not do, such as roles.
///
/// # Panics
/// When the stack does not exist, or a statement fails.
pub fn sql_as_superuser(statements: &str) {
    let psql = ["--name", &stack_name(), "psql", "--superuser", "-qXv", "ON_ERROR_STOP=1", "-c", statements];
    let output = Command::new(STACK).args(psql).output().expect("deploy/stack runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The variables of Kafka, of Supabase and of TLS with PostgreSQL in `deploy/stack env OPTION`, of the stack of the
/// tests.
///
/// # Panics
/// When the stack does not exist, or has no certificates or no PgBouncer.
pub fn stack_environment(option: &str) -> BTreeMap<String, String> {
    let (stack, name) = (STACK, stack_name());
    let script = format!("set -e; settings=$('{stack}' --name '{name}' env {option}); eval \"$settings\"; env -0");
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = String::from_utf8(output.stdout).expect("the variables are UTF-8");
    let variables = all.split('\0').filter_map(|variable| variable.split_once('='));
    let is_wanted = |name: &str| ["KAFKA_", "DB_", "SUPABASE_"].iter().any(|prefix| name.starts_with(prefix));
    variables.filter(|(name, _)| is_wanted(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The folder of the stack of the tests.
///
/// # Panics
/// When the stack does not exist, or has no certificates.
pub(crate) fn stack_folder() -> PathBuf {
    let certificate = PathBuf::from(&stack_environment("--tls")["DB_CA"]);
    certificate.ancestors().nth(2).expect("the certificates have a folder in that of the stack").to_owned()
}
