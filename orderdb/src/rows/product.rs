//! Products by hand.

use anyhow::{bail, ensure};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper, dsl::count_star, query_builder::SqlQuery,
};
use rand::rngs::StdRng;
use shared::{
    catalog::{Product, check_product, synthetic_product, synthetic_product_of},
    database::{
        ProductRow, StatementClient,
        schema::{orders, products},
    },
    lookup::ProductField,
};

use super::{
    next_id::{ATTEMPTS, last_number},
    table::{After, RowQuery, Table},
};
use crate::settings::{CreateProduct, ProductChange, ProductFilter, ProductValues};

impl Table for Product {
    type Create = CreateProduct;
    type Filter = ProductFilter;
    type Change = ProductChange;
    type Field = ProductField;

    const BRIEF: &'static [&'static str] =
        &["product_id", "name", "category", "brand", "price", "org_price", "discount_rate", "stock"];

    async fn insert(create: &CreateProduct, client: &mut StatementClient) -> anyhow::Result<Self> {
        let mut number = match create.id {
            Some(_) => 0,
            None => last_number::<Self>(client, 'P', 6).await? + 1,
        };
        for _ in 0..ATTEMPTS {
            let product = filled_in(create, number)?;
            let insert = diesel::insert_into(products::table)
                .values((ProductRow::from(product), create.created_at.map(|time| products::created_at.eq(time))))
                .on_conflict_do_nothing()
                .returning(ProductRow::as_select());
            match (client.query(&insert).await?.first(), &create.id) {
                (Some(inserted), _) => return Ok(inserted.into()),
                (None, Some(id)) => bail!("there is a product {id} already: orderdb product update changes it"),
                (None, None) => number += 1,
            }
        }
        bail!("other programs take each new id: give one by --id")
    }

    async fn apply(&mut self, change: &ProductChange, _: &mut StatementClient) -> anyhow::Result<()> {
        change.values.apply(self)
    }

    fn select_locked(id: &str) -> impl RowQuery {
        products::table.find(id.to_owned()).select(ProductRow::as_select()).for_no_key_update()
    }

    fn update(self) -> impl RowQuery {
        let id = self.product_id.to_string();
        diesel::update(products::table.find(id)).set(ProductRow::from(self)).returning(ProductRow::as_select())
    }

    fn delete(ids: &[String]) -> impl RowQuery {
        let deleted = products::table.filter(products::product_id.eq_any(ids.to_vec()));
        diesel::delete(deleted).returning(ProductRow::as_select())
    }

    fn references(ids: &[String]) -> Option<impl RowQuery> {
        let of = orders::table.filter(orders::product_id.eq_any(ids.to_vec()));
        Some(of.group_by(orders::product_id).select((orders::product_id, count_star())).order(orders::product_id))
    }

    fn history_size(_: &[String]) -> Option<impl RowQuery> {
        None::<SqlQuery>
    }

    fn history(_: &str) -> Option<impl RowQuery> {
        None::<SqlQuery>
    }

    fn page(filter: &ProductFilter, after: Option<After>, limit: i64) -> impl RowQuery {
        let ProductFilter { category, brand, min_price, max_price } = filter;
        let mut page = products::table.select((ProductRow::as_select(), products::created_at)).into_boxed();
        if let Some(category) = category {
            page = page.filter(products::category.eq(category.clone()));
        }
        if let Some(brand) = brand {
            page = page.filter(products::brand.eq(brand.clone()));
        }
        if let Some(won) = *min_price {
            page = page.filter(products::price.ge(won));
        }
        if let Some(won) = *max_price {
            page = page.filter(products::price.le(won));
        }
        if let Some(After { id, created_at }) = after {
            let same_time = products::created_at.eq(created_at).and(products::product_id.lt(id));
            page = page.filter(products::created_at.lt(created_at).or(same_time));
        }
        page.order((products::created_at.desc(), products::product_id.desc())).limit(limit)
    }

    fn created_at(id: &str) -> impl RowQuery {
        products::table.find(id.to_owned()).select(products::created_at)
    }
}

/// A synthetic product with the values that are given.
fn filled_in(create: &CreateProduct, number: u64) -> anyhow::Result<Product> {
    let CreateProduct { id, values, .. } = create;
    let mut random: StdRng = rand::make_rng();
    let mut product = match &values.category {
        Some(category) => synthetic_product_of(&mut random, number, category),
        None => synthetic_product(&mut random, number),
    };
    if let Some(id) = id {
        product.product_id = id.as_str().into();
    }
    // A made-up name begins with the brand.
    if let Some(brand) = &values.brand
        && let Some(words) = product.name.strip_prefix(&product.brand)
    {
        product.name = format!("{brand}{words}").chars().take(200).collect();
    }
    // Without them, a price is its own: the synthetic one has nothing to do with it.
    if values.price.is_some() || values.org_price.is_some() || values.discount_rate.is_some() {
        product.discount_rate = 0.0;
        product.price = values.price.unwrap_or(product.org_price);
        product.org_price = values.org_price.unwrap_or(product.price);
    }
    values.apply(&mut product)?;
    Ok(product)
}

impl ProductValues {
    /// Overwrites the columns that are given, and those that follow from them.
    fn apply(&self, product: &mut Product) -> anyhow::Result<()> {
        let Self { name, category, brand, price: _, org_price: _, discount_rate: _, stock } = self;
        for (column, value) in
            [(&mut product.name, name), (&mut product.category, category), (&mut product.brand, brand)]
        {
            if let Some(value) = value {
                column.clone_from(value);
            }
        }
        product.stock = stock.unwrap_or(product.stock);
        self.apply_prices(product)?;
        check_product(product)
    }

    fn apply_prices(&self, product: &mut Product) -> anyhow::Result<()> {
        match (self.price, self.org_price, self.discount_rate) {
            (None, None, None) => return Ok(()),
            (None, org_price, Some(rate)) => {
                product.org_price = org_price.unwrap_or(product.org_price);
                product.price = discounted(product.org_price, rate);
                product.discount_rate = rate;
            }
            (Some(price), None, Some(rate)) => {
                ensure!(
                    rate < 1.0,
                    "--discount-rate 1 leaves nothing to pay, so that no price follows: give --org-price"
                );
                product.price = price;
                product.org_price = ((f64::from(price) / (1.0 - rate)).round() as i32).max(price);
                product.discount_rate = rate;
            }
            (price, org_price, rate) => {
                product.price = price.unwrap_or(product.price);
                product.org_price = org_price.unwrap_or(product.org_price);
                let (price, org_price) = (product.price, product.org_price);
                ensure!(
                    org_price >= price,
                    "the price, {price}, is above the price without discount, {org_price}: give --org-price too"
                );
                product.discount_rate = rate.unwrap_or_else(|| rate_of(price, org_price));
            }
        }
        Ok(())
    }
}

/// Rounded to whole won.
fn discounted(org_price: i32, rate: f64) -> i32 {
    (f64::from(org_price) * (1.0 - rate)).round() as i32
}

/// Rounded to whole percents.
fn rate_of(price: i32, org_price: i32) -> f64 {
    if org_price == 0 { 0.0 } else { ((1.0 - f64::from(price) / f64::from(org_price)) * 100.0).round() / 100.0 }
}
