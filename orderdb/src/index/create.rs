use std::time::Duration;

use anyhow::{bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shared::database::connect_session;
use tokio_postgres::{Client, types::Type};
use tokio_util::sync::CancellationToken;

use super::state::{IndexState, Progress, states};
use crate::{session::Session, settings::OptionalIndex};

const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Deadline for removing what an interrupted build has left.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(10);

/// The blocks of the scan, then the lockers that the build waits for.
const PROGRESS: &str = "\
    SELECT phase, GREATEST(blocks_total, lockers_total), \
        CASE WHEN blocks_total > 0 THEN blocks_done ELSE lockers_done END \
    FROM pg_stat_progress_create_index WHERE pid = $1";

/// Creates `index`, of which `state` was found, while orders are stored. What an interrupted build has left is removed
/// first.
///
/// # Errors
/// When another session builds it, or it can't be built; then what is left of it is removed, or named.
pub async fn create(session: &Session, index: OptionalIndex, state: Option<&IndexState>) -> anyhow::Result<()> {
    let name = index.name();
    match state.map(|state| state.progress) {
        Some(Progress::Valid) => {
            println!("{name} exists already");
            return Ok(());
        }
        Some(Progress::Building) => bail!("another session builds {name}: wait for its end"),
        Some(Progress::Invalid) => {
            tracing::info!("removing what an interrupted build has left of {name}");
            session.run(async { Ok(session.batch(&drop_statement(index)).await?) }).await?;
        }
        None => {}
    }
    let statement = format!("CREATE INDEX CONCURRENTLY {name} ON orders {}", index.columns());
    let process = session.client.query_typed_one("SELECT pg_backend_pid()", &[]);
    let process: i32 = session.run(async { Ok(process.await?) }).await?.get(0);
    let building = session.run(async {
        tokio::select! {
            built = session.batch(&statement) => Ok(built?),
            never = show_progress(session, name, process) => match never {},
        }
    });
    if let Err(error) = building.await {
        let left = remove_rest(session, index, process).await;
        bail!("{name} can't be created: {error:#}. {left}");
    }
    println!("created {name} on orders {}", index.columns());
    Ok(())
}

fn drop_statement(index: OptionalIndex) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name())
}

/// The connection of the build can't be used any more. Returns what is left of the index.
async fn remove_rest(session: &Session, index: OptionalIndex, process: i32) -> String {
    let removing = async {
        let session = Session::open(&session.database, REMOVAL_DEADLINE, CancellationToken::new()).await?;
        // Another session may build the same index.
        let is_own = |state: &IndexState| state.built_by.is_none_or(|builder| builder == process);
        let invalid = |state: &IndexState| state.index == index && state.progress != Progress::Valid && is_own(state);
        if !states(&session).await?.iter().any(invalid) {
            return Ok(());
        }
        session.run(async { Ok(session.batch(&drop_statement(index)).await?) }).await?;
        let is_left = states(&session).await?.iter().any(invalid);
        ensure!(!is_left, "another session builds it");
        anyhow::Ok(())
    };
    match removing.await {
        Ok(()) => "Nothing is left of it".to_owned(),
        Err(error) => format!(
            "What is left of it takes space and time at each order: `orderdb index drop {}` removes it ({error:#})",
            index.name()
        ),
    }
}

enum Never {}

async fn show_progress(session: &Session, name: &'static str, process: i32) -> Never {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% {msg}");
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    let bar = bar.with_style(style.expect("the template is valid")).with_prefix(name);
    // Without it the index is built all the same.
    if let Ok(client) = connect_session(&session.database).await {
        loop {
            draw(&bar, &client, process).await;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    std::future::pending().await
}

async fn draw(bar: &ProgressBar, client: &Client, process: i32) {
    let Ok(rows) = client.query_typed(PROGRESS, &[(&process, Type::INT4)]).await else { return };
    if let Some(row) = rows.first() {
        let (total, done): (i64, i64) = (row.get(1), row.get(2));
        // A phase without a measure has none.
        bar.set_length(total.max(1).cast_unsigned());
        bar.set_position(done.cast_unsigned());
        bar.set_message(row.get::<_, String>(0));
    }
}
