//! Makes an order from a user and a product: weighted random figures, and the total that follows from them.

use chrono::{DateTime, Utc};
use shared::{
    catalog::{UserId, Weighted},
    order::{OrderPlaced, PaymentMethod, PlacedStatus, shipping_cost},
};

use crate::{random::OrderRandom, sample::SampledProduct};

/// Weighted by their share of the orders in percent, as the tables below.
const QUANTITIES: [(u32, i32); 5] = [(60, 1), (22, 2), (10, 3), (5, 4), (3, 5)];
/// Discounts in percent.
const DISCOUNTS: [(u32, i32); 5] = [(70, 0), (12, 5), (10, 10), (5, 15), (3, 20)];
const PAYMENTS: [(u32, PaymentMethod); 5] = [
    (52, PaymentMethod::Card),
    (33, PaymentMethod::EasyPay),
    (7, PaymentMethod::BankTransfer),
    (5, PaymentMethod::VirtualAccount),
    (3, PaymentMethod::MobilePhone),
];
const STATUSES: [(u32, PlacedStatus); 3] =
    [(90, PlacedStatus::Paid), (7, PlacedStatus::PaymentPending), (3, PlacedStatus::Cancelled)];

/// Makes orders.
pub struct Generator {
    quantities: Weighted<i32>,
    discounts: Weighted<i32>,
    payments: Weighted<PaymentMethod>,
    statuses: Weighted<PlacedStatus>,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            quantities: Weighted::new(&QUANTITIES),
            discounts: Weighted::new(&DISCOUNTS),
            payments: Weighted::new(&PAYMENTS),
            statuses: Weighted::new(&STATUSES),
        }
    }
}

impl Generator {
    /// The order that `user` places for `product` at `created_at`.
    pub fn order(
        &self,
        random: &mut OrderRandom,
        user: &UserId,
        product: &SampledProduct,
        created_at: DateTime<Utc>,
    ) -> OrderPlaced {
        let quantity = *self.quantities.draw(random);
        let goods = product.price.saturating_mul(quantity);
        let percent = *self.discounts.draw(random);
        let discount_amount = (i64::from(goods) * i64::from(percent) / 1_000 * 10) as i32;
        let to_pay = goods - discount_amount;
        let shipping_cost = shipping_cost(to_pay);
        OrderPlaced {
            user_id: user.clone(),
            product_id: product.product_id.clone(),
            quantity,
            total_amount: to_pay.saturating_add(shipping_cost),
            shipping_cost,
            discount_amount,
            payment_method: *self.payments.draw(random),
            status: *self.statuses.draw(random),
            created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::order::FREE_SHIPPING_FROM;

    use super::*;
    use crate::random::OrderRandoms;

    proptest! {
        #[test]
        fn the_total_adds_up_and_no_amount_is_negative(seed: u64, price in 0..5_000_000i32) {
            let generator = Generator::default();
            let product = SampledProduct { product_id: "P1".into(), price };
            let mut random = OrderRandoms::new(seed).of(0);
            let order = generator.order(&mut random, &"U1".into(), &product, DateTime::UNIX_EPOCH);
            prop_assert_eq!(order.total_amount, price * order.quantity - order.discount_amount + order.shipping_cost);
            prop_assert!(order.quantity > 0 && order.total_amount >= 0 && order.discount_amount >= 0);
            let to_pay = price * order.quantity - order.discount_amount;
            prop_assert_eq!(order.shipping_cost == 0, to_pay >= FREE_SHIPPING_FROM);
        }
    }

    #[test]
    fn the_shares_are_those_of_the_weights() {
        let (generator, mut randoms) = (Generator::default(), OrderRandoms::new(1));
        let product = SampledProduct { product_id: "P1".into(), price: 1_000 };
        let order = |n| generator.order(&mut randoms.of(n), &"U1".into(), &product, DateTime::UNIX_EPOCH);
        let orders: Vec<_> = (0..20_000).map(order).collect();
        let share = |matches: &dyn Fn(&OrderPlaced) -> bool| {
            orders.iter().filter(|order| matches(order)).count() as f64 / 20_000.0
        };
        assert!((share(&|order| order.payment_method == PaymentMethod::Card) - 0.52).abs() < 0.02);
        assert!((share(&|order| order.status == PlacedStatus::Paid) - 0.90).abs() < 0.02);
        assert!((share(&|order| order.quantity == 1) - 0.60).abs() < 0.02);
    }
}
