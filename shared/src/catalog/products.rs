//! Synthetic products of a Korean online shop.

use std::sync::LazyLock;

use rand::{Rng, RngExt};

use super::{
    categories::{CATEGORIES, CategoryTemplate},
    model::Product,
    weighted::{Weighted, pick},
};

static CATEGORY: LazyLock<Weighted<CategoryTemplate>> = LazyLock::new(|| Weighted::new(&CATEGORIES));

/// Discounts in percent, weighted by their share of the products in percent.
const DISCOUNTS: [(u32, i32); 11] =
    [(60, 0), (8, 5), (10, 10), (4, 15), (7, 20), (2, 25), (4, 30), (1, 35), (2, 40), (1, 45), (1, 50)];
static DISCOUNT: LazyLock<Weighted<i32>> = LazyLock::new(|| Weighted::new(&DISCOUNTS));

/// Maximum pieces of a product in stock.
const MAX_STOCK: i32 = 1_000;

/// Product `number`. Its id is `P000001` for number 1; all other values follow from the state of `random`.
///
/// Prices are whole won below 5,000,000, so that the total of an order of many pieces fits an `i32`. `price` is
/// `org_price` less `discount_rate` (0 to 0.5 in steps of 0.05), rounded to 10 won. `stock` is 0 to 1,000.
pub fn synthetic_product(random: &mut impl Rng, number: u64) -> Product {
    let category = CATEGORY.draw(random);
    product_of(random, number, category)
}

/// As [`synthetic_product`], of this category. One that is not among the synthetic ones gets the other values of any
/// category.
pub fn synthetic_product_of(random: &mut impl Rng, number: u64, category: &str) -> Product {
    let known = CATEGORIES.iter().map(|(_, template)| template).find(|template| template.name == category);
    let template = known.unwrap_or_else(|| CATEGORY.draw(random));
    let product = product_of(random, number, template);
    Product { category: category.to_owned(), ..product }
}

fn product_of(random: &mut impl Rng, number: u64, category: &CategoryTemplate) -> Product {
    let brand = pick(random, category.brands);
    let adjective = pick(random, category.adjectives);
    let noun = pick(random, category.nouns);
    let variant = pick(random, category.variants);
    let org_price = list_price(random, category);
    let percent_off = *DISCOUNT.draw(random);
    Product {
        product_id: product_id(number).into(),
        name: format!("{brand} {adjective} {noun} {variant}"),
        category: category.name.to_owned(),
        brand: brand.to_owned(),
        price: discounted(i64::from(org_price), percent_off),
        org_price,
        discount_rate: f64::from(percent_off) / 100.0,
        stock: random.random_range(0..=MAX_STOCK),
    }
}

/// The id of product `number`.
pub fn product_id(number: u64) -> String {
    format!("P{number:06}")
}

/// `product` with another discount, price and stock.
pub fn change_product(random: &mut impl Rng, mut product: Product) -> Product {
    let percent_off = *DISCOUNT.draw(random);
    // A row of another source may have an org_price that is no multiple of 10.
    product.price = discounted(i64::from(product.org_price), percent_off).min(product.org_price);
    product.discount_rate = f64::from(percent_off) / 100.0;
    product.stock = random.random_range(0..=MAX_STOCK);
    product
}

/// Log-uniform over the prices of the category: as many products between 1,000 and 2,000 won as between 10,000 and
/// 20,000. A multiple of 10 won below 10,000, of 100 won from there on.
fn list_price(random: &mut impl Rng, category: &CategoryTemplate) -> i32 {
    let (min_price, max_price) = (f64::from(category.min_price), f64::from(category.max_price));
    let price = random.random_range(min_price.ln()..=max_price.ln()).exp();
    let step = if price < 10_000.0 { 10.0 } else { 100.0 };
    (((price / step).round() * step) as i32).clamp(category.min_price, category.max_price)
}

