//! The documents match the programs: every variable, default, metric, flag, log message and link in them exists.
//!
//! A failed test lists each difference with its file and line. No services are needed.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod documents;
mod observability;

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory};
use documents::{Line, code, documents, read, root};

/// Maximum width of a line.
const MAX_LINE_WIDTH: usize = 120;

/// Variables that are read outside of clap, and documented with the others.
const READ_OUTSIDE_OF_CLAP: [&str; 21] = [
    // shared/src/secret.rs: secrets have no flag.
    "CREDENTIALS_DIRECTORY",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_TLS_KEY_PASSWORD",
    "POSTGRES_PASSWORD",
    "RDS_PASSWORD",
    "REDIS_PASSWORD",
    "SUPABASE_PASSWORD",
    // shared/src/credentials/oauth.rs: of PostgreSQL and of Kafka, so it belongs to neither's flags.
    "OAUTH_CA",
    "OAUTH_CLIENT_ID",
    "OAUTH_CLIENT_SECRET",
    "OAUTH_CLIENT_SECRET_FILE",
    "OAUTH_TOKEN_URL",
    // shared/src/program.rs
    "ORDERFLOW_ENV_FILE",
    // shared/src/telemetry/logs.rs
    "RUST_LOG",
    // shared/src/traces/settings.rs
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    // opentelemetry-otlp and opentelemetry_sdk
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_RESOURCE_ATTRIBUTES",
    // deploy/stack
    "JAVA_HOME",
    "KAFKA_OPTS",
    "ORDERFLOW_STATE",
    "XDG_CACHE_HOME",
];

/// Scripts whose `--help` names their flags.
const SCRIPTS: [&str; 6] =
    ["deploy/run", "deploy/stack", "deploy/test", "deploy/docs-examples", "deploy/mutants", "deploy/package"];

/// Third-party programs, whose flags are not checked. Those of Kafka's tools (`kafka-…`) are not either.
const THIRD_PARTY_PROGRAMS: [&str; 10] =
    ["cargo", "curl", "date", "docker", "git", "grep", "psql", "redis-cli", "shellcheck", "systemctl"];

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn programs() -> BTreeMap<&'static str, Command> {
    BTreeMap::from([
        ("cache-worker", cache_worker::settings::Command::command()),
        ("consumer", consumer::settings::Command::command()),
        ("loadtest", benches::settings::Command::command()),
        ("orderdb", orderdb::settings::Command::command()),
        ("producer", producer::settings::Command::command()),
    ])
}

/// The arguments of a program and of all its subcommands.
fn arguments(command: &Command) -> Vec<&Arg> {
    command.get_arguments().chain(command.get_subcommands().flat_map(arguments)).collect()
}

/// The flag, default and programs of a variable, as documented or as clap has them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Variable {
    flag: String,
    default: String,
    programs: BTreeSet<String>,
}

fn variables_of_clap() -> BTreeMap<String, Variable> {
    let mut variables: BTreeMap<String, Variable> = BTreeMap::new();
    for (program, command) in programs() {
        for argument in arguments(&command) {
            let Some(name) = argument.get_env() else { continue };
            let variable = variables.entry(name.to_str().unwrap().to_owned()).or_default();
            variable.programs.insert(program.to_owned());
            variable.flag = format!("--{}", argument.get_long().unwrap());
            let defaults = argument.get_default_values().iter().map(|value| value.to_str().unwrap());
            variable.default = defaults.collect::<Vec<_>>().join(",");
        }
    }
    variables
}

/// Variables that are not about the services of a program.
const NOT_OF_A_SERVICE: [&str; 7] =
    ["RUNS_DIR", "RUST_LOG", "ORDERFLOW_LOG_FORMAT", "JAVA_HOME", "KAFKA_OPTS", "ORDERFLOW_STATE", "XDG_CACHE_HOME"];

#[test]
fn deploy_run_clears_every_variable_by_which_a_program_finds_its_services() {
    let mut names: BTreeSet<String> = variables_of_clap().into_keys().collect();
    names.extend(READ_OUTSIDE_OF_CLAP.iter().map(|name| (*name).to_owned()));
    names.extend(["PGHOSTADDR", "PGSERVICE", "REDISCLI_AUTH"].map(str::to_owned));
    names.retain(|name| !NOT_OF_A_SERVICE.contains(&name.as_str()));
    let script = "ROOT=/nowhere; source deploy/stack.d/environment.sh; clear_service_settings; env";
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script]).current_dir(root()).envs(names.iter().map(|name| (name, "trap")));
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (left, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let kept = left.lines().filter(|line| line.ends_with("=trap")).map(|line| format!("deploy/run keeps {line}"));
    let problems: Vec<String> = kept.collect();
    assert_none(&problems);
    assert!(left.lines().any(|line| line == "ORDERFLOW_ENV_FILE=/dev/null"), "{left}");
    assert!(names.iter().all(|name| told.contains(name.as_str()) || name == "ORDERFLOW_ENV_FILE"), "{told}");
}

