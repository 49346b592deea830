//! The tables of the page of one run.

use std::borrow::Cow;

use orderdb::audit::report::{AuditReport, ChangesReport, list_causes};
use shared::latency::LatencySummary;

use super::{
    figures::{Figure, clock, count, latency, mebibytes, optional, rate, seconds, significant, with_unit},
    table::{
        Align::{Left, Right},
        Cell, Emphasis, Table,
    },
};
use crate::report::model::RunReport;

pub fn requirements(report: &RunReport) -> Table {
    let mut table = Table::new("requirements", [("requirement", Left), ("measured", Right), ("", Left)]);
    for result in &report.requirements {
        let met = if result.met { "✓ met" } else { "✗ not met" };
        table.row(vec![
            result.requirement.as_str().into(),
            optional(result.measured, |value| with_unit(value, &result.unit)).into(),
            Cell::new(met, Emphasis::of(result.met)),
        ]);
    }
    table
}

/// The columns of a latency after its name.
const PERCENTILES: [Figure<LatencySummary, f64>; 5] = [
    ("p50", |summary| summary.p50),
    ("p90", |summary| summary.p90),
    ("p99", |summary| summary.p99),
    ("p99.9", |summary| summary.p999),
    ("max", |summary| summary.max),
];

pub fn latencies(report: &RunReport) -> Table {
    let percentiles = PERCENTILES.map(|(name, _)| (name, Right));
    let mut table = Table::new("latencies", [("ms", Left)].into_iter().chain(percentiles).chain([("orders", Right)]));
    for latencies in &report.latencies {
        let summary = &latencies.summary;
        let mut cells = vec![latencies.stage.as_str().into()];
        cells.extend(PERCENTILES.map(|(_, figure)| Cell::from(latency(summary, figure))));
        cells.push(count(summary.count).into());
        table.row(cells);
    }
    table
}

pub fn phases(report: &RunReport) -> Table {
    let columns = ["begin", "end", "asked /s", "acknowledged /s", "stored /s", "ack p99 ms", "stored p99 ms"];
    let columns = [("phase", Left)].into_iter().chain(columns.map(|title| (title, Right))).chain([("", Left)]);
    let mut table = Table::new("phases", columns);
    for phase in &report.phases {
        let p99 = |stage: &str| {
            let summary = phase.latencies.get(stage).copied().unwrap_or_default();
            Cell::from(latency(&summary, |summary| summary.p99))
        };
        let rates = [phase.asked_rate, phase.acknowledged_rate, phase.stored_rate];
        let mut cells =
            vec![phase.name.as_str().into(), clock(phase.start_seconds).into(), clock(phase.end_seconds).into()];
        cells.extend(rates.map(|value| Cell::from(significant(value))));
        cells.extend([p99("ack"), p99("stored")]);
        cells.push(Cell::new(if phase.measured { "" } else { "not measured" }, Emphasis::Note));
        table.row(cells);
    }
    table
}

/// What an order was counted as, and in how many cases. `alert` when any is a fault of the pipeline.
struct AuditLine {
    name: Cow<'static, str>,
    orders: u64,
    note: String,
    alert: bool,
}

impl AuditLine {
    fn new(name: impl Into<Cow<'static, str>>, orders: u64, note: &str, alert: bool) -> Self {
        Self { name: name.into(), orders, note: note.to_owned(), alert }
    }
}

pub fn audit(audit: &AuditReport) -> Table {
    let mut table = Table::new("audit", [("orders", Left), ("", Right), ("", Left)]);
    let of_changes = audit.changes.iter().flat_map(change_lines);
    for AuditLine { name, orders, note, alert } in audit_lines(audit).into_iter().chain(of_changes) {
        let emphasis = match (alert, orders) {
            (false, _) => Emphasis::None,
            (true, orders) => Emphasis::of(orders == 0),
        };
        table.row(vec![Cell::from(&*name), Cell::new(count(orders), emphasis), Cell::new(note, Emphasis::Note)]);
    }
    table
}

/// The changes of the orders.
fn change_lines(changes: &ChangesReport) -> Vec<AuditLine> {
    let causes = list_causes(&changes.dead_letter_causes);
    let counts = [
        ("acknowledged", changes.acknowledged, "by the brokers, from the run ledger"),
        ("in the topic", changes.in_topic, ""),
        ("stored", changes.stored, "in table order_events"),
    ];
    let dead_letters = [("unexpected dead letters", changes.unexpected_dead_letters, causes.as_str())];
    let wrong = changes.imbalances().into_iter().chain(dead_letters);
    let line = |alert| {
        move |(name, number, note): (&str, u64, &str)| AuditLine::new(format!("changes {name}"), number, note, alert)
    };
    counts.into_iter().map(line(false)).chain(wrong.map(line(true))).collect()
}

