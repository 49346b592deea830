//! Debezium's JDBC sink. It does not enrich, so it reads topics whose orders have the enriched columns already.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};
use shared::database::DatabaseSettings;

use super::{
    fill_rate::{Fill, empty_table, measure_fill_rate},
    flattened::FlattenedEvents,
    stored_order::StoredOrder,
};
use crate::{
    bench::{
        bare_loop,
        connect::ConnectWorker,
        connector::{Setup, enriched_connector, enriched_schema, flattened_connector, flattened_schema},
        cpu::CpuMeter,
        encoded_order::EncodedOrder,
        environment::BenchEnvironment,
        filled_topic::FilledTopic,
    },
    settings::BenchStackSettings,
};

/// Bounds the memory: with its schema, a record has more than a kilobyte. A multiple of the orders that a partition
/// gets before the next one is used.
const ORDERS_IN_MEMORY: usize = 27 * 3_000;

/// What Debezium stores.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    Orders(&'a [StoredOrder]),
    /// Orders and their changes.
    Events(&'a FlattenedEvents),
}

impl Input<'_> {
    fn schema(self) -> Value {
        match self {
            Self::Orders(_) => enriched_schema(),
            Self::Events(_) => flattened_schema(),
        }
    }

    /// Order id, partition if it is given, and value of each record.
    fn records(&self) -> Box<dyn Iterator<Item = (&str, Option<i32>, Value)> + '_> {
        match self {
            Self::Orders(orders) => Box::new(orders.iter().map(|order| (order.order_id.as_str(), None, json!(order)))),
            Self::Events(events) => {
                Box::new(events.records().map(|(order_id, partition, value)| (order_id, Some(partition), value)))
            }
        }
    }
}

/// A running Connect worker, and its topics.
pub struct Debezium {
    worker: ConnectWorker,
    configure: fn(&DatabaseSettings, &str, Setup) -> Value,
    /// Records with their schema.
    default: FilledTopic,
    /// Records without their schema.
    tuned: FilledTopic,
}

impl Debezium {
    /// Sends `input` to a topic for each setup and starts the worker.
    ///
    /// # Errors
    /// When the brokers do not acknowledge a record, or the worker does not start.
    pub async fn start(bench: &mut BenchEnvironment, peers: &Path, input: Input<'_>) -> anyhow::Result<Self> {
        let schema = input.schema();
        let with_schema = |value: Value| json!({ "schema": schema, "payload": value });
        let default = fill_topic(bench, "with-schema", input, with_schema).await?;
        let tuned = fill_topic(bench, "without-schema", input, |value| value).await?;
        let configure = match input {
            Input::Orders(_) => enriched_connector,
            Input::Events(_) => flattened_connector,
        };
        Ok(Self { worker: ConnectWorker::start(bench, peers).await?, configure, default, tuned })
    }

    /// Drains the setup's topic with a new connector, which has a new group.
    ///
    /// # Errors
    /// When the connector fails, or not every event is stored.
    pub async fn drain(
        &mut self,
        bench: &BenchEnvironment,
        stack: &BenchStackSettings,
        setup: Setup,
    ) -> anyhow::Result<Fill> {
        empty_table(bench).await?;
        let topic = if setup == Setup::Default { &self.default } else { &self.tuned };
        let config = (self.configure)(&bench.database, &topic.name, setup);
        let connector = self.worker.create(bench, config).await?;
        let mut meter = CpuMeter::new([self.worker.pid()], stack)?;
        let worker = &mut self.worker;
        let fill = measure_fill_rate(bench, topic, &mut meter, || worker.ensure_running(&connector)).await?;
        self.worker.delete(connector).await?;
        Ok(fill)
    }

    /// Stops the worker.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.worker.stop().await
    }
}

/// Creates a topic with the records, whose values `form` completes.
///
/// # Errors
/// When the brokers do not acknowledge a record.
pub async fn fill_topic(
    bench: &mut BenchEnvironment,
    name: &str,
    input: Input<'_>,
    form: impl Fn(Value) -> Value,
) -> anyhow::Result<FilledTopic> {
    let (topic, partitions) = bench.create_topic(name).await?;
    let kafka = &bench.services.kafka;
    let mut records = input.records().map(|(order_id, partition, value)| EncodedOrder {
        key: order_id.to_owned(),
        partition,
        value: form(value).to_string().into_bytes(),
    });
    loop {
        let chunk: Vec<EncodedOrder> = records.by_ref().take(ORDERS_IN_MEMORY).collect();
        if chunk.is_empty() {
            break;
        }
        let count = chunk.len() as u64;
        bare_loop::send(kafka, &topic, partitions, Arc::new(chunk), count).await?;
    }
    FilledTopic::read(kafka, &topic).await
}
