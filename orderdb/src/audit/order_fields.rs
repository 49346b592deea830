//! The fields of an order that its row has from its record.

use shared::wire::ReceivedOrder;

/// The fields of an order that its row has from its record. All but the attributes of user and product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderFields<Text> {
    pub order_id: Text,
    pub user_id: Text,
    pub product_id: Text,
    pub quantity: i32,
    pub total_amount: i32,
    pub shipping_cost: i32,
    pub discount_amount: i32,
    pub payment_method: Text,
    /// The status that the order was placed with.
    pub status: Text,
    /// Microseconds after the Unix epoch, the precision of the table.
    pub created_at: i64,
}

impl<'a> OrderFields<&'a str> {
    /// The fields of a record.
    pub fn of_record(order: &'a ReceivedOrder) -> Self {
        let event = &order.event;
        Self {
            order_id: &order.order_id,
            user_id: event.user_id.as_str(),
            product_id: event.product_id.as_str(),
            quantity: event.quantity,
            total_amount: event.total_amount,
            shipping_cost: event.shipping_cost,
            discount_amount: event.discount_amount,
            payment_method: event.payment_method.as_str(),
            status: event.status.as_str(),
            created_at: event.created_at.timestamp_micros(),
        }
    }

    pub fn to_owned(&self) -> OrderFields<String> {
        OrderFields {
            order_id: self.order_id.to_owned(),
            user_id: self.user_id.to_owned(),
            product_id: self.product_id.to_owned(),
            quantity: self.quantity,
            total_amount: self.total_amount,
            shipping_cost: self.shipping_cost,
            discount_amount: self.discount_amount,
            payment_method: self.payment_method.to_owned(),
            status: self.status.to_owned(),
            created_at: self.created_at,
        }
    }
}

impl<Text: AsRef<str>> OrderFields<Text> {
    /// Names of the columns in which the two differ.
    pub fn differences(&self, other: &OrderFields<&str>) -> Vec<&'static str> {
        let differs = |a: &Text, b: &str| a.as_ref() != b;
        let columns = [
            ("order_id", differs(&self.order_id, other.order_id)),
            ("user_id", differs(&self.user_id, other.user_id)),
            ("product_id", differs(&self.product_id, other.product_id)),
            ("quantity", self.quantity != other.quantity),
            ("total_amount", self.total_amount != other.total_amount),
            ("shipping_cost", self.shipping_cost != other.shipping_cost),
            ("discount_amount", self.discount_amount != other.discount_amount),
            ("payment_method", differs(&self.payment_method, other.payment_method)),
            ("status", differs(&self.status, other.status)),
            ("created_at", self.created_at != other.created_at),
        ];
        columns.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::digest::Digester, *};

    const FIELDS: OrderFields<&str> = OrderFields {
        order_id: "a",
        user_id: "U1",
        product_id: "P1",
        quantity: 1,
        total_amount: 2,
        shipping_cost: 3,
        discount_amount: 4,
        payment_method: "card",
        status: "paid",
        created_at: 5,
    };

    #[test]
    fn every_field_is_in_the_digest_and_among_the_differences() {
        let digester = Digester::default();
        let others = [
            ("order_id", OrderFields { order_id: "b", ..FIELDS }),
            ("user_id", OrderFields { user_id: "U2", ..FIELDS }),
            ("product_id", OrderFields { product_id: "P2", ..FIELDS }),
            ("quantity", OrderFields { quantity: 2, ..FIELDS }),
            ("total_amount", OrderFields { total_amount: 3, ..FIELDS }),
            ("shipping_cost", OrderFields { shipping_cost: 2, ..FIELDS }),
            ("discount_amount", OrderFields { discount_amount: 5, ..FIELDS }),
            ("payment_method", OrderFields { payment_method: "", ..FIELDS }),
            ("status", OrderFields { status: "cancelled", ..FIELDS }),
            ("created_at", OrderFields { created_at: 6, ..FIELDS }),
        ];
        for (name, other) in others {
            assert_ne!(digester.digest(&FIELDS), digester.digest(&other), "{name}");
            assert_eq!(FIELDS.differences(&other), [name]);
        }
        assert_eq!(digester.digest(&FIELDS), digester.digest(&FIELDS.to_owned()));
        assert!(FIELDS.to_owned().differences(&FIELDS).is_empty());
    }
}
