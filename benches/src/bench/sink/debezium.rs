//! Debezium's JDBC sink. It does not enrich, so it reads topics whose orders have the enriched columns already.

use std::{path::Path, sync::Arc};

use serde_json::json;

use super::{
    fill_rate::{Fill, empty_table, measure_fill_rate},
    stored_order::StoredOrder,
};
use crate::{
    bench::{
        bare_loop,
        connect::ConnectWorker,
        connector::{Setup, enriched_connector, enriched_schema},
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

/// A running Connect worker, and its topics.
pub struct Debezium {
    worker: ConnectWorker,
    /// Records with their schema.
    default: FilledTopic,
    /// Records without their schema.
    tuned: FilledTopic,
}

impl Debezium {
    /// Sends `orders` to a topic for each setup and starts the worker.
    ///
    /// # Errors
    /// When the brokers do not acknowledge an order, or the worker does not start.
    pub async fn start(bench: &mut BenchEnvironment, peers: &Path, orders: &[StoredOrder]) -> anyhow::Result<Self> {
        let schema = enriched_schema();
        let with_schema = |order: &StoredOrder| json!({ "schema": schema, "payload": order }).to_string();
        let default = fill_topic(bench, "with-schema", orders, with_schema).await?;
        let tuned = fill_topic(bench, "without-schema", orders, |order| json!(order).to_string()).await?;
        Ok(Self { worker: ConnectWorker::start(bench, peers).await?, default, tuned })
    }

    /// Drains the setup's topic with a new connector, which has a new group.
    ///
    /// # Errors
    /// When the connector fails, or not every order is stored exactly once.
    pub async fn drain(
        &mut self,
        bench: &BenchEnvironment,
        stack: &BenchStackSettings,
        orders: u64,
        setup: Setup,
    ) -> anyhow::Result<Fill> {
        empty_table(bench).await?;
        let topic = if setup == Setup::Default { &self.default } else { &self.tuned };
        let config = enriched_connector(&bench.database, &topic.name, setup);
        let connector = self.worker.create(bench, config).await?;
        let mut meter = CpuMeter::new([self.worker.pid()], stack)?;
        let worker = &mut self.worker;
        let fill = measure_fill_rate(bench, topic, orders, &mut meter, || worker.ensure_running(&connector)).await?;
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

/// Creates a topic with the orders, whose values `value` encodes.
///
/// # Errors
/// When the brokers do not acknowledge an order.
pub async fn fill_topic(
    bench: &mut BenchEnvironment,
    name: &str,
    orders: &[StoredOrder],
    value: impl Fn(&StoredOrder) -> String,
) -> anyhow::Result<FilledTopic> {
    let (topic, partitions) = bench.create_topic(name).await?;
    let kafka = &bench.services.kafka;
    let encode = |order: &StoredOrder| EncodedOrder { key: order.order_id.clone(), value: value(order).into_bytes() };
    for chunk in orders.chunks(ORDERS_IN_MEMORY) {
        let records: Vec<EncodedOrder> = chunk.iter().map(encode).collect();
        let count = records.len() as u64;
        bare_loop::send(kafka, &topic, partitions, Arc::new(records), count).await?;
    }
    FilledTopic::read(kafka, &topic).await
}
