//! `orderdb user|product|order`: the same actions on the rows of each table.

mod options;
mod order;
mod product;
mod random;
mod user;
mod values;

use clap::{Args, Subcommand, ValueEnum, value_parser};
use shared::{cache::CacheSettings, confirm::YesDestroy};

pub use self::{
    options::RowOptions,
    order::{CreateOrder, OrderChange, OrderFilter, OrderValues},
    product::{CreateProduct, ProductChange, ProductFilter, ProductValues},
    random::{RandomKind, RandomSettings},
    user::{CreateUser, UserChange, UserFilter, UserValues},
};

/// What to do with the rows of a table.
#[derive(Debug, Subcommand)]
pub enum RowAction<Create, Filter, Change, Field>
where
    Create: Args,
    Filter: Args,
    Change: Args,
    Field: ValueEnum + Clone + Send + Sync + 'static,
{
    /// Insert a row, and print it. What is left out is filled in.
    Create(Box<CreateRow<Create>>),
    /// Print a row, an order with its history. Users, products and single columns are read from Redis first.
    Show(Box<ShowRow<Field>>),
    /// Print the rows that the filters select, newest first.
    #[command(visible_alias = "find")]
    List(Box<ListRows<Filter>>),
    /// Change what is given, and print the row.
    Update(Box<UpdateRow<Change>>),
    /// Delete rows.
    Delete(Box<DeleteRows>),
}

#[derive(Debug, Args)]
pub struct CreateRow<Create: Args> {
    #[command(flatten)]
    pub row: Create,
    #[command(flatten)]
    pub options: RowOptions,
}

#[derive(Debug, Args)]
pub struct ShowRow<Field: ValueEnum + Clone + Send + Sync + 'static> {
    /// Id of the row.
    #[arg(value_parser = values::id)]
    pub id: String,
    /// Print this column alone.
    #[arg(long, value_enum)]
    pub field: Option<Field>,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub options: RowOptions,
}

#[derive(Debug, Args)]
pub struct ListRows<Filter: Args> {
    #[command(flatten)]
    pub filter: Filter,
    /// Number of rows at most.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Continue after the row with this id, the last one of the page before.
    #[arg(long, value_name = "ID", value_parser = values::id)]
    pub after: Option<String>,
    #[command(flatten)]
    pub options: RowOptions,
}

#[derive(Debug, Args)]
pub struct UpdateRow<Change: Args> {
    /// Id of the row.
    #[arg(value_parser = values::id)]
    pub id: String,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub options: RowOptions,
}

#[derive(Debug, Args)]
pub struct DeleteRows {
    /// Ids of the rows.
    #[arg(required = true, value_name = "ID", value_parser = values::id)]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub yes: YesDestroy,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub options: RowOptions,
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use crate::settings::Command;

    #[test]
    fn a_value_that_the_table_does_not_accept_is_refused_by_the_name_of_its_flag() {
        let (long, category) = ("x".repeat(101), "가".repeat(51));
        for (arguments, flag) in [
            (&["user", "create", "--age", "151"][..], "--age"),
            (&["user", "create", "--age", "-1"], "--age"),
            (&["user", "create", "--gender", "X"], "--gender"),
            (&["user", "create", "--name", &long], "--name"),
            (&["user", "create", "--id", ""], "--id"),
            (&["user", "create", "--join-date", "2026-02-30"], "--join-date"),
            (&["user", "create", "--region", "서울", "--address", "서울"], "--address"),
            (&["user", "update", "U00000001"], "--region"),
            (&["product", "create", "--price", "-1"], "--price"),
            (&["product", "create", "--discount-rate", "1.1"], "--discount-rate"),
            (&["product", "create", "--category", &category], "--category"),
            (&["product", "create", "--stock", "2147483648"], "--stock"),
            (&["order", "create", "--user", "U00000001"], "--product"),
            (&["order", "create", "--user", "U00000001", "--product", "P000001", "--quantity", "0"], "--quantity"),
            (&["order", "update", "order-1", "--status", ""], "--status"),
            (&["order", "update", "order-1", "--status", "lost"], "--status"),
            (&["order", "update", "order-1", "--reason", "late"], "--status"),
            (&["order", "update", "order-1", "--status", "paid", "--reason", &long], "--reason"),
            (&["order", "create", "--user", "U1", "--product", "P1", "--status", "delivered"], "--status"),
            (&["order", "list", "--status", "shiped"], "--status"),
            (&["order", "list", "--since", "yesterday"], "--since"),
            (&["random", "user", "--count", "0"], "--count"),
        ] {
            let error = Command::try_parse_from(["orderdb"].iter().chain(arguments)).unwrap_err();
            assert!(error.to_string().contains(flag), "{arguments:?}: {error}");
            assert_ne!(error.kind(), ErrorKind::UnknownArgument, "{arguments:?}");
        }
    }
}
