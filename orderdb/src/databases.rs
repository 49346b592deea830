//! The databases that a command is for: one, or with `--all` each of them.

use shared::{
    database::{DEFAULT_DATABASE, DatabaseArgs, DatabaseSettings},
    program::Outcome,
    report::table,
};

/// A database with its name. Its settings are an error when they are not usable.
pub struct Database {
    pub name: String,
    pub settings: anyhow::Result<DatabaseSettings>,
}

/// What a command is for.
pub enum Databases {
    One(Box<Database>),
    All(Vec<Database>),
}

/// Every database that is set.
pub fn all(args: &DatabaseArgs) -> Vec<Database> {
    args.all().into_iter().map(|(name, args)| Database { name, settings: args.settings() }).collect()
}

/// The selected database.
pub fn selected(args: &DatabaseArgs) -> Database {
    let name = args.name().map_or_else(|| DEFAULT_DATABASE.to_owned(), ToString::to_string);
    Database { name, settings: args.settings() }
}

impl Databases {
    /// With `is_all`, every database that is set, else the selected one.
    pub fn of(args: &DatabaseArgs, is_all: bool) -> Self {
        if is_all { Self::All(all(args)) } else { Self::One(Box::new(selected(args))) }
    }

    /// The selected database.
    ///
    /// # Errors
    /// When its settings are not usable.
    ///
    /// # Panics
    /// With `--all`, which the command line refuses for the commands of one database.
    pub fn one(self) -> anyhow::Result<DatabaseSettings> {
        match self {
            Self::One(database) => database.settings,
            Self::All(_) => panic!("--all is not accepted here"),
        }
    }

    /// Runs `command` for each database, one after the other. With `--all`, each has a heading, and a table of the
    /// outcomes follows.
    ///
    /// # Errors
    /// With one database, those of the command. With `--all`, when the command failed for one of them; it has run for
    /// the others.
    pub async fn each(
        self,
        command: impl AsyncFn(&str, &DatabaseSettings) -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<Outcome> {
        let all = match self {
            Self::One(database) => return command(&database.name, &database.settings?).await,
            Self::All(all) => all,
        };
        let mut outcomes = Vec::new();
        for (number, Database { name, settings }) in all.into_iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            let result = match settings {
                Ok(settings) => {
                    println!("{separator}{name}: {settings}");
                    command(&name, &settings).await
                }
                Err(error) => {
                    println!("{separator}{name}");
                    Err(error)
                }
            };
            outcomes.push((name, told(result)));
        }
        println!("\n{}", outcome_table(&outcomes));
        worst(&outcomes)
    }
}

/// The outcome of a database; `None` when the command failed.
type NamedOutcome = (String, Option<Outcome>);

fn told(result: anyhow::Result<Outcome>) -> Option<Outcome> {
    result.inspect_err(|error| tracing::error!("{error:#}")).ok()
}

fn outcome_table(outcomes: &[NamedOutcome]) -> String {
    let mut rows = table(["database", "outcome"]);
    for (name, outcome) in outcomes {
        let outcome = match outcome {
            Some(Outcome::Valid) => "done",
            Some(Outcome::Invalid) => "NOT VALID",
            None => "FAILED",
        };
        rows.add_row([name.as_str(), outcome]);
    }
    rows.to_string()
}

/// A failure counts more than an outcome that is not valid.
///
/// # Errors
/// When the command failed for one of the databases.
pub fn worst(outcomes: &[NamedOutcome]) -> anyhow::Result<Outcome> {
    let failed: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_none()).map(|(name, _)| name.as_str()).collect();
    anyhow::ensure!(
        failed.is_empty(),
        "failed for {} of {} databases: {}",
        failed.len(),
        outcomes.len(),
        failed.join(", ")
    );
    let is_valid = outcomes.iter().all(|(_, outcome)| *outcome == Some(Outcome::Valid));
    Ok(if is_valid { Outcome::Valid } else { Outcome::Invalid })
}
