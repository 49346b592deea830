use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use shared::catalog::Locale;

use super::values;

#[derive(Debug, Args)]
pub struct CreateUser {
    /// Id; the next one of the form U00000001 if it is left out.
    #[arg(long, value_parser = values::id)]
    pub id: Option<String>,
    #[command(flatten)]
    pub values: UserValues,
    /// When the row was created; now if it is left out.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub created_at: Option<DateTime<Utc>>,
    /// Language of a name that is made up.
    #[arg(long, value_enum, default_value_t)]
    pub locale: Locale,
}

/// The columns of a user.
#[derive(Debug, Args)]
pub struct UserValues {
    /// Name.
    #[arg(long, value_parser = values::text::<100>)]
    pub name: Option<String>,
    /// Gender; U is unknown.
    #[arg(long, value_parser = values::gender())]
    pub gender: Option<String>,
    /// Age in years; it gives the age group.
    #[arg(long, value_parser = values::age(), allow_negative_numbers = true)]
    pub age: Option<i32>,
    /// Age group, if it is not that of the age.
    #[arg(long, value_parser = values::text::<10>)]
    pub age_group: Option<String>,
    /// Address, which gives the region: `서울 강남구 …` and `서울특별시 강남구 …` are both in 서울. Else the region is
    /// 미상. The address itself is not stored.
    #[arg(long, conflicts_with = "region")]
    pub address: Option<String>,
    /// Region.
    #[arg(long, value_parser = values::text::<50>)]
    pub region: Option<String>,
    /// The day on which the user signed up.
    #[arg(long, value_name = "DAY", value_parser = values::date)]
    pub join_date: Option<NaiveDate>,
}

/// At least one column.
#[derive(Debug, Args)]
#[group(
    id = "change",
    required = true,
    multiple = true,
    args = ["name", "gender", "age", "age_group", "address", "region", "join_date"]
)]
pub struct UserChange {
    #[command(flatten)]
    pub values: UserValues,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub struct UserFilter {
    /// Users of this region; the official name selects the same as the short one.
    #[arg(long)]
    pub region: Option<String>,
    /// Users of this gender.
    #[arg(long, value_parser = values::gender())]
    pub gender: Option<String>,
    /// Users of this age group, such as 30대.
    #[arg(long)]
    pub age_group: Option<String>,
    /// Users whose name contains this text.
    #[arg(long)]
    pub name: Option<String>,
}
