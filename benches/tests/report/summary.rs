//! What `loadtest run` prints at its end.

use benches::run::summary::table;

use super::sample::sample;

#[test]
fn the_summary_tells_the_stall_and_which_orders_the_percentiles_lack() {
    let mut report = sample("20261125-093000-a1b2c3", 60, 1);
    report.counts.skipped = 7;
    report.counts.unknown = 2;
    report.producers[0].stall.seconds = 6.0837;
    report.producers[0].stall.orders_due = Some(6_083);
    report.audit.as_mut().unwrap().latency_coverage = Some(0.99987);
    let text = table(&report).to_string().replace(['│', '┆'], " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "stall 6.084 s without acknowledgement, 6083 orders due",
        "due to stored (99.98 % of",
        "7 skipped orders are in none of the percentiles",
        "2 orders without an acknowledgement are not in the percentiles of it",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn percentiles_of_all_orders_have_no_note() {
    let mut report = sample("20261125-093000-a1b2c3", 60, 1);
    report.audit.as_mut().unwrap().latency_coverage = Some(1.0);
    report.counts.skipped = 0;
    report.counts.failed = 0;
    report.counts.unknown = 0;
    let text = table(&report).to_string();
    assert!(!text.contains("% of orders") && !text.contains("percentiles"), "{text}");
}
