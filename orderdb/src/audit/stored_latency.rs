//! The rows of a report with the latency from due to stored.

use shared::{latency::LatencySummary, report::Report};

use super::latency::StageSummary;

/// Adds the latency from due to stored, and a row per stage. If `coverage`, the share of the orders that the
/// percentiles are of, is not 1, the row has it.
pub fn add_stored_latency(report: &mut Report, total: &LatencySummary, coverage: Option<f64>, stages: &[StageSummary]) {
    add_stages(report, &format!("due to stored{}", coverage_note(coverage, "orders")), total, stages);
}

/// As [`add_stored_latency`], for changes.
pub fn add_change_latency(report: &mut Report, total: &LatencySummary, coverage: Option<f64>, stages: &[StageSummary]) {
    add_stages(report, &format!("change due to stored{}", coverage_note(coverage, "changes")), total, stages);
}

fn add_stages(report: &mut Report, name: &str, total: &LatencySummary, stages: &[StageSummary]) {
    report.latency(name, total);
    for StageSummary { stage, latency } in stages {
        report.latency(&format!("  {stage}"), latency);
    }
}

/// What percentiles of stored orders or changes, as `what` says, cover: nothing for all of them, else a note for their
/// line. Rounded so that it reads 100 % or 0 % only when that is exact.
pub fn coverage_note(coverage: Option<f64>, what: &str) -> String {
    match coverage.map(|share| share * 100.0) {
        None => String::new(),
        Some(100.0) => String::new(),
        Some(percent) if percent > 100.0 => {
            format!(" ({:.2} % of {what}: some twice)", (percent * 100.0).ceil() / 100.0)
        }
        Some(percent) => format!(" ({:.2} % of {what})", (percent * 100.0).floor() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_orders_or_changes_is_said_with_the_percentiles_unless_it_is_all() {
        assert_eq!([coverage_note(None, "orders"), coverage_note(Some(1.0), "orders")], ["", ""]);
        assert_eq!(coverage_note(Some(0.999_999), "orders"), " (99.99 % of orders)");
        assert_eq!(coverage_note(Some(0.0), "changes"), " (0.00 % of changes)");
        assert_eq!(coverage_note(Some(1.000_001), "orders"), " (100.01 % of orders: some twice)");
    }
}
