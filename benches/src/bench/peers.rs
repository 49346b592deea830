//! The software that is not part of the stack: Debezium, and Python's packages.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::bail;

use crate::interruptible::run_to_end;

/// Runs the script `install` in `peers`. What is installed already is not downloaded again.
///
/// # Errors
/// When the script fails; its error is on stderr.
pub async fn install_peers(peers: &Path) -> anyhow::Result<()> {
    let script = peers.join("install");
    let mut install = Command::new(&script);
    install.stdout(Stdio::null());
    if !run_to_end(&script.display().to_string(), install).await?.status.success() {
        bail!("{} failed: its error is in the log above", script.display());
    }
    Ok(())
}
