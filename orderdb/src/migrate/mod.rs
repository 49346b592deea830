//! Migrations of the schema: [`source`] has their SQL, [`history`] which of them are applied, and [`step`] runs one.
//! [`losses`] finds what a revert destroys by trying it. Each action has a file: [`up`], [`down`], [`status`],
//! [`generate`].

pub mod count_down;
pub mod down;
pub mod generate;
pub mod history;
pub mod lock;
pub mod losses;
mod recorder;
pub mod source;
pub mod status;
pub mod step;
pub mod up;

use shared::{database::DatabaseSettings, program::Outcome};
use tokio_util::sync::CancellationToken;

use self::{
    down::{down, redo},
    generate::generate,
    lock::lock,
    source::Migrations,
    status::status,
    up::up,
};
use crate::{
    session::Session,
    settings::{MigrateAction, MigrateSettings},
};

/// Runs an action, under the deadline of the settings, until `stop` is cancelled. `database` is an error when its
/// settings are not usable, which a new migration does not need.
///
/// # Errors
/// When the database can't be reached or does not answer in time, or a migration fails; each migration is one
/// transaction.
pub async fn migrate(
    settings: MigrateSettings,
    database: anyhow::Result<DatabaseSettings>,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let MigrateSettings { action, statement_deadline, .. } = &settings;
    let folder = settings.folder();
    if let MigrateAction::Generate { name } = action {
        return generate(name, folder);
    }
    let migrations = match folder {
        Some(folder) => Migrations::of_folder(folder)?,
        None => Migrations::built_in()?,
    };
    let session = Session::open(&database?, *statement_deadline, stop).await?;
    if !matches!(action, MigrateAction::Status { .. }) {
        lock(&session).await?;
    }
    let waiting = settings.waiting();
    match action {
        MigrateAction::Up { to } => up(&session, &migrations, to.as_deref(), waiting).await,
        MigrateAction::Down(yes) => down(&session, &migrations, 1, yes, waiting).await,
        MigrateAction::Rollback { count, yes } => down(&session, &migrations, *count as usize, yes, waiting).await,
        MigrateAction::Redo(yes) => redo(&session, &migrations, yes, waiting).await,
        MigrateAction::Status { output } => status(&session, &migrations, *output).await,
        MigrateAction::Generate { name } => generate(name, folder),
    }
}