/// `org_price` less `percent_off`, rounded to 10 won. Computed in integers, which have no rounding error.
fn discounted(org_price: i64, percent_off: i32) -> i32 {
    let price = (org_price * i64::from(100 - percent_off) + 500) / 1_000 * 10;
    i32::try_from(price).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::catalog::weighted::assert_share;

    const DRAWS: usize = 20_000;

    fn products() -> Vec<Product> {
        let mut random = StdRng::seed_from_u64(7);
        (1..=DRAWS as u64).map(|number| synthetic_product(&mut random, number)).collect()
    }

    #[test]
    fn categories_follow_their_shares() {
        let mut counts = HashMap::new();
        for product in products() {
            *counts.entry(product.category).or_default() += 1;
        }
        assert_eq!(counts.len(), CATEGORIES.len());
        let total: u32 = CATEGORIES.iter().map(|(share, _)| share).sum();
        for (share, category) in &CATEGORIES {
            assert_share(category.name, counts[category.name], DRAWS, f64::from(*share) / f64::from(total));
        }
    }

    #[test]
    fn discounts_follow_their_shares() {
        let products = products();
        assert_eq!(DISCOUNTS.iter().map(|(share, _)| share).sum::<u32>(), 100);
        for (share, percent) in DISCOUNTS {
            let rate = f64::from(percent) / 100.0;
            let count = products.iter().filter(|product| product.discount_rate == rate).count();
            assert_share(&format!("{percent} % off"), count, DRAWS, f64::from(share) / 100.0);
        }
    }

    #[test]
    fn a_price_is_the_list_price_less_the_discount() {
        for product in products() {
            let exact = f64::from(product.org_price) * (1.0 - product.discount_rate);
            assert!((f64::from(product.price) - exact).abs() < 5.0 + 1e-6, "{product:?}");
            assert_eq!(product.price % 10, 0, "{product:?}");
            assert!(product.price > 0 && product.price <= product.org_price, "{product:?}");
            assert_eq!(product.price == product.org_price, product.discount_rate == 0.0, "{product:?}");
        }
    }

    #[test]
    fn a_list_price_is_round_and_within_its_category() {
        let categories: HashMap<_, _> = CATEGORIES.iter().map(|(_, category)| (category.name, category)).collect();
        for product in products() {
            let category = categories[product.category.as_str()];
            assert!((category.min_price..=category.max_price).contains(&product.org_price), "{product:?}");
            assert_eq!(product.org_price % if product.org_price < 10_000 { 10 } else { 100 }, 0, "{product:?}");
        }
    }

    #[test]
    fn ten_pieces_of_the_max_price_fit_an_order() {
        for (_, category) in &CATEGORIES {
            assert!(
                0 < category.min_price && category.min_price < category.max_price && category.max_price < 5_000_000,
                "{}",
                category.name
            );
            assert!(category.max_price.checked_mul(10).is_some(), "{}", category.name);
            // `discounted` multiplies by up to 100 before it divides.
            assert!(category.max_price.checked_mul(101).is_some(), "{}", category.name);
        }
    }

    #[test]
    fn list_prices_are_uniform_on_a_logarithmic_scale() {
        let category = &CATEGORIES[0].1;
        let middle = (f64::from(category.min_price) * f64::from(category.max_price)).sqrt();
        let mut random = StdRng::seed_from_u64(7);
        let below = (0..DRAWS).filter(|_| f64::from(list_price(&mut random, category)) < middle).count();
        assert_share("below the middle", below, DRAWS, 0.5);
    }

    #[test]
    fn every_product_fits_the_table() {
        for product in products() {
            assert!((1..=50).contains(&product.product_id.as_str().len()), "{product:?}");
            assert!((1..=200).contains(&product.name.chars().count()), "{product:?}");
            assert!((1..=50).contains(&product.category.chars().count()), "{product:?}");
            assert!((1..=100).contains(&product.brand.chars().count()), "{product:?}");
            assert!((0..=MAX_STOCK).contains(&product.stock), "{product:?}");
        }
    }

    #[test]
    fn few_of_a_thousand_products_share_a_name() {
        let names: HashSet<_> = products().into_iter().take(1_000).map(|product| product.name).collect();
        assert!(names.len() > 950, "{} names", names.len());
    }

    #[test]
    fn no_two_categories_share_a_brand() {
        let brands: Vec<_> = CATEGORIES.iter().flat_map(|(_, category)| category.brands).collect();
        assert_eq!(brands.iter().collect::<HashSet<_>>().len(), brands.len());
    }

    #[test]
    fn the_same_seed_makes_the_same_products() {
        assert_eq!(products(), products());
    }

    #[test]
    fn an_id_has_six_digits_or_more() {
        let mut random = StdRng::seed_from_u64(7);
        let id = |number| synthetic_product(&mut random, number).product_id.to_string();
        assert_eq!([1, 123_456, 1_234_567].map(id), ["P000001", "P123456", "P1234567"]);
    }
}
