//! Reads which orders of a run are in the table, and compares each row with its record, its user, its product and its
//! history.

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
    change_fields::ChangeFields,
    dead_letters::RunDeadLetters,
    digest::Digester,
    history::{self, ComparedHistory, CurrentStatus, HistoryRow},
    order_fields::OrderFields,
    records::Content,
    stored_changes::StoredChanges,
    topic::TopicRecords,
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

/// The history of each order is looked up by the primary key: a join of two ranges is a tenth faster, but where the
/// tables were not analyzed yet, it sorts all changes before the first row.
const QUERY: &str = "SELECT o.order_id, o.user_id, o.product_id, o.quantity, o.total_amount, o.shipping_cost, \
     o.discount_amount, o.payment_method, o.status, o.created_at, \
     o.user_region <> u.region, o.user_gender <> u.gender, o.user_age_group <> u.age_group, o.category <> p.category, \
     u.attributes_updated_at, p.attributes_updated_at, \
     o.status_sequence, h.sequences, h.statuses, h.reasons, h.times \
     FROM orders o LEFT JOIN users u USING (user_id) LEFT JOIN products p USING (product_id) \
     CROSS JOIN LATERAL (SELECT array_agg(sequence ORDER BY sequence) AS sequences, \
        array_agg(status ORDER BY sequence) AS statuses, array_agg(reason ORDER BY sequence) AS reasons, \
        array_agg(occurred_at ORDER BY sequence) AS times \
        FROM order_events e WHERE e.order_id = o.order_id) h \
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
    /// The histories of the orders.
    pub changes: StoredChanges,
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
    pub topic: &'a TopicRecords,
    pub dead_lettered: &'a RunDeadLetters,
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
    history: ComparedHistory,
}

impl Comparison<'_> {
    fn compare(&self, id: OrderId, row: &Row) -> anyhow::Result<ComparedRow> {
        let history = history_rows(row)?;
        let mut fields = own_fields(row)?;
        let current =
            CurrentStatus { status: fields.status, sequence: row.try_get(16)?, created_at: fields.created_at };
        let sequence = id.sequence().get();
        let compared_history =
            history::compare(sequence, &current, &history, &self.topic.changes, self.digester, |number| {
                self.dead_lettered.changes.sequences.contains(number)
            });
        if let Some(placed) = history.first().filter(|row| row.sequence == 0) {
            fields.status = placed.fields.status;
        }
        let dead_lettered = self.dead_lettered.orders.sequences.contains(sequence);
        let record = self.topic.orders.compare(sequence, self.digester.digest(&fields), dead_lettered);
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
            history: compared_history,
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
        created_at: micros(row.try_get(9)?),
    })
}

fn micros(time: Timestamp<DateTime<Utc>>) -> i64 {
    match time {
        Timestamp::Value(time) => time.timestamp_micros(),
        // A column may also have these, a record may not.
        Timestamp::PosInfinity => i64::MAX,
        Timestamp::NegInfinity => i64::MIN,
    }
}

/// The history of the order, ordered by the numbers.
fn history_rows(row: &Row) -> anyhow::Result<Vec<HistoryRow<'_>>> {
    let Some(sequences): Option<Vec<i32>> = row.try_get(17)? else { return Ok(Vec::new()) };
    let (statuses, reasons): (Vec<&str>, Vec<&str>) = (row.try_get(18)?, row.try_get(19)?);
    let times: Vec<Timestamp<DateTime<Utc>>> = row.try_get(20)?;
    let fields = statuses.into_iter().zip(reasons).zip(times).map(|((status, reason), time)| ChangeFields {
        status,
        reason,
        occurred_at: micros(time),
    });
    Ok(sequences.into_iter().zip(fields).map(|(sequence, fields)| HistoryRow { sequence, fields }).collect())
}

impl StoredOrders {
    fn add(&mut self, compared: ComparedRow) {
        let ComparedRow { order_id, record, row, attributes, attributes_updated, history } = compared;
        self.changes.add(&order_id, &history);
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
