use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
struct TestCommand {
    #[command(flatten)]
    named: NamedArgs,
    #[arg(long, env = "ENVIRONMENT_OF_THE_TEST")]
    database_url: Option<String>,
    #[arg(long)]
    database_direct_url: Option<String>,
    #[arg(long, default_value = "local")]
    db_type: String,
    #[arg(long)]
    postgres_user: Option<String>,
    #[arg(long)]
    postgres_host: Option<String>,
    #[arg(long)]
    postgres_port: Option<String>,
    #[arg(long)]
    postgres_db: Option<String>,
}

/// The arguments with these variables in place of the environment.
fn named(arguments: &[&str], variables: &[(&str, &str)]) -> Result<NamedArgs> {
    let command = TestCommand::command().mut_args(|argument| argument.env("NEVER_SET"));
    let matches = command.try_get_matches_from(["program"].iter().chain(arguments))?;
    let named = TestCommand::from_arg_matches(&matches)?.named;
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
    Ok(NamedArgs { variables: of_named(variables), ..named })
}

const URL: &str = "postgres://me:hunter2@db.example.com/orders";

#[test]
fn a_name_selects_the_url_of_either_variable() {
    let variables = [("RDS_EU_WEST_URL", URL), ("DATABASE_URL_B2", URL), ("DATABASE_DIRECT_URL_B2", URL)];
    for (name, variable, is_managed, has_direct) in [
        ("eu-west", "RDS_EU_WEST_URL", true, false),
        ("Eu_West", "RDS_EU_WEST_URL", true, false),
        ("b2", "DATABASE_URL_B2", false, true),
    ] {
        let named = named(&["--database", name], &variables).unwrap();
        let selected = named.selected().unwrap().unwrap();
        assert_eq!((selected.url.0.as_str(), selected.is_managed()), (variable, is_managed), "{name}");
        assert_eq!(selected.direct(&None).unwrap().is_some(), has_direct, "{name}");
        assert_eq!(selected.read(&None).unwrap().config.get_dbname(), Some("orders"));
    }
    assert!(named(&[], &variables).unwrap().selected().unwrap().is_none());
}

#[test]
fn the_certificate_of_rds_is_that_of_its_named_databases_unless_the_url_has_one() {
    let authorities = Some("rds.pem".to_owned());
    let with_own = format!("{URL}?sslrootcert=own.pem");
    for (variable, url, expected) in
        [("RDS_A_URL", URL, Some("rds.pem")), ("RDS_A_URL", &with_own, Some("own.pem")), ("DATABASE_URL_A", URL, None)]
    {
        let named = named(&["--database", "a"], &[(variable, url)]).unwrap();
        let read = named.selected().unwrap().unwrap().read(&authorities).unwrap();
        let expected = expected.map(|path| TlsOptions::with_authorities(&Some(path.to_owned())));
        assert_eq!(read.tls, expected.unwrap_or_default(), "{variable} {url}");
    }
}

#[test]
fn a_database_that_is_not_set_or_set_twice_is_told_with_its_variables() {
    let variables = [("RDS_A_URL", URL), ("DATABASE_URL_A", URL), ("DATABASE_URL_B", URL), ("DATABASE_URL_EMPTY", "")];
    let error = |name: &str, variables: &[(&str, &str)]| {
        let named = named(&["--database", name], variables).unwrap();
        named.selected().err().unwrap().to_string()
    };
    let twice = error("a", &variables);
    assert!(twice.contains("RDS_A_URL") && twice.contains("DATABASE_URL_A"), "{twice}");
    let missing = error("us-east", &variables);
    assert!(missing.contains("set RDS_US_EAST_URL or DATABASE_URL_US_EAST"), "{missing}");
    assert!(missing.ends_with("databases that are set: a, b"), "{missing}");
    assert!(error("empty", &[]).ends_with("none"));
    assert!(![twice, missing].concat().contains("hunter2"));
}

#[test]
fn what_is_no_name_is_refused_without_being_printed() {
    for name in ["", "a b", "a.b", "서울", URL] {
        let error = named(&["--database", name], &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains("letters, digits") && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn two_flags_that_name_a_database_are_refused() {
    for other in ["--database-url", "--database-direct-url"] {
        let error = named(&["--database", "a", other, "postgres://localhost/db"], &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(other), "{error}");
    }
}

#[test]
fn the_default_database_is_among_all_if_it_is_set_or_the_only_one() {
    let all = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = named(arguments, variables).unwrap().all();
        all.iter().map(|name| name.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)).collect::<Vec<_>>()
    };
    // A variable that only looks like one of them.
    let variables = [("RDS_B_URL", URL), ("DATABASE_URL_A", URL), ("DATABASE_DIRECT_URL_C", URL), ("RDS__URL", URL)];
    assert_eq!(all(&[], &variables[..3]), ["a", "b"]);
    assert_eq!(all(&["--database-url", ""], &variables[..3]), ["a", "b"]);
    assert_eq!(all(&["--db-type", "local"], &variables[..3]), ["-", "a", "b"]);
    assert_eq!(all(&["--database-url", URL], &variables[..3]), ["-", "a", "b"]);
    assert_eq!(all(&[], &variables[2..3]), ["-"]);
    assert_eq!(all(&[], &[("RDS_HOST", URL), ("RDS__URL", ""), ("RDS_URL", URL), ("RDS_a_URL", URL)]), ["-"]);
}

#[test]
fn another_database_of_the_server_is_passed_on_to_programs() {
    let variables = [("DATABASE_URL_A", URL), ("DATABASE_URL_B", URL)];
    let renamed = named(&["--database", "a"], &variables)
        .unwrap()
        .changed(|url, variable| Ok(database_url::with_database(url.expose_secret(), variable, "other")?.into()));
    let other = "postgres://me:hunter2@db.example.com/other?".to_owned();
    let expected = [("ORDERFLOW_DATABASE", Some("a".to_owned())), ("DATABASE_URL_A", Some(other))];
    assert_eq!(renamed.unwrap().environment(), expected);
    let default = named(&[], &variables).unwrap();
    assert_eq!(default.environment(), [("ORDERFLOW_DATABASE", Some(String::new()))], "the child must not inherit one");
}
