//! Checks the services as the programs use them: [`postgres`], [`redis`] and [`kafka`]. Each check says what works, or
//! what does not and what to do. Nothing is changed.

mod finding;
mod kafka;
mod postgres;
mod redis;

use futures_util::future::join_all;
use shared::{
    program::{Outcome, OutputFormat},
    report::table,
};

use self::{
    finding::{Finding, State},
    postgres::DatabaseCount,
};
use crate::{databases::Databases, settings::CheckSettings};

/// Checks all services at the same time and prints what was found. The outcome is invalid when something does not work.
/// Settings of a database that are not usable are a finding too.
///
/// # Errors
/// When the result can't be printed.
pub async fn check(settings: CheckSettings, databases: Databases) -> anyhow::Result<Outcome> {
    let CheckSettings { topic, cache, kafka, output } = settings;
    let (databases, count) = match databases {
        Databases::One(database) => (vec![*database], DatabaseCount::One),
        Databases::All(databases) => (databases, DatabaseCount::Several),
    };
    let postgres = join_all(databases.into_iter().map(|database| postgres::check(database, count)));
    let (postgres, redis, kafka) = tokio::join!(postgres, redis::check(&cache), kafka::check(kafka, topic));
    let findings: Vec<Finding> = postgres.into_iter().chain([redis, kafka]).flat_map(|findings| findings.all).collect();
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&findings)?),
        OutputFormat::Text => println!("{}", text(&findings)),
    }
    let has_failed = findings.iter().any(|finding| finding.state == State::Failed);
    Ok(if has_failed { Outcome::Invalid } else { Outcome::Valid })
}

fn text(findings: &[Finding]) -> String {
    let mut rows = table(["service", "what", "state", ""]);
    for Finding { service, database, what, state, detail } in findings {
        let service = match database {
            Some(database) => format!("{service} {database}"),
            None => (*service).to_owned(),
        };
        rows.add_row([service.as_str(), *what, state.to_string().as_str(), detail.as_str()]);
    }
    rows.to_string()
}
