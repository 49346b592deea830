use std::{
    fs::Permissions,
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::{
    model::{RunReport, VERSION},
    page::report_page,
};

/// Name of the file with the figures, in the folder of its run.
pub const JSON: &str = "report.json";

/// Name of the page, in the folder of its run.
pub const PAGE: &str = "report.html";

/// Writes `report.json` and `report.html`.
///
/// # Errors
/// When one can't be written. Then the file of that name, if there is one, is unchanged.
pub fn write(report: &RunReport, folder: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string(report).context("the report has no JSON")? + "\n";
    write_file(&folder.join(JSON), &json)?;
    write_file(&folder.join(PAGE), &report_page(report)?)
}

/// Writes a file as a whole: another file of that name is replaced once the new one is complete.
///
/// # Errors
/// When the file can't be written.
pub fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replace = || -> anyhow::Result<()> {
        let mut builder = tempfile::Builder::new();
        let mut file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    replace().with_context(|| format!("{} can't be written", path.display()))
}

/// Reads the `report.json` in the folder of a run.
///
/// # Errors
/// When there is none, or it has another format.
pub(super) fn read(folder: &Path) -> anyhow::Result<RunReport> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let path = folder.join(JSON);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{} does not exist: `loadtest run` writes it at the end of a run", path.display())
        }
        read => read.with_context(|| format!("{} can't be read", path.display()))?,
    };
    let no_report = || format!("{} is not the report of a run", path.display());
    let Versioned { version } = serde_json::from_slice(&text).with_context(no_report)?;
    ensure!(
        version == VERSION,
        "{} has format {version}, and this loadtest reads format {VERSION}: use the loadtest that wrote it",
        path.display()
    );
    serde_json::from_slice(&text).with_context(no_report)
}
