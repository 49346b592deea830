//! `orderdb user|product|order` and `orderdb random`: rows by hand.
//!
//! A [`table`] says what differs between the tables; [`user`], [`product`] and [`order`] are the three. The actions are
//! [`create`], [`show`], [`list`], [`update`] and [`delete`]. The [`status`] of an order follows its transitions. Each
//! change is one transaction of a [`session`], and what [`print`]s is one row or a list. [`random`] draws rows.

mod create;
mod delete;
mod list;
mod next_id;
mod order;
mod print;
mod product;
mod random;
mod session;
mod show;
mod status;
mod table;
mod update;
mod user;

use shared::{database::DatabaseSettings, program::Outcome};

pub use self::random::random;
use self::table::{ActionOn, Table};
use crate::settings::RowAction;

/// Runs an action on the rows of a table.
///
/// # Errors
/// When a row does not exist or can't be changed, or the database fails.
pub async fn rows<Row: Table>(action: ActionOn<Row>, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    match action {
        RowAction::Create(settings) => create::create::<Row>(&settings, database).await?,
        RowAction::Show(settings) => show::show::<Row>(&settings, database).await?,
        RowAction::List(settings) => list::list::<Row>(&settings, database).await?,
        RowAction::Update(settings) => update::update::<Row>(&settings, database).await?,
        RowAction::Delete(settings) => delete::delete::<Row>(&settings, database).await?,
    }
    Ok(Outcome::Valid)
}
