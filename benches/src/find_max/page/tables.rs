//! The tables of the page of a search.

use super::plots::{cores, process_names};
use crate::{
    find_max::report::FindMaxReport,
    report::page::{
        figures::{latency, optional},
        table::{
            Align::{Left, Right},
            Cell, Emphasis, Table,
        },
    },
};

/// A row a probe.
pub fn probes(report: &FindMaxReport) -> Table {
    let columns = [
        ("rate", Right),
        ("", Left),
        ("ack p99", Right),
        ("stored p50", Right),
        ("stored p99", Right),
        ("lag a second", Right),
        ("judged", Right),
        ("what broke", Left),
    ];
    let mut table = Table::new("probes", columns);
    for probe in report.by_rate() {
        let held = probe.has_held();
        let verdict = if held { "✓ held" } else { "✗ broke" };
        table.row(vec![
            probe.rate.to_string().into(),
            Cell::new(verdict, Emphasis::of(held)),
            latency(&probe.ack_ms, |summary| summary.p99).into(),
            latency(&probe.stored_ms, |summary| summary.p50).into(),
            latency(&probe.stored_ms, |summary| summary.p99).into(),
            optional(probe.lag, |lag| format!("{:+.1} %", lag.share_of_rate * 100.0)).into(),
            format!("{:.0} s", probe.seconds).into(),
            Cell::new(probe.broken_text(), Emphasis::Note),
        ]);
    }
    table
}

/// A row a probe, a column a process.
pub fn processes(report: &FindMaxReport) -> Table {
    let probes = report.by_rate();
    let names = process_names(&probes);
    let columns = ["rate"].into_iter().chain(names.iter().copied()).map(|name| (name, Right));
    let mut table = Table::new("processes-over-rate", columns);
    for probe in probes {
        let of_process = |name: &&str| optional(cores(probe, name), |cores| format!("{cores:.2}")).into();
        table.row([probe.rate.to_string().into()].into_iter().chain(names.iter().map(of_process)).collect());
    }
    table
}