fn audit_lines(audit: &AuditReport) -> Vec<AuditLine> {
    let line = |name: &'static str, orders, note: &str| AuditLine::new(name, orders, note, false);
    let alert = |name: &'static str, orders, note: &str| AuditLine::new(name, orders, note, true);
    let altered = format!(
        "rows that differ: {} from their record, {} from their user or product",
        count(audit.altered_fields),
        count(audit.altered_attributes)
    );
    let unchecked = format!(
        "rows not compared in full: {} without a record, {} whose user or product was updated",
        count(audit.unchecked_without_record),
        count(audit.unchecked_updated)
    );
    vec![
        line("acknowledged", audit.acknowledged, "by the brokers, from the run ledger"),
        line("in the topic", audit.in_topic, ""),
        line("stored", audit.stored, "in table orders"),
        line("dead-lettered", audit.dead_lettered, ""),
        alert("missing from topic", audit.missing_from_topic, "acknowledged, but not in the topic"),
        alert("missing", audit.missing, "neither stored nor dead-lettered nor expired"),
        alert("altered", audit.altered, &altered),
        alert("conflicting", audit.conflicting, "one order id, different contents in the topic"),
        alert("expired, not stored", audit.expired_unstored, "removed from the topic before they were stored"),
        alert("unexplained", audit.unexplained, "unexpected, and reported as failed or never sent"),
        alert("without record", audit.without_record, "stored, but neither acknowledged nor in the topic"),
        alert("invalid, stored", audit.invalid_stored, "invalid on purpose, but in the table"),
        alert("unexpected dead letters", audit.unexpected_dead_letters, &list_causes(&audit.dead_letter_causes)),
        line("unexpected", audit.unexpected, "stored, but not acknowledged"),
        line("failed", audit.failed, "not in the topic, as librdkafka reports"),
        line("invalid", audit.invalid, "on purpose; must be dead-lettered"),
        line("replayed", audit.replayed, "dead-lettered, and stored later"),
        line("repeats", audit.topic_repeats, "records in the topic beyond the first of their order"),
        line("expired", audit.expired, "no longer in the topic"),
        line("unchecked", audit.unchecked, &unchecked),
    ]
}

/// Some of the altered orders, and the contradictions of the ledger.
pub fn altered(report: &RunReport) -> Table {
    let mut table = Table::new("altered", [("altered order, such as", Left), ("columns that differ", Left)]);
    for order in report.audit.iter().flat_map(|audit| &audit.altered_sample) {
        table.row(vec![order.order_id.as_str().into(), order.columns.join(", ").into()]);
    }
    table
}

pub fn faults(report: &RunReport) -> Table {
    let columns = ["planned", "began", "ended", "rate back", "lag back"].map(|title| (title, Right));
    let columns = [("", Right), ("fault", Left)].into_iter().chain(columns).chain([("", Left)]);
    let mut table = Table::new("faults", columns);
    for (place, fault) in report.faults.iter().enumerate() {
        let recovery = fault.recovery.unwrap_or_default();
        let after = |value: Option<f64>| match fault.recovery {
            Some(_) => {
                Cell::from(value.map_or_else(|| "not recovered".to_owned(), |value| format!("+{}", seconds(value))))
            }
            None => Cell::from(optional(None::<f64>, seconds)),
        };
        table.row(vec![
            (place + 1).to_string().into(),
            fault.fault.as_str().into(),
            clock(fault.planned_seconds).into(),
            clock(report.seconds_of(fault.began_at)).into(),
            optional(fault.ended_at, |at| clock(report.seconds_of(at))).into(),
            after(recovery.stored_rate_seconds),
            after(recovery.lag_seconds),
            Cell::new(fault.error.as_deref().unwrap_or_default(), Emphasis::Bad),
        ]);
    }
    table
}

pub fn events(report: &RunReport) -> Table {
    let mut table = Table::new("events", [("time", Right), ("event", Left)]);
    for event in &report.events {
        table.row(vec![clock(event.seconds).into(), event.text.as_str().into()]);
    }
    table
}

pub fn processes(report: &RunReport) -> Table {
    let figures = ["CPU, cores", "max memory", "max files"].map(|title| (title, Right));
    let mut table = Table::new("processes", [("process", Left)].into_iter().chain(figures));
    for process in &report.processes {
        table.row(vec![
            process.name.as_str().into(),
            significant(process.cpu_cores).into(),
            mebibytes(process.max_memory_bytes).into(),
            optional(process.max_open_files, count).into(),
        ]);
    }
    table
}

pub fn producers(report: &RunReport) -> Table {
    let figures = ["asked", "achieved", "sent p99 ms", "longest stall", "queue full"].map(|title| (title, Right));
    let columns = [("shard", Left)].into_iter().chain(figures).chain([("verdict", Left)]);
    let mut table = Table::new("producers", columns);
    for producer in &report.producers {
        table.row(vec![
            producer.shard.to_string().into(),
            optional(producer.rate_asked, rate).into(),
            rate(producer.rate_achieved).into(),
            latency(&producer.lateness_ms, |summary| summary.p99).into(),
            seconds(producer.stall.seconds).into(),
            count(producer.queue_full).into(),
            producer.verdict.to_string().into(),
        ]);
    }
    table
}
