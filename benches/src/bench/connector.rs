//! The configurations of Debezium's JDBC sink connector, and the schemas of its records.

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::database::DatabaseSettings;

/// How Debezium is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Default,
    /// The fastest that was found.
    Tuned,
}

/// The configuration of a connector for `bench sink`, whose records have the enriched columns: three tasks and larger
/// batches than its defaults. The default is JSON with the schema in every record, and upserts as JDBC batches; tuned,
/// the schema is in the configuration and the upserts are by `UNNEST` (Debezium 3.6).
pub fn enriched_connector(database: &DatabaseSettings, topic: &str, setup: Setup) -> Value {
    large_batches(database, topic, &enriched_schema(), setup)
}

/// That for orders which change: their records have the position of the status too.
pub fn flattened_connector(database: &DatabaseSettings, topic: &str, setup: Setup) -> Value {
    let mut config = large_batches(database, topic, &flattened_schema(), setup);
    // An upsert of several rows can't have two of one order: only the last one of a batch is written.
    config["use.reduction.buffer"] = json!("true");
    config
}

fn large_batches(database: &DatabaseSettings, topic: &str, schema: &Value, setup: Setup) -> Value {
    let mut config = connector(database, topic);
    config["primary.key.mode"] = json!("record_value");
    config["tasks.max"] = json!("3");
    config["batch.size"] = json!("2000");
    config["consumer.override.max.poll.records"] = json!("2000");
    if setup == Setup::Tuned {
        config["dialect.postgres.unnest.insert.enabled"] = json!("true");
        set_schema(&mut config, schema);
    }
    config
}

/// The configuration of a connector for `bench latency`, which reads the producer's own records: the key is the order
/// id, and the value has no schema. The default has one task; tuned, there are three, as the consumer has three
/// connections. `UNNEST` is for large batches, which there are none of.
pub fn wire_connector(database: &DatabaseSettings, topic: &str, setup: Setup) -> Value {
    let mut config = connector(database, topic);
    config["primary.key.mode"] = json!("record_key");
    // Debezium fails on a key that is no struct when the table has columns that the record lacks.
    config["transforms"] = json!("key");
    config["transforms.key.type"] = json!("org.apache.kafka.connect.transforms.HoistField$Key");
    config["transforms.key.field"] = json!("order_id");
    set_schema(&mut config, &wire_schema());
    if setup == Setup::Tuned {
        config["tasks.max"] = json!("3");
    }
    config
}

/// As the consumer connects, with TLS or without: by default, the peers use TLS when the server has it.
pub fn tls(database: &DatabaseSettings) -> &'static str {
    if database.uses_tls() { "sslmode=require" } else { "sslmode=disable" }
}

/// What all of them have.
fn connector(database: &DatabaseSettings, topic: &str) -> Value {
    let (user, password) = database.credentials();
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "topics": topic,
        "connection.url": format!("jdbc:postgresql://{}?{}&reWriteBatchedInserts=true", database.place(), tls(database)),
        "connection.username": user,
        "connection.password": password.expose_secret(),
        "insert.mode": "upsert",
        "primary.key.fields": "order_id",
        "schema.evolution": "none",
        "collection.name.format": "orders",
        "consumer.override.auto.offset.reset": "earliest",
        // A short heartbeat interval lets the tasks share the partitions at once. The converter skips parsing the
        // headers.
        "consumer.override.heartbeat.interval.ms": "500",
        "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    })
}

fn set_schema(config: &mut Value, schema: &Value) {
    config["value.converter"] = json!("org.apache.kafka.connect.json.JsonConverter");
    config["value.converter.schemas.enable"] = json!("true");
    config["value.converter.schema.content"] = json!(schema.to_string());
}

/// The Connect schema of a stored order.
pub fn enriched_schema() -> Value {
    let ids = ["order_id", "user_id", "product_id"];
    let enriched = ["category", "user_region", "user_gender", "user_age_group"];
    schema("orderflow.orders.Value", ids.into_iter().chain(enriched))
}

/// That of a stored order with the position of its status.
pub fn flattened_schema() -> Value {
    let mut schema = enriched_schema();
    let sequence = json!({ "field": "status_sequence", "type": "int32", "optional": false });
    schema["fields"].as_array_mut().expect("a struct has fields").push(sequence);
    schema
}

/// That of the value of an order as the producer sends it.
fn wire_schema() -> Value {
    schema("orderflow.orders.Placed", ["user_id", "product_id"])
}

/// The fields that the values of all records have, and `texts`.
fn schema(name: &str, texts: impl IntoIterator<Item = &'static str>) -> Value {
    let field = |name: &str, kind: &str| json!({ "field": name, "type": kind, "optional": false });
    let numbers = ["quantity", "total_amount", "shipping_cost", "discount_amount"];
    let texts = texts.into_iter().chain(["payment_method", "status"]).map(|name| field(name, "string"));
    let mut fields: Vec<Value> = numbers.into_iter().map(|name| field(name, "int32")).chain(texts).collect();
    fields.push(json!({
        "field": "created_at", "type": "string", "optional": false,
        "name": "io.debezium.time.ZonedTimestamp", "version": 1
    }));
    json!({ "type": "struct", "name": name, "optional": false, "fields": fields })
}