/// A table with the columns variable, flag, default and meaning follows a line `Read by: PROGRAM, …`.
fn documented_variables() -> BTreeMap<String, (Line, Variable)> {
    let mut variables = BTreeMap::new();
    let mut programs = BTreeSet::new();
    for line in read("docs/configuration.md") {
        if let Some(names) = line.text.strip_prefix("Read by: ") {
            programs = names.trim_end_matches('.').split(", ").map(str::to_owned).collect();
        }
        let Some(cells) = line.cells() else { continue };
        let code = |cell: usize| cells.get(cell).and_then(|cell| cell.split('`').nth(1)).unwrap_or_default().to_owned();
        let name = code(0);
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_') {
            continue;
        }
        let variable = Variable { flag: code(1), default: code(2), programs: programs.clone() };
        if let Some((before, _)) = variables.insert(name.clone(), (line, variable)) {
            panic!("{before}: {name} is documented twice");
        }
    }
    variables
}

#[test]
fn every_variable_is_documented_with_its_flag_default_and_programs() {
    let (documented, defined) = (documented_variables(), variables_of_clap());
    let mut problems = Vec::new();
    for (name, (line, variable)) in &documented {
        match defined.get(name) {
            Some(defined) if defined == variable => {}
            Some(defined) => problems.push(format!("{line}: {name} is {variable:?}, but clap has {defined:?}")),
            None if READ_OUTSIDE_OF_CLAP.contains(&name.as_str()) => {}
            None => problems.push(format!("{line}: no program reads {name}")),
        }
    }
    let names = defined.keys().map(String::as_str).chain(READ_OUTSIDE_OF_CLAP);
    let missing = names.filter(|name| !documented.contains_key(*name));
    problems.extend(missing.map(|name| format!("docs/configuration.md: {name} is missing")));
    assert_none(&problems);
}

/// The type of each metric, by its name: lines `counter NAME = "orderflow_…";` of the files `metrics.rs`.
fn metrics_of_code() -> BTreeMap<String, String> {
    let mut metrics = BTreeMap::new();
    for (_, text) in code().iter().filter(|(file, _)| file.ends_with("src/metrics.rs")) {
        for line in text.lines() {
            let Some((kind_and_constant, name)) = line.trim().split_once(" = \"orderflow_") else { continue };
            let (kind, _) = kind_and_constant.split_once(' ').unwrap();
            metrics.insert(format!("orderflow_{}", name.trim_end_matches("\";")), kind.to_owned());
        }
    }
    metrics
}

#[test]
fn every_metric_is_documented_with_its_type() {
    let defined = metrics_of_code();
    let (mut documented, mut problems) = (BTreeSet::new(), Vec::new());
    for line in read("docs/metrics.md") {
        let names = line.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let unknown = names.filter(|name| name.starts_with("orderflow_") && !defined.contains_key(*name));
        problems.extend(unknown.map(|name| format!("{line}: no program exports {name}")));
        let Some(cells) = line.cells() else { continue };
        let name = cells[0].trim_matches('`');
        if let Some(kind) = defined.get(name).filter(|kind| cells[1] != kind.as_str()) {
            problems.push(format!("{line}: {name} is a {kind}"));
        }
        documented.insert(name.to_owned());
    }
    let missing = defined.keys().filter(|name| !documented.contains(*name));
    problems.extend(missing.map(|name| format!("docs/metrics.md: {name} is missing")));
    assert_none(&problems);
}

/// The flags in a text, without their values.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "()[]|\"'`".contains(c));
    let is_flag = |word: &&str| word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic));
    words.filter(is_flag).map(|word| {
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(word.len());
        &word[..end]
    })
}

