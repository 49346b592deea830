//! The configuration of Debezium's JDBC sink connector, and the schema of its records.

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::database::DatabaseSettings;

/// How Debezium is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// As in its documentation: JSON with the schema in every record, upserts as JDBC batches.
    Default,
    /// The fastest that was found: the schema in the connector's configuration, upserts by `UNNEST` (Debezium 3.6).
    Tuned,
}

/// The configuration of a connector that reads `topic`.
pub fn connector(database: &DatabaseSettings, topic: &str, setup: Setup) -> Value {
    let (user, password) = database.credentials();
    let mut config = json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "3",
        "topics": topic,
        "connection.url": format!("jdbc:postgresql://{}?reWriteBatchedInserts=true", database.place()),
        "connection.username": user,
        "connection.password": password.expose_secret(),
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "order_id",
        "schema.evolution": "none",
        "collection.name.format": "orders",
        "batch.size": "2000",
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.max.poll.records": "2000",
        // A short heartbeat interval lets the tasks share the partitions at once. The converter skips parsing the
        // headers.
        "consumer.override.heartbeat.interval.ms": "500",
        "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    });
    if setup == Setup::Tuned {
        config["dialect.postgres.unnest.insert.enabled"] = json!("true");
        config["value.converter"] = json!("org.apache.kafka.connect.json.JsonConverter");
        config["value.converter.schemas.enable"] = json!("true");
        config["value.converter.schema.content"] = json!(schema().to_string());
    }
    config
}

/// The Connect schema of a stored order.
pub fn schema() -> Value {
    let field = |name: &str, kind: &str| json!({ "field": name, "type": kind, "optional": false });
    let mut fields: Vec<Value> = ["order_id", "user_id", "product_id"].map(|name| field(name, "string")).to_vec();
    let numbers = ["quantity", "total_amount", "shipping_cost", "discount_amount"];
    fields.extend(numbers.map(|name| field(name, "int32")));
    let texts = ["payment_method", "status", "category", "user_region", "user_gender", "user_age_group"];
    fields.extend(texts.map(|name| field(name, "string")));
    fields.push(json!({
        "field": "created_at", "type": "string", "optional": false,
        "name": "io.debezium.time.ZonedTimestamp", "version": 1
    }));
    json!({ "type": "struct", "name": "orderflow.orders.Value", "optional": false, "fields": fields })
}
