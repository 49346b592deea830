//! The time to stop before the schema of another machine's database is changed.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use anyhow::bail;

use crate::{session::Session, settings::Waiting};

const SECONDS: u32 = 5;

/// Says which database is changed if it is on another machine and, on a terminal, counts down. A script is not delayed:
/// nobody would stop it.
///
/// # Errors
/// When the program is told to stop meanwhile.
pub async fn count_down(session: &Session, waiting: Waiting) -> anyhow::Result<()> {
    let Session { database, stop, .. } = session;
    if database.is_local() {
        return Ok(());
    }
    if waiting == Waiting::Skipped || !stderr().is_terminal() {
        tracing::info!("changing the schema of {database}, which is on another machine");
        return Ok(());
    }
    for left in (1..=SECONDS).rev() {
        eprint!("\rThis changes the schema of {database}, on another machine, in {left} s; Ctrl-C stops ");
        stderr().flush()?;
        if stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
            eprintln!();
            bail!("interrupted: nothing was changed");
        }
    }
    eprintln!();
    Ok(())
}
