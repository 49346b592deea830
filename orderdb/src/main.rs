//! Migrates, seeds and audits the orderflow database, and checks the services.

use std::process::ExitCode;

use clap::CommandFactory;
use orderdb::{
    audit::audit,
    check::check,
    databases::{self, Databases},
    debug::debug,
    execute::execute,
    index::index,
    list::list,
    migrate::migrate,
    own_files::OwnFiles,
    pull::pull,
    reset::reset,
    rows::{random, rows},
    seed::{live::run_live, seed},
    settings::{Action, Command},
    status::status,
    validate::validate,
};
use shared::{
    catalog::{Product, User},
    database::{DatabaseSettings, Order},
    program::{self, Outcome},
    shutdown,
};

fn main() -> ExitCode {
    program::run(run)
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    command.check_all().unwrap_or_else(|error| error.exit());
    let args = command.database;
    let databases = || Databases::of(&args, command.all);
    let own_files = |name: &str| OwnFiles::of(command.databases_folder.as_deref(), name);
    match command.action {
        Action::Migrate(settings) => {
            let stop = shutdown::on_signal()?;
            let own = |name: &str| settings.clone().with_own(own_files(name).migrations);
            if !command.all {
                let selected = databases::selected(&args);
                return migrate(own(&selected.name), selected.settings, stop).await;
            }
            databases().each(async |name, database| migrate(own(name), Ok(database.clone()), stop.clone()).await).await
        }
        Action::Seed(settings) => {
            let seeding = async |name: &str, database: &DatabaseSettings| {
                let settings = settings.clone().with_own(own_files(name).seed)?;
                // Seeds are written by Diesel, which needs a session.
                let database = database.direct();
                seed(&settings, database).await?;
                if settings.live.live {
                    run_live(&settings, database, shutdown::on_signal()?).await?;
                }
                Ok(Outcome::Valid)
            };
            databases().each(seeding).await
        }
        Action::Audit(settings) => audit(*settings, &databases().one()?).await,
        Action::Execute(settings) => execute(&settings, databases().one()?.direct()).await,
        Action::Check(settings) => check(*settings, databases()).await,
        Action::Validate(settings) => validate(&settings, &databases().one()?, shutdown::on_signal()?).await,
        Action::Pull(settings) => pull(&settings, &databases().one()?, shutdown::on_signal()?).await,
        Action::Reset(settings) => reset(&settings, &databases().one()?, shutdown::on_signal()?).await,
        Action::Index(settings) => index(&settings, &databases().one()?, shutdown::on_signal()?).await,
        Action::List(settings) => list(&settings, databases::all(&args)).await,
        Action::Status(settings) => status(&settings, databases()).await,
        Action::Debug(settings) => debug(*settings, &args, databases::selected(&args), Command::command()).await,
        Action::Completions(settings) => settings.print::<Command>(),
        Action::User(action) => rows::<User>(action, &databases().one()?).await,
        Action::Product(action) => rows::<Product>(action, &databases().one()?).await,
        Action::Order(action) => rows::<Order>(action, &databases().one()?).await,
        Action::Random(settings) => random(&settings, &databases().one()?).await,
    }
}
