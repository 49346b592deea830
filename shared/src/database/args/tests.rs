use std::collections::BTreeSet;

use clap::{CommandFactory, FromArgMatches, Parser};

use super::*;

#[derive(Parser)]
struct TestCommand {
    #[command(flatten)]
    database: DatabaseArgs,
}

fn settings(arguments: &[&str]) -> anyhow::Result<DatabaseSettings> {
    // The environment of the tests must not matter.
    let command = TestCommand::command().mut_args(|argument| argument.env("NEVER_SET"));
    let matches = command.try_get_matches_from(["program"].iter().chain(arguments))?;
    TestCommand::from_arg_matches(&matches)?.database.settings()
}

#[test]
fn without_settings_or_with_an_empty_url_the_database_is_that_of_the_local_stack() {
    assert_eq!(settings(&[]).unwrap().to_string(), "orderflow at 127.0.0.1:15432");
    assert_eq!(settings(&["--database-url", ""]).unwrap().to_string(), "orderflow at 127.0.0.1:15432");
}

/// A file with a password, and its path.
fn password_file(password: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), password).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn supabase_has_a_setting_for_its_password_which_may_have_any_characters() {
    let url = "postgresql://postgres:[YOUR-PASSWORD]@db.example.com:5432/postgres";
    let (_file, path) = password_file("p@s/s:word\n");
    let arguments = ["--db-type", "supabase", "--supabase-direct-url", url, "--supabase-password-file", &path];
    let found = settings(&arguments).unwrap();
    assert_eq!(found.config.get_password(), Some("p@s/s:word".as_bytes()));
    assert_eq!(found.config.get_ssl_mode(), SslMode::Require);
    assert_eq!(found.to_string(), "postgres at db.example.com:5432");
    assert!(settings(&["--db-type", "supabase", "--supabase-direct-url", url]).is_err());
}

#[test]
fn supabase_has_a_pooler_with_a_server_behind_it_or_the_server_alone() {
    let url = |port: u16| format!("postgresql://me:[YOUR-PASSWORD]@localhost:{port}/postgres");
    let (_file, path) = password_file("hunter2");
    let base = ["--db-type", "supabase", "--supabase-password-file", &path];
    let (direct, pooler) = (url(5432), url(6543));
    let (direct, pooler) = (["--supabase-direct-url", &direct], ["--supabase-pooler-url", &pooler]);
    let ports = |more: &[&str]| {
        let found = settings(&[&base, more].concat()).unwrap();
        (found.address().1, found.direct().address().1, found.has_pooler())
    };
    assert_eq!(ports(&direct), (5432, 5432, false));
    assert_eq!(ports(&[direct, pooler].concat()), (6543, 5432, true));
    assert_eq!(ports(&pooler), (6543, 6543, false), "it is detected");
    let other = "postgres://me@localhost:7/postgres";
    assert_eq!(ports(&[&direct[..], &pooler, &["--database-direct-url", other]].concat()), (6543, 7, true));
}

#[test]
fn a_missing_setting_is_named() {
    let error = settings(&["--db-type", "rds", "--rds-user", "me"]).err().unwrap();
    assert_eq!(error.to_string(), "DB_TYPE is rds, but not set: RDS_PASSWORD, RDS_HOST, RDS_DB");
}

#[test]
fn every_setting_can_be_given_in_the_environment_and_is_passed_on_to_programs() {
    let mut command = TestCommand::command();
    command.build();
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|argument| argument.get_id() != "help" && !argument.is_hide_set())
        .cloned()
        .collect();
    assert!(arguments.iter().all(|argument| argument.get_env().is_some() && argument.is_global_set()));
    let (_file, path) = password_file("hunter2");
    let value = |argument: &clap::Arg| match argument.get_id().as_str() {
        "db_type" => "local".to_owned(),
        "db_tls" => "disable".to_owned(),
        "db_pooler" => "transaction".to_owned(),
        "db_max_lifetime" | "postgres_password_ttl" => "1m".to_owned(),
        "postgres_port" | "rds_port" => "1".to_owned(),
        id if id.ends_with("_password_file") => path.clone(),
        _ => "value".to_owned(),
    };
    // It conflicts with --database-url.
    let given = arguments.iter().filter(|argument| argument.get_id() != "database");
    let has_value = |argument: &clap::Arg| argument.get_action().takes_values();
    let filled = given.flat_map(|argument| {
        let flag = format!("--{}", argument.get_long().unwrap());
        [Some(flag), has_value(argument).then(|| value(argument))].into_iter().flatten()
    });
    let program = TestCommand::parse_from(["program".to_owned()].into_iter().chain(filled));
    assert!(!format!("{:?}", program.database).contains("hunter2"));
    // The password of a file is passed on as a variable, which the file has priority over.
    let environment = program.database.environment();
    let names = environment.iter().map(|(name, _)| name.as_str());
    let passed_on: BTreeSet<&str> =
        names.filter(|name| !name.ends_with("_PASSWORD") && !name.starts_with("OAUTH_")).collect();
    let variables: BTreeSet<_> = arguments.iter().filter_map(|argument| argument.get_env()?.to_str()).collect();
    assert_eq!(passed_on, variables);
    for kind in ["POSTGRES", "SUPABASE", "RDS"] {
        for (name, value) in [("PASSWORD", "hunter2"), ("PASSWORD_FILE", "")] {
            assert!(environment.contains(&(format!("{kind}_{name}"), value.to_owned())), "{environment:?}");
        }
    }
}

