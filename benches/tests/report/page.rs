//! The page as text.

use std::fs;

use benches::report::{self, model::RunReport};

use crate::sample::sample;

fn page(report: &RunReport) -> String {
    let folder = tempfile::tempdir().unwrap();
    report::write(report, folder.path()).unwrap();
    fs::read_to_string(folder.path().join(report::PAGE)).unwrap()
}

#[test]
fn an_interrupted_run_is_marked() {
    let mut report = sample("first", 20, 1);
    assert!(!page(&report).contains("Interrupted"));
    report.interrupted = true;
    report.audit = None;
    let page = page(&report);
    assert!(page.contains("Interrupted") && page.contains("The run was not audited."));
    // What was not looked for is not 0.
    assert_eq!(page.matches("not audited").count(), 4, "the figures stored, missing and altered, and the audit");
}

#[test]
fn a_run_without_samples_has_a_page() {
    let mut report = sample("first", 20, 1);
    report.timeline = report::model::Timeline::default();
    report.latencies.clear();
    report.faults.clear();
    report.phases.clear();
    assert!(page(&report).contains("</html>"));
}

#[test]
fn a_page_refers_to_no_other_file() {
    let page = page(&sample("first", 20, 1));
    let references = ["src=", "href=", "url(", "@import"].map(|reference| page.matches(reference).count());
    assert_eq!(references, [0, 1, 0, 0]);
    assert!(page.contains("<link rel=\"icon\" href=\"data:,\">"));
}

#[test]
fn a_report_that_can_not_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    report::write(&sample("first", 20, 1), folder.path()).unwrap();
    let error = report::write(&sample("first", 20, 2), &folder.path().join("absent")).unwrap_err();
    assert!(error.to_string().contains("absent/report.json can't be written"), "{error:#}");
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2);
}
