use chrono::{DateTime, Utc};
use clap::Args;
use shared::{
    lifecycle::{MAX_REASON_CHARS, OrderStatus},
    order::PlacedStatus,
};

use super::values;

#[derive(Debug, Args)]
pub struct CreateOrder {
    /// Id; a new one of no run if it is left out.
    #[arg(long, value_parser = values::id)]
    pub id: Option<String>,
    /// Id of the user, whose region, gender and age group are copied.
    #[arg(long, value_name = "ID", value_parser = values::id)]
    pub user: String,
    /// Id of the product, whose category is copied. Its price gives the amounts.
    #[arg(long, value_name = "ID", value_parser = values::id)]
    pub product: String,
    /// Status that the order is placed with: payment_pending, paid or cancelled. `update` changes it later.
    #[arg(long, default_value = PlacedStatus::Paid.as_str(), value_parser = values::placed_status)]
    pub status: PlacedStatus,
    #[command(flatten)]
    pub values: OrderValues,
    /// When the user ordered; now if it is left out.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub created_at: Option<DateTime<Utc>>,
}

/// The columns of an order.
#[derive(Debug, Args)]
pub struct OrderValues {
    /// Number of pieces; 1 if a new order leaves it out.
    #[arg(long, value_parser = values::quantity(), allow_negative_numbers = true)]
    pub quantity: Option<i32>,
    /// Amount to pay in whole won. In a new order: price × quantity − discount + shipping.
    #[arg(long, value_name = "WON", value_parser = values::amount(), allow_negative_numbers = true)]
    pub total_amount: Option<i32>,
    /// Shipping in whole won. In a new order: 3000, or 0 if the goods cost 50000 or more.
    #[arg(long, value_name = "WON", value_parser = values::amount(), allow_negative_numbers = true)]
    pub shipping_cost: Option<i32>,
    /// Discount in whole won; 0 if a new order leaves it out.
    #[arg(long, value_name = "WON", value_parser = values::amount(), allow_negative_numbers = true)]
    pub discount_amount: Option<i32>,
    /// How the order is paid; `card` if a new order leaves it out.
    #[arg(long, value_parser = values::word::<20>)]
    pub payment_method: Option<String>,
    /// Category, if it is not that of the product.
    #[arg(long, value_parser = values::text::<50>)]
    pub category: Option<String>,
    /// Region, if it is not that of the user.
    #[arg(long, value_parser = values::text::<50>)]
    pub user_region: Option<String>,
    /// Gender, if it is not that of the user.
    #[arg(long, value_parser = values::gender())]
    pub user_gender: Option<String>,
    /// Age group, if it is not that of the user.
    #[arg(long, value_parser = values::text::<10>)]
    pub user_age_group: Option<String>,
}

/// At least one column. The amounts stay as they are unless they are given.
#[derive(Debug, Args)]
#[group(
    id = "change",
    required = true,
    multiple = true,
    args = [
        "quantity", "total_amount", "shipping_cost", "discount_amount", "payment_method", "status", "category",
        "user_region", "user_gender", "user_age_group"
    ]
)]
pub struct OrderChange {
    /// The next status, which is added to the history of the order.
    #[arg(long)]
    pub status: Option<OrderStatus>,
    /// Why the status changes, for the history.
    #[arg(long, default_value = "by hand", requires = "status", value_parser = values::text::<MAX_REASON_CHARS>)]
    pub reason: String,
    #[command(flatten)]
    pub values: OrderValues,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub struct OrderFilter {
    /// Orders of this user.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Orders of this product.
    #[arg(long, value_name = "ID")]
    pub product: Option<String>,
    /// Orders with this status.
    #[arg(long)]
    pub status: Option<OrderStatus>,
    /// Orders placed at this time or later.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub since: Option<DateTime<Utc>>,
    /// Orders placed before this time.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub until: Option<DateTime<Utc>>,
}