/// The flags of each program and script, by its name.
fn known_flags() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for (program, command) in programs() {
        let mut flags = BTreeSet::from(["--help", "--version"].map(str::to_owned));
        for argument in arguments(&command) {
            let aliases = argument.get_all_aliases().unwrap_or_default();
            let names = argument.get_long().into_iter().chain(aliases);
            flags.extend(names.map(|name| format!("--{name}")));
        }
        known.insert(program.to_owned(), flags);
    }
    for script in SCRIPTS {
        let help = std::process::Command::new(root().join(script)).arg("--help").output().unwrap();
        assert!(help.status.success(), "{script} --help fails");
        let help = String::from_utf8(help.stdout).unwrap();
        let mut flags: BTreeSet<String> = flags(&help).map(str::to_owned).collect();
        flags.insert("--help".to_owned());
        known.insert(script.to_owned(), flags);
    }
    known
}

/// The program that a command runs: a third-party program, or the first program of orderflow.
fn program<'a>(command: &'a str, known: &BTreeMap<String, BTreeSet<String>>) -> Option<&'a str> {
    let words = command.split(|c: char| c.is_whitespace() || "()[]\"'".contains(c));
    let names = words.map(|word| word.strip_prefix("target/release/").unwrap_or(word));
    let mut third_party =
        names.clone().filter(|name| THIRD_PARTY_PROGRAMS.contains(name) || name.starts_with("kafka-"));
    third_party.next().or_else(|| names.into_iter().find(|name| known.contains_key(*name)))
}

#[test]
fn every_flag_in_an_example_exists() {
    let known = known_flags();
    let mut problems = Vec::new();
    // The program of a command that continues in the next line.
    let mut unfinished = None;
    for line in documents() {
        for code in line.code() {
            for command in code.split(['|', '&', ';']) {
                let program = program(command, &known).map(str::to_owned).or_else(|| unfinished.take());
                for flag in flags(command) {
                    let exists = match &program {
                        Some(program) => known.get(program).is_none_or(|flags| flags.contains(flag)),
                        None => known.values().any(|flags| flags.contains(flag)),
                    };
                    if !exists {
                        let of = program.as_deref().map_or_else(String::new, |program| format!(" of {program}"));
                        problems.push(format!("{line}: there is no flag {flag}{of}"));
                    }
                }
                unfinished = program.filter(|_| line.is_code && command.ends_with('\\'));
            }
        }
    }
    assert_none(&problems);
}

/// The string literals of the code. One that continues in the next line is joined.
fn literals() -> Vec<String> {
    let mut literals = Vec::new();
    for (_, file) in code() {
        let mut lines = file.split("\\\n");
        let mut joined = lines.next().unwrap_or_default().to_owned();
        lines.for_each(|line| joined.push_str(line.trim_start()));
        literals.extend(joined.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned));
    }
    literals
}

fn contains_in_order(text: &str, parts: &[&str]) -> bool {
    let mut rest = Some(text);
    for part in parts {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some()
}

/// Messages are in the first column of the tables of docs/operations.md whose first column is called `message`; `…`
/// stands for what differs.
#[test]
fn every_message_in_the_operations_page_is_one_of_the_code() {
    let literals = literals();
    let (mut problems, mut in_table, mut messages) = (Vec::new(), false, 0);
    for line in read("docs/operations.md") {
        let Some(cells) = line.cells() else {
            in_table = false;
            continue;
        };
        in_table |= cells[0] == "message";
        for message in cells[0].split('`').skip(1).step_by(2).filter(|_| in_table) {
            messages += 1;
            let parts: Vec<&str> = message.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
            if !literals.iter().any(|literal| contains_in_order(literal, &parts)) {
                problems.push(format!("{line}: no program logs {message:?}"));
            }
        }
    }
    assert!(messages > 0, "docs/operations.md has no table of messages");
    assert_none(&problems);
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut problems = Vec::new();
    for line in documents().into_iter().chain(read("ARCHITECTURE.md")) {
        for link in line.links().into_iter().filter(|link| !link.contains("://")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = line.file.parent().unwrap();
            let file = if path.is_empty() { line.file.clone() } else { folder.join(path) };
            if !root().join(&file).exists() {
                problems.push(format!("{line}: there is no file {}", file.display()));
            } else if !heading.is_empty() {
                let mut headings = read(&file).into_iter().filter(|line| !line.is_code && line.text.starts_with('#'));
                if !headings.any(|line| anchor(&line.text) == heading) {
                    problems.push(format!("{line}: {} has no heading #{heading}", file.display()));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn no_line_is_too_wide() {
    let lines = documents().into_iter().chain(read("ARCHITECTURE.md"));
    let wide = lines.map(|line| (line.text.chars().count(), line)).filter(|(width, _)| *width > MAX_LINE_WIDTH);
    let problems: Vec<String> = wide.map(|(width, line)| format!("{line}: {width} columns")).collect();
    assert_none(&problems);
}
