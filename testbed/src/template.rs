//! A database for each test, copied from a template. The template is migrated and seeded once for each version of the
//! schema.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    time::Duration,
};

use diesel::{migration::MigrationSource, pg::Pg};
use orderdb::{
    migrate, seed,
    settings::{MigrateAction, MigrateSettings, SeedSettings},
};
use shared::database::{DatabaseSettings, connect, migrations::MIGRATIONS};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

/// Users in a test's database.
pub const USERS: u64 = 1_200;
/// Products in a test's database.
pub const PRODUCTS: u64 = 1_100;

/// Advisory lock around creating and copying the template: PostgreSQL does not copy a database that has connections.
const TEMPLATE_LOCK: i64 = 0x6f72_6466_6c6f_7754;
const SEED_VALUE: u64 = 7;
/// Deadline of a statement.
const DEADLINE: Duration = Duration::from_secs(60);

/// Creates the database `name` and returns its settings.
pub async fn new_database(server: &DatabaseSettings, name: &str) -> DatabaseSettings {
    let client = connect(server).await.expect("the database server can be reached");
    client.execute("SELECT pg_advisory_lock($1)", &[&TEMPLATE_LOCK]).await.expect("the lock can be taken");
    let template = template(server, &client).await;
    client
        .batch_execute(&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""))
        .await
        .expect("the database can be copied");
    client.execute("SELECT pg_advisory_unlock($1)", &[&TEMPLATE_LOCK]).await.expect("the lock can be released");
    server.with_database(name)
}

async fn template(server: &DatabaseSettings, client: &Client) -> String {
    let mut hasher = DefaultHasher::new();
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS).expect("the migrations can be read");
    migrations.iter().for_each(|migration| migration.name().to_string().hash(&mut hasher));
    (SEED_VALUE, USERS, PRODUCTS, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    let name = format!("template_{:016x}", hasher.finish());
    let existing = client
        .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name])
        .await
        .expect("databases can be listed");
    if existing.is_none() {
        // Created under another name, and renamed when it is complete: an incomplete template is never copied.
        let unfinished = format!("{name}_unfinished");
        let drop = format!("DROP DATABASE IF EXISTS \"{unfinished}\" WITH (FORCE)");
        client.batch_execute(&drop).await.expect("an unfinished template can be dropped");
        client.batch_execute(&format!("CREATE DATABASE \"{unfinished}\"")).await.expect("a database can be created");
        let settings = server.with_database(&unfinished);
        let migration = MigrateSettings::built_in(MigrateAction::Up { to: None }, DEADLINE);
        let migrating = migrate::migrate(migration, Ok(settings.clone()), CancellationToken::new());
        migrating.await.expect("the migrations apply");
        let seeding = SeedSettings {
            users: USERS,
            products: PRODUCTS,
            seed_value: SEED_VALUE,
            locale: Default::default(),
            catalog: None,
            if_empty: false,
            statement_deadline: DEADLINE,
            live: Default::default(),
        };
        seed::seed(&seeding, &settings).await.expect("the template can be seeded");
        let rename = format!("ALTER DATABASE \"{unfinished}\" RENAME TO \"{name}\"");
        // The server may still have the closed connections of migration and seed, and does not rename a database with
        // any.
        let closed = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{unfinished}'");
        client.batch_execute(&closed).await.expect("backends can be terminated");
        client.batch_execute(&rename).await.expect("the template can be renamed");
    }
    name
}