#[test]
fn a_password_on_the_command_line_is_refused_without_being_printed() {
    let url = "postgres://me:hunter2@host/db";
    for (arguments, expected) in [
        (&["--postgres-password", "hunter2"][..], "POSTGRES_PASSWORD"),
        (&["--postgres-password=hunter2"], "--postgres-password-file"),
        (&["--supabase-password", "-hunter2"], "SUPABASE_PASSWORD"),
        (&["--rds-password", "hunter2"], "RDS_PASSWORD"),
        (&["--database-url", url], "DATABASE_URL"),
        (&["--database-url", "host=host password=hunter2"], "DATABASE_URL"),
        (&["--supabase-direct-url", url], "SUPABASE_PASSWORD"),
    ] {
        let error = settings(arguments).err().unwrap();
        let message = format!("{error:#}");
        assert_eq!(error.downcast_ref::<clap::Error>().unwrap().exit_code(), 2);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    assert!(settings(&["--database-url", "postgres://me@host/db"]).is_ok());
}

#[test]
fn another_host_and_a_managed_database_get_tls_unless_told_otherwise() {
    let mode = |arguments: &[&str]| settings(arguments).unwrap().config.get_ssl_mode();
    for url in [
        "postgres://me@localhost/db",
        "postgres://me@127.0.0.2:5432/db",
        "postgres://me@[::1]/db",
        "postgres:///db?host=/run/postgresql",
        "postgres://me@db.example.com/db?sslmode=disable",
    ] {
        assert_eq!(mode(&["--database-url", url]), SslMode::Disable, "{url}");
    }
    for url in [
        "postgres://me@db.example.com/db",
        "postgres://me@localhost,db.example.com/db",
        "postgres://me@localhost/db?hostaddr=10.0.0.1",
        "postgres://me@localhost/db?sslmode=verify-full",
        "postgres://me@db.localhost/db",
        "postgres:///db?hostaddr=10.0.0.1",
    ] {
        assert_eq!(mode(&["--database-url", url]), SslMode::Require, "{url}");
    }
    let socket = "postgres:///db?host=/run/postgresql";
    assert_eq!(mode(&["--database-url", socket, "--db-tls", "verify-full"]), SslMode::Disable);
    assert_eq!(mode(&["--postgres-host", "10.0.0.1"]), SslMode::Require);
    assert_eq!(mode(&["--postgres-host", "10.0.0.1", "--db-tls", "disable"]), SslMode::Disable);
    let url = "postgres://me:[YOUR-PASSWORD]@127.0.0.1/db";
    let (_file, path) = password_file("hunter2");
    let supabase = ["--db-type", "supabase", "--supabase-direct-url", url, "--supabase-password-file", &path];
    assert_eq!(mode(&supabase), SslMode::Require);
}

#[test]
fn a_url_has_its_own_timeouts() {
    let timeout = |url: &str| *settings(&["--database-url", url]).unwrap().config.get_connect_timeout().unwrap();
    assert_eq!(timeout("postgres://me@localhost/db"), Duration::from_secs(5));
    assert_eq!(timeout("postgres://me@localhost/db?connect_timeout=2"), Duration::from_secs(2));
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let (_file, path) = password_file("no certificate");
    for (arguments, expected) in [
        (&["--db-ca", "/nowhere/ca.pem"][..], "/nowhere/ca.pem can't be read"),
        (&["--db-ca", &path], "has no certificate"),
        (&["--db-cert", &path], "set DB_KEY"),
        (&["--db-key", &path], "set DB_CERT"),
        (&["--db-cert", &path, "--db-key", &path], "has no certificate"),
        (&["--db-tls", "verify-ca"], "anyone has a certificate"),
        (&["--database-url", "postgres://localhost/db?sslrootcert=system&sslmode=require"], "set DB_CA"),
    ] {
        let error = settings(arguments).err().unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}

#[test]
fn a_url_without_a_database_names_that_of_the_user_as_the_server_does() {
    assert_eq!(settings(&["--database-url", "postgres://me@localhost"]).unwrap().to_string(), "me at localhost:5432");
    let error = settings(&["--database-url", "postgres://localhost"]).err().unwrap();
    assert!(error.to_string().contains("names no database"), "{error:#}");
    let several = settings(&["--database-url", "postgres://me@localhost,db.example.com/db"]).unwrap();
    assert_eq!(several.to_string(), "db at localhost:5432 or db.example.com");
}
