//! `orderdb index`: indexes of `orders` that no program needs, for queries of people. [`state`] says which of them
//! exist; [`create`] and [`list`] have an action each.

mod create;
mod list;
mod state;

use shared::{
    database::DatabaseSettings,
    program::{Outcome, OutputFormat},
};
use tokio_util::sync::CancellationToken;

use self::{create::create, list::list, state::states};
use crate::{
    session::Session,
    settings::{IndexAction, IndexSettings, OptionalIndex},
};

/// Runs an action.
///
/// # Errors
/// When there is no table `orders`, an index can't be created or dropped, the deadline passes, or the program is told to
/// stop.
pub async fn index(
    settings: &IndexSettings,
    database: &DatabaseSettings,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let session = Session::open(database, settings.statement_deadline, stop).await?;
    let states = states(&session).await?;
    let state = |index: OptionalIndex| states.iter().find(|state| state.index == index);
    match &settings.action {
        IndexAction::Create(names) => {
            for index in names.indexes() {
                create(&session, *index, state(*index)).await?;
            }
        }
        IndexAction::Drop(names) => {
            for index in names.indexes() {
                let name = index.name();
                if state(*index).is_none() {
                    println!("{name} does not exist");
                    continue;
                }
                session.run(async { Ok(session.batch(&format!("DROP INDEX CONCURRENTLY {name}")).await?) }).await?;
                println!("dropped {name}; no row is lost");
            }
        }
        IndexAction::List { output: OutputFormat::Json } => println!("{}", list::json(&states)?),
        IndexAction::List { output: OutputFormat::Text } => println!("{}", list(&states)),
    }
    Ok(Outcome::Valid)
}
