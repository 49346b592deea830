//! Reads which orders of a run are in the table, and compares each row with its record, its user and its product.

use std::{borrow::Cow, time::Duration};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{TryStreamExt, pin_mut};
use roaring::RoaringTreemap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::order_id::{OrderId, RunTag};
use tokio_postgres::{
    Client, Row,
    types::{Timestamp, Type},
};

use super::{
    order_fields::{Digester, OrderFields},
    topic::{Content, TopicOrders},
};

/// Timeout of the first row, and between two rows.
const ROW_TIMEOUT: Duration = Duration::from_secs(120);

/// How old the attributes of an order may be, compared to its due time: the consumers have them from their own cache
/// and from Redis. With the default of 30 s, their own cache and a round of the cache-worker allow 80 s, and an entry of
/// [`shared::lookup`] 361 s: it is written up to 31 s after its query, and stays for 300 s.
const MAX_ATTRIBUTE_AGE: TimeDelta = TimeDelta::minutes(10);

/// Altered rows that the report names.
const MAX_SAMPLE: usize = 10;

/// The attributes, as columns of table orders.
const ATTRIBUTES: [&str; 4] = ["user_region", "user_gender", "user_age_group", "category"];

const QUERY: &str = "SELECT o.order_id, o.user_id, o.product_id, o.quantity, o.total_amount, o.shipping_cost, \
     o.discount_amount, o.payment_method, o.status, o.created_at, \
     o.user_region <> u.region, o.user_gender <> u.gender, o.user_age_group <> u.age_group, o.category <> p.category, \
     u.attributes_updated_at, p.attributes_updated_at \
     FROM orders o LEFT JOIN users u USING (user_id) LEFT JOIN products p USING (product_id) \
     WHERE o.order_id BETWEEN $1 AND $2";

/// The orders of a run that are in the table. Memory does not depend on the number of altered rows.
#[derive(Clone, Debug, Default)]
pub struct StoredOrders {
    /// Each order once.
    pub sequences: RoaringTreemap,
    /// Rows that differ from their record, or from their user or product.
    pub altered: u64,
    /// Of `altered`, those that differ from their record.
    pub altered_fields: u64,
    /// Of `altered`, those that differ from their user or product.
    pub altered_attributes: u64,
    /// Some of `altered`.
    pub sample: Vec<AlteredOrder>,
    /// Rows of which not everything could be compared.
    pub unchecked: u64,
    /// Of `unchecked`, those whose record is not in the topic.
    pub without_record: u64,
    /// Of `unchecked`, those whose user or product was updated, or deleted.
    pub attributes_updated: u64,
}

/// A row that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlteredOrder {
    pub order_id: String,
    /// The columns that differ.
    pub columns: Vec<Cow<'static, str>>,
    /// The row's own fields, when they differ from the record.
    #[serde(skip)]
    pub row: Option<OrderFields<String>>,
}

/// Reads the rows of the run and compares each with the topic and with its user and product. An order id begins with
/// its due time, so the run's time is one range of the primary key; within it, `tags` select the orders of the run.
/// Streams the rows, so that memory stays bounded.
///
/// # Errors
/// When the table can't be read.
pub async fn read_orders(
    client: &Client,
    tags: &[RunTag],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    comparison: &Comparison<'_>,
) -> anyhow::Result<StoredOrders> {
    let range = OrderId::text_range(from, until);
    let querying = tokio::time::timeout(
        ROW_TIMEOUT,
        client.query_typed_raw(QUERY, [(range.start(), Type::TEXT), (range.end(), Type::TEXT)]),
    );
    let rows = querying
        .await
        .with_context(no_answer)?
        .context("table orders can't be read: run `orderdb migrate up` if a table or a column does not exist")?;
    pin_mut!(rows);
    let mut stored = StoredOrders::default();
    while let Some(row) = tokio::time::timeout(ROW_TIMEOUT, rows.try_next())
        .await
        .with_context(no_answer)?
        .context("table orders could not be read to its end")?
    {
        if let Ok(id) = row.get::<_, &str>(0).parse::<OrderId>()
            && tags.contains(&id.tag())
        {
            stored.sequences.insert(id.sequence().get());
            stored.add(comparison.compare(id, &row)?);
        }
    }
    Ok(stored)
}

