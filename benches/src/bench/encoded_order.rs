//! Orders encoded before they are sent, so that a bench measures the sending alone.

use std::sync::Arc;

use chrono::Utc;
use producer::{generate::Generator, random::OrderRandoms, sample::SampledProduct};
use rand::RngExt;
use shared::{
    order_id::{OrderId, RunTag, Sequence},
    wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1, encode_value},
};

/// Orders that the contestants of `bench producer` encode in advance and repeat.
pub const ENCODED_ORDERS: usize = 200_000;

/// Key and value of a record.
#[derive(Clone)]
pub struct EncodedOrder {
    /// The order id.
    pub key: String,
    /// The partition that it is sent to; `None`: the sender chooses.
    pub partition: Option<i32>,
    pub value: Vec<u8>,
}

impl EncodedOrder {
    /// Bytes of key, header and value together.
    pub fn bytes(&self) -> usize {
        self.key.len() + EVENT_TYPE_HEADER.len() + ORDER_PLACED_V1.len() + self.value.len()
    }
}

/// Varied as those of a seeded table, which decides how well the orders compress: 1,000 to 1,000,000 in steps of 10.
fn price(product: u32) -> i32 {
    1_000 + (product.wrapping_mul(2_654_435_761) % 99_900) as i32 * 10
}

/// `count` orders as the producer encodes them, of a thousand users and products.
pub fn encode_orders(count: usize) -> Arc<Vec<EncodedOrder>> {
    let (generator, mut randoms) = (Generator::default(), OrderRandoms::new(1));
    let tag = RunTag::random();
    let encode = |n: usize| {
        let now = Utc::now();
        let mut random = randoms.of(n as u64);
        let product: u32 = random.random_range(0..1_000);
        let product = SampledProduct { product_id: format!("P{product:06}").into(), price: price(product) };
        let user = format!("U{:08}", random.random_range(0..1_000)).into();
        let mut value = Vec::new();
        encode_value(&generator.order(&mut random, &user, &product, now), &mut value);
        let nanos = now.timestamp_nanos_opt().unwrap_or_default() as u64;
        let sequence = Sequence::new(n as u64).expect("`count` is far below the largest sequence");
        EncodedOrder { key: OrderId::new(nanos, tag, sequence).to_string(), partition: None, value }
    };
    Arc::new((0..count).map(encode).collect())
}
