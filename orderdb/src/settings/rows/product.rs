use chrono::{DateTime, Utc};
use clap::Args;

use super::values;

#[derive(Debug, Args)]
pub struct CreateProduct {
    /// Id; the next one of the form P000001 if it is left out.
    #[arg(long, value_parser = values::id)]
    pub id: Option<String>,
    #[command(flatten)]
    pub values: ProductValues,
    /// When the row was created; now if it is left out.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub created_at: Option<DateTime<Utc>>,
}

/// The columns of a product. Of price, price without discount and discount rate, the one that is left out follows from
/// the others.
#[derive(Debug, Args)]
pub struct ProductValues {
    /// Name.
    #[arg(long, value_parser = values::text::<200>)]
    pub name: Option<String>,
    /// Category.
    #[arg(long, value_parser = values::text::<50>)]
    pub category: Option<String>,
    /// Brand.
    #[arg(long, value_parser = values::text::<100>)]
    pub brand: Option<String>,
    /// Price of one piece in whole won.
    #[arg(long, value_parser = values::amount(), allow_negative_numbers = true)]
    pub price: Option<i32>,
    /// Price of one piece without the discount, at least the price.
    #[arg(long, value_parser = values::amount(), allow_negative_numbers = true)]
    pub org_price: Option<i32>,
    /// Discount as a fraction of the price without it, 0 to 1.
    #[arg(long, value_parser = values::fraction, allow_negative_numbers = true)]
    pub discount_rate: Option<f64>,
    /// Pieces in stock.
    #[arg(long, value_parser = values::amount(), allow_negative_numbers = true)]
    pub stock: Option<i32>,
}

/// At least one column.
#[derive(Debug, Args)]
#[group(
    id = "change",
    required = true,
    multiple = true,
    args = ["name", "category", "brand", "price", "org_price", "discount_rate", "stock"]
)]
pub struct ProductChange {
    #[command(flatten)]
    pub values: ProductValues,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub struct ProductFilter {
    /// Products of this category.
    #[arg(long)]
    pub category: Option<String>,
    /// Products of this brand.
    #[arg(long)]
    pub brand: Option<String>,
    /// Products that cost at least this, in whole won.
    #[arg(long, value_name = "WON", value_parser = values::amount())]
    pub min_price: Option<i32>,
    /// Products that cost at most this, in whole won.
    #[arg(long, value_name = "WON", value_parser = values::amount())]
    pub max_price: Option<i32>,
}