fn no_answer() -> String {
    format!("table orders can't be read: no row from the database for {} s", ROW_TIMEOUT.as_secs())
}

/// What the rows of the run are compared with.
pub struct Comparison<'a> {
    pub topic: &'a TopicOrders,
    pub dead_lettered: &'a RoaringTreemap,
    pub digester: &'a Digester,
}

/// The result for one row.
struct ComparedRow {
    order_id: String,
    record: Content,
    /// The row's own fields, when they differ from the record.
    row: Option<OrderFields<String>>,
    /// The attributes that differ from user and product.
    attributes: Vec<&'static str>,
    attributes_updated: bool,
}

impl Comparison<'_> {
    fn compare(&self, id: OrderId, row: &Row) -> anyhow::Result<ComparedRow> {
        let fields = own_fields(row)?;
        let sequence = id.sequence().get();
        let dead_lettered = self.dead_lettered.contains(sequence);
        let record = self.topic.compare(sequence, self.digester.digest(&fields), dead_lettered);
        let mut attributes = Vec::new();
        let latest_update = DateTime::from_timestamp_nanos(id.due_nanos().cast_signed()) - MAX_ATTRIBUTE_AGE;
        // Users have the first three attributes, products the last one.
        let updated = [14, 15].map(|column| -> Option<DateTime<Utc>> { row.get(column) });
        let updated = updated.map(|updated| updated.is_some_and(|updated| updated > latest_update));
        let mut unknown = false;
        for (at, attribute) in ATTRIBUTES.into_iter().enumerate() {
            match row.get::<_, Option<bool>>(10 + at) {
                None => unknown = true,
                Some(true) if !updated[usize::from(at == 3)] => attributes.push(attribute),
                Some(_) => {}
            }
        }
        Ok(ComparedRow {
            order_id: fields.order_id.to_owned(),
            record,
            row: (record == Content::Differs).then(|| fields.to_owned()),
            attributes,
            attributes_updated: unknown || updated[0] || updated[1],
        })
    }
}

fn own_fields(row: &Row) -> anyhow::Result<OrderFields<&str>> {
    Ok(OrderFields {
        order_id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        product_id: row.try_get(2)?,
        quantity: row.try_get(3)?,
        total_amount: row.try_get(4)?,
        shipping_cost: row.try_get(5)?,
        discount_amount: row.try_get(6)?,
        payment_method: row.try_get(7)?,
        status: row.try_get(8)?,
        created_at: match row.try_get(9)? {
            Timestamp::Value(time) => DateTime::<Utc>::timestamp_micros(&time),
            // A column may also have these, a record may not.
            Timestamp::PosInfinity => i64::MAX,
            Timestamp::NegInfinity => i64::MIN,
        },
    })
}

impl StoredOrders {
    fn add(&mut self, compared: ComparedRow) {
        let ComparedRow { order_id, record, row, attributes, attributes_updated } = compared;
        let (fields_differ, attributes_differ) = (record == Content::Differs, !attributes.is_empty());
        self.altered += u64::from(fields_differ || attributes_differ);
        self.altered_fields += u64::from(fields_differ);
        self.altered_attributes += u64::from(attributes_differ);
        self.unchecked += u64::from(record == Content::NoRecord || attributes_updated);
        self.without_record += u64::from(record == Content::NoRecord);
        self.attributes_updated += u64::from(attributes_updated);
        if (fields_differ || attributes_differ) && self.sample.len() < MAX_SAMPLE {
            let columns = attributes.into_iter().map(Cow::from).collect();
            self.sample.push(AlteredOrder { order_id, columns, row });
        }
    }
}
