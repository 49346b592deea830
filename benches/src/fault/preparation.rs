//! What the faults of a scenario need before its programs start: proxies, clocks that can be set, a small disk.

use std::path::{Path, PathBuf};

use super::{
    clock::Clocks,
    disk::LedgerDisk,
    links::{Links, link_of},
    model::{Fault, Target},
    stack::Stack,
};

/// Kept until the programs have ended. Dropping it ends the proxies, moves the ledgers off the small disk and unmounts
/// it.
#[derive(Default)]
pub struct Preparation {
    pub(super) links: Option<Links>,
    pub(super) clocks: Option<Clocks>,
    pub(super) disk: Option<LedgerDisk>,
}

impl Preparation {
    /// Prepares `faults`. Nothing is done for faults that need nothing. `folder` is the folder of the run, `ledgers` that
    /// of all run ledgers.
    ///
    /// # Errors
    /// When something that a fault needs is not there: toxiproxy or libfaketime, which a stack's script installs if it
    /// can, or the right to mount a disk.
    pub async fn start(faults: &[Fault], stack: Option<&Stack>, folder: &Path, ledgers: &Path) -> anyhow::Result<Self> {
        let needs_tools = |fault: &Fault| link_of(fault).is_some() || matches!(fault, Fault::SkewClock { .. });
        // First what may be refused at once.
        let needs_disk = faults.contains(&Fault::FillDisk);
        let disk = needs_disk.then(|| LedgerDisk::mount(&folder.join("small-disk"), ledgers)).transpose()?;
        let mut links = None;
        if let Some(stack) = stack {
            if faults.iter().any(needs_tools) {
                stack.run(&["install", "--faults"]).await?;
            }
            links = Links::start(faults.iter(), stack, &folder.join("logs")).await?;
        }
        Ok(Self { links, clocks: Clocks::prepare(faults.iter(), folder)?, disk })
    }

    /// The variables with which a program must be started, besides those of all programs, which they override.
    pub fn environment(&self, target: Target) -> Vec<(String, String)> {
        let links = self.links.iter().flat_map(|links| links.environment().iter().cloned());
        links.chain(self.clocks.iter().flat_map(|clocks| clocks.environment(target))).collect()
    }

    /// The folder for the ledgers of the producers during the run, where it is not that of all run ledgers.
    pub fn ledgers(&self) -> Option<PathBuf> {
        self.disk.as_ref().map(|disk| disk.folder().to_owned())
    }
}
