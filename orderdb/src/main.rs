//! Migrates, seeds and audits the orderflow database, and checks the services.

use std::process::ExitCode;

use orderdb::{
    audit::audit,
    check::check,
    execute::execute,
    index::index,
    migrate::migrate,
    pull::pull,
    reset::reset,
    seed::{live::run_live, seed},
    settings::{Action, Command},
    validate::validate,
};
use shared::{
    program::{self, Outcome},
    shutdown,
};

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    let database = command.database.settings();
    match command.action {
        Action::Migrate(settings) => migrate(settings, database, shutdown::on_signal()?).await,
        Action::Seed(settings) => {
            let database = database?;
            // Seeds are written by Diesel, which needs a session.
            let database = database.direct();
            seed(&settings, database).await?;
            if settings.live.live {
                run_live(&settings, database, shutdown::on_signal()?).await?;
            }
            Ok(Outcome::Valid)
        }
        Action::Audit(settings) => audit(*settings, &database?).await,
        Action::Execute(settings) => execute(&settings, database?.direct()).await,
        Action::Check(settings) => check(*settings, database).await,
        Action::Validate(settings) => validate(&settings, &database?, shutdown::on_signal()?).await,
        Action::Pull(settings) => pull(&settings, &database?, shutdown::on_signal()?).await,
        Action::Reset(settings) => reset(&settings, &database?, shutdown::on_signal()?).await,
        Action::Index(settings) => index(&settings, &database?, shutdown::on_signal()?).await,
    }
}
