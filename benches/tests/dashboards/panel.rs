//! The queries of the dashboards, as Grafana would send them.

use std::fs;

use serde_json::Value;

const DASHBOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/observability/grafana/dashboards");

/// A query of a panel.
pub struct Query {
    /// Dashboard and title.
    pub panel: String,
    pub expression: String,
}

/// The queries of all panels. `instance` is the consumer that is chosen.
pub fn queries(instance: &str) -> Vec<Query> {
    let files = fs::read_dir(DASHBOARDS).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|file| of_dashboard(&fs::read_to_string(file).unwrap(), instance)).collect()
}

fn of_dashboard(json: &str, instance: &str) -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(json).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            queries.push(Query {
                panel: format!("{}, {}", dashboard["title"], panel["title"]),
                expression: expression.replace("$__rate_interval", "30s").replace("$instance", instance),
            });
        }
    }
    queries
}
