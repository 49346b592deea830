//! The dashboards and alerts use metrics that exist, and each alert has a section in docs/operations.md.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    anchor, assert_none,
    documents::{read, root},
    metrics_of_code,
};

const FOLDER: &str = "deploy/observability";
/// Rows of a dashboard that a screen of 1080 pixels shows.
const MAX_ROWS: u64 = 25;
const COLUMNS: u64 = 24;

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(FOLDER).join(file)).unwrap()
}

fn dashboards() -> Vec<(String, Value)> {
    ["pipeline", "consumer"]
        .map(|name| format!("grafana/dashboards/{name}.json"))
        .map(|file| (file.clone(), serde_json::from_str(&text(&file)).unwrap()))
        .to_vec()
}

/// The names of orderflow's metrics in a text. Names with a colon are those of recording rules.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let names = words.filter(|word| word.starts_with("orderflow_"));
    names.map(without_part).collect()
}

/// The name of a metric, of which a query may use a part: the buckets of a histogram, their sum or their count.
fn without_part(name: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts.into_iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

#[test]
fn the_dashboards_and_alerts_use_metrics_that_the_programs_have() {
    let known = metrics_of_code();
    let mut files: Vec<(String, String)> =
        dashboards().into_iter().map(|(file, dashboard)| (file, dashboard.to_string())).collect();
    files.extend(["alerts.yaml", "alerts.test.yaml"].map(|file| (file.to_owned(), text(file))));
    let mut problems = Vec::new();
    for (file, text) in &files {
        let used = metrics(text);
        assert!(used.len() > 10, "{file}: {used:?}");
        let unknown = used.into_iter().filter(|name| !known.contains_key(*name));
        problems.extend(unknown.map(|name| format!("{file}: no program exports {name}")));
    }
    assert_none(&problems);
}

#[test]
fn each_alert_has_a_section_with_its_name_in_the_operations_page() {
    let headings: BTreeSet<String> = read("docs/operations.md")
        .into_iter()
        .filter(|line| !line.is_code && line.text.starts_with('#'))
        .map(|line| anchor(&line.text))
        .collect();
    let alerts = text("alerts.yaml");
    let (mut problems, mut found, mut name) = (Vec::new(), 0, "");
    for line in alerts.lines().map(str::trim) {
        if let Some(alert) = line.strip_prefix("- alert: ") {
            (name, found) = (alert, found + 1);
            if !headings.contains(&anchor(alert)) {
                problems.push(format!("docs/operations.md has no section {alert}"));
            }
        }
        if let Some(runbook) = line.strip_prefix("runbook: ")
            && runbook != format!("docs/operations.md#{}", anchor(name))
        {
            problems.push(format!("alerts.yaml: the runbook of {name} is {runbook}"));
        }
    }
    assert!(found > 0 && alerts.matches("runbook: ").count() == found, "each of {found} alerts needs a runbook");
    assert_none(&problems);
}

#[test]
fn each_panel_is_explained_and_a_dashboard_fits_a_screen() {
    let mut problems = Vec::new();
    for (file, dashboard) in dashboards() {
        let mut cells = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap_or_default();
            let number = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            let (x, y, width, height) = (number("x"), number("y"), number("w"), number("h"));
            let texts = [&panel["title"], &panel["description"], &panel["fieldConfig"]["defaults"]["unit"]];
            if texts.iter().any(|text| text.as_str().is_none_or(str::is_empty)) {
                problems.push(format!("{file}: panel {title:?} lacks a title, a description or a unit"));
            }
            if x + width > COLUMNS || y + height > MAX_ROWS {
                problems.push(format!("{file}: panel {title:?} is beyond the screen"));
            }
            let own = (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y)));
            if own.filter(|cell| !cells.insert(*cell)).count() > 0 {
                problems.push(format!("{file}: panel {title:?} covers another one"));
            }
        }
        assert!(!cells.is_empty(), "{file} has no panel");
    }
    assert_none(&problems);
}
