//! Checks the services as the programs use them: [`postgres`], [`redis`] and [`kafka`]. Each check says what works, or
//! what does not and what to do. Nothing is changed.

mod finding;
mod kafka;
mod postgres;
mod redis;

use shared::{
    database::DatabaseSettings,
    program::{Outcome, OutputFormat},
    report::table,
};

use self::finding::{Finding, State};
use crate::settings::CheckSettings;

/// Checks all services at the same time and prints what was found. The outcome is invalid when something does not work.
/// `database` is an error when its settings are not usable, which is a finding too.
///
/// # Errors
/// When the result can't be printed.
pub async fn check(settings: CheckSettings, database: anyhow::Result<DatabaseSettings>) -> anyhow::Result<Outcome> {
    let CheckSettings { topic, cache, kafka, output } = settings;
    let (postgres, redis, kafka) =
        tokio::join!(postgres::check(database), redis::check(&cache), kafka::check(kafka, topic));
    let findings: Vec<Finding> = [postgres, redis, kafka].into_iter().flat_map(|findings| findings.all).collect();
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&findings)?),
        OutputFormat::Text => println!("{}", text(&findings)),
    }
    let has_failed = findings.iter().any(|finding| finding.state == State::Failed);
    Ok(if has_failed { Outcome::Invalid } else { Outcome::Valid })
}

fn text(findings: &[Finding]) -> String {
    let mut rows = table(["service", "what", "state", ""]);
    for Finding { service, what, state, detail } in findings {
        rows.add_row([*service, *what, state.to_string().as_str(), detail.as_str()]);
    }
    rows.to_string()
}
