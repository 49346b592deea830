//! `orderdb validate`: compares the schema of the database with the one that the migrations of this program make. They
//! are applied to a schema of their own in a transaction that is rolled back, so that both descriptions are of the same
//! server ([`catalog`]). [`compare`] finds the differences, [`consequence`] says what each of them breaks.

mod catalog;
mod compare;
mod consequence;

use anyhow::{Context, anyhow};
use serde::Serialize;
use shared::{
    database::{DatabaseSettings, SqlError},
    program::{Outcome, OutputFormat},
    report::table,
};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use self::{
    catalog::Catalog,
    compare::compare,
    consequence::{Difference, Effect},
};
use crate::{
    migrate::{history, source::Migrations, step},
    session::Session,
    settings::ValidateSettings,
};

/// The schema that the migrations are applied to. No other session ever sees it.
const SCRATCH: &str = "orderdb_expected_schema";

/// The schema with the tables of orderflow.
const SCHEMA: &str = "\
    SELECT COALESCE((SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid IN ( \
        to_regclass('orders'), to_regclass('users'), to_regclass('products')) LIMIT 1), \
        quote_ident(current_schema()), 'public')";

/// Whether the row that the migrations insert is gone. A role that may not read it does not see that.
const LACKS_ROW: &str = "\
    SELECT CASE WHEN has_table_privilege('cache_rounds', 'SELECT') \
        THEN (SELECT count(*) FROM cache_rounds) = 0 ELSE false END";

#[derive(Serialize)]
struct Validation {
    database: String,
    /// Whether nothing differs that a program needs.
    valid: bool,
    /// Migrations that are not applied.
    missing_migrations: Vec<String>,
    differences: Vec<Difference>,
}

/// Compares, and prints the differences. The outcome is invalid when one of them breaks a program.
///
/// # Errors
/// When the database can't be read, or this role may not create a schema.
pub async fn validate(
    settings: &ValidateSettings,
    database: &DatabaseSettings,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let session = Session::open(database, settings.statement_deadline, stop).await?;
    let migrations = Migrations::built_in()?;
    let client = &session.client;
    let (expected, found, lacks_row, applied) = session
        .rolled_back(async {
            let applied = history::applied(client).await?;
            let schema: String = client.query_typed_one(SCHEMA, &[]).await?.get(0);
            let expected = expected(client, &migrations).await.with_context(|| format!("in database {database}"))?;
            client.batch_execute(&format!("SET LOCAL search_path TO {schema}")).await?;
            let found = Catalog::read(client, &schema).await?;
            let lacks_row = found.tables.contains_key("cache_rounds")
                && client.query_typed_one(LACKS_ROW, &[]).await?.get::<_, bool>(0);
            Ok((expected, found, lacks_row, applied))
        })
        .await?;
    let missing = migrations.missing(&applied, None)?;
    let mut differences = compare(&expected, &found);
    differences.extend(lacks_row.then(consequence::missing_round));
    let validation = Validation {
        database: session.database.to_string(),
        valid: differences.iter().all(|difference| difference.effect == Effect::None),
        missing_migrations: missing.iter().map(ToString::to_string).collect(),
        differences,
    };
    match settings.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&validation)?),
        OutputFormat::Text => print(&validation),
    }
    Ok(if validation.valid { Outcome::Valid } else { Outcome::Invalid })
}

/// What the migrations make, in an open transaction.
async fn expected(client: &Client, migrations: &Migrations) -> anyhow::Result<Catalog> {
    let created = client.batch_execute(&format!("CREATE SCHEMA {SCRATCH}; SET LOCAL search_path TO {SCRATCH}")).await;
    created.map_err(|error| {
        anyhow!(
            "no schema can be created, to which the migrations are applied and which is rolled back: {}. It needs the \
             right CREATE on the database, and the primary server",
            SqlError::from(error)
        )
    })?;
    for migration in migrations.all() {
        step::execute(client, &migration.up).await?;
    }
    Ok(Catalog::read(client, SCRATCH).await?)
}

fn print(validation: &Validation) {
    let Validation { database, valid, missing_migrations, differences } = validation;
    for (effect, consequence) in [(Effect::Breaks, "what it breaks"), (Effect::None, "no program needs it")] {
        let mut rows = table(["object", "expected", "found", consequence]);
        for difference in differences.iter().filter(|difference| difference.effect == effect) {
            let Difference { object, expected, found, consequence, .. } = difference;
            let present = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
            rows.add_row([object.clone(), present(expected), present(found), consequence.clone()]);
        }
        if !rows.is_empty() {
            println!("{rows}");
        }
    }
    if !missing_migrations.is_empty() {
        println!("not applied: {}. `orderdb migrate up` applies migrations", missing_migrations.join(", "));
    }
    match valid {
        true => println!("the schema of {database} has what the programs need"),
        false => println!("the schema of {database} lacks what the programs need"),
    }
}
