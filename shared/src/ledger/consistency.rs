//! Compares the files of a ledger with each other.

use super::{
    run::{ChangesSummary, Counts, RunSummary},
    runs_folder::Ledger,
    shard::Shard,
};
use crate::lifecycle::ChangeNumber;

impl Ledger {
    /// How the files of this ledger contradict each other, a sentence each; empty when they agree. A journal that lacks
    /// entries, such as after a full disk, differs from the summary; one of a killed producer has no summary to differ
    /// from.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = self.contradictions_in_journal();
        if let Some(summary) = &self.summary {
            found.extend(self.differences_from(summary));
            found.extend(self.different_changes(summary));
            found.extend(contradictions_in_counts("", summary.counts));
            found.extend(contradictions_in_counts(" of the warm-up", summary.warm_up));
        }
        match self.run.shard {
            Shard::SINGLE => found,
            shard => found.into_iter().map(|text| format!("shard {shard}: {text}")).collect(),
        }
    }

    fn contradictions_in_journal(&self) -> Vec<String> {
        let (journal, shard) = (&self.journal, self.run.shard);
        let mut found = Vec::new();
        let order_of = |number| ChangeNumber::parts(number).0;
        let both = journal.acknowledged.intersection_len(&journal.failed);
        if both > 0 {
            found.push(format!("the journal has {both} orders as acknowledged and as failed"));
        }
        let both = journal.changes_acknowledged.intersection_len(&journal.changes_failed);
        if both > 0 {
            found.push(format!("the journal has {both} changes as acknowledged and as failed"));
        }
        let early =
            journal.changes_acknowledged.iter().filter(|n| !journal.acknowledged.contains(order_of(*n))).count();
        if early > 0 {
            found.push(format!(
                "the journal has {early} acknowledged changes of orders that it has not as acknowledged"
            ));
        }
        let all = [&journal.acknowledged, &journal.failed, &journal.invalid];
        let changes = [&journal.changes_acknowledged, &journal.changes_failed];
        let changed_orders = changes.iter().flat_map(|changes| changes.iter()).map(order_of);
        let foreign =
            all.iter().flat_map(|sequences| sequences.iter()).chain(changed_orders).filter(|n| !shard.has(*n)).count();
        if shard != Shard::SINGLE && foreign > 0 {
            found.push(format!("the journal has {foreign} orders of other shards"));
        }
        found
    }

    /// The journal has the orders of the warm-up as well, the counts of the summary are without them.
    fn differences_from(&self, summary: &RunSummary) -> Vec<String> {
        let RunSummary { counts, warm_up, .. } = summary;
        let compared = [
            ("acknowledged", counts.acknowledged + warm_up.acknowledged, self.journal.acknowledged.len()),
            ("failed", counts.failed + warm_up.failed, self.journal.failed.len()),
            ("invalid", counts.invalid + warm_up.invalid, self.journal.invalid.len()),
        ];
        let different = compared.iter().filter(|(_, in_summary, in_journal)| in_summary != in_journal);
        different
            .map(|(result, in_summary, in_journal)| {
                format!("summary.json counts {in_summary} {result} orders, the journal has {in_journal}")
            })
            .collect()
    }

    fn different_changes(&self, summary: &RunSummary) -> Vec<String> {
        let changes = summary.changes.clone().unwrap_or_default();
        let ChangesSummary { scheduled, skipped, enqueued, acknowledged, failed, unknown, by_status, .. } = changes;
        let (journal, all) = (&self.journal, by_status.values().sum());
        let compared = [
            ("acknowledged", acknowledged, "in the journal", journal.changes_acknowledged.len()),
            ("failed", failed, "in the journal", journal.changes_failed.len()),
            ("acknowledged", acknowledged, "by status", all),
            ("scheduled", scheduled, "enqueued and skipped", enqueued + skipped),
            ("enqueued", enqueued, "acknowledged, failed and unknown", acknowledged + failed + unknown),
        ];
        let different = compared.iter().filter(|(_, count, _, other)| count != other);
        different
            .map(|(name, count, what, other)| format!("summary.json counts {count} {name} changes, but {other} {what}"))
            .collect()
    }
}

fn contradictions_in_counts(phase: &str, counts: Counts) -> Vec<String> {
    let Counts { scheduled, skipped, enqueued, acknowledged, failed, unknown, .. } = counts;
    let sums = [
        ("scheduled", scheduled, "enqueued and skipped", enqueued + skipped),
        ("enqueued", enqueued, "acknowledged, failed and unknown", acknowledged + failed + unknown),
    ];
    let wrong = sums.iter().filter(|(_, total, _, sum)| total != sum);
    wrong
        .map(|(name, total, parts, sum)| format!("summary.json counts {total} {name} orders{phase}, but {sum} {parts}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::*;
    use crate::{
        latency::LatencySummary,
        ledger::{JournalContents, Run, StallSummary, Verdict},
        order_id::RunTag,
    };

    fn counts(acknowledged: u64, failed: u64, invalid: u64) -> Counts {
        let enqueued = acknowledged + failed;
        Counts { scheduled: enqueued, enqueued, acknowledged, failed, invalid, ..Counts::default() }
    }

    /// A ledger whose first ten orders are the warm-up.
    fn ledger() -> Ledger {
        let shard: Shard = "1/2".parse().unwrap();
        let run_id: crate::ledger::RunId = "r".parse().unwrap();
        Ledger {
            run: Run {
                run_id: run_id.clone(),
                shard,
                tag: RunTag::random(),
                started_at: DateTime::UNIX_EPOCH,
                topic: "orders".to_owned(),
                backdated: false,
                settings: BTreeMap::new(),
            },
            journal: JournalContents {
                acknowledged: (0..100).map(|n| n * 2).collect(),
                failed: [200, 202].into_iter().collect(),
                invalid: [4, 40].into_iter().collect(),
                ..JournalContents::default()
            },
            summary: Some(RunSummary {
                run_id,
                shard,
                resumed_at: None,
                rate_asked: None,
                rate_achieved: 1.0,
                tail_seconds: None,
                seconds: 1.0,
                stall: StallSummary::default(),
                counts: counts(90, 2, 1),
                warm_up: counts(10, 0, 1),
                changes: None,
                errors: BTreeMap::new(),
                queue_full: 0,
                lateness_ms: LatencySummary::default(),
                acknowledgement_ms: LatencySummary::default(),
                round_trip_ms: LatencySummary::default(),
                requirements: Vec::new(),
                verdict: Verdict::Lossy,
            }),
        }
    }

    fn contradictions_after<Done>(change: impl FnOnce(&mut Ledger) -> Done) -> String {
        let mut ledger = ledger();
        change(&mut ledger);
        ledger.contradictions().join("; ")
    }

    #[test]
    fn a_ledger_whose_files_agree_has_no_contradictions_nor_has_that_of_a_killed_producer() {
        assert_eq!(contradictions_after(|_| {}), "");
        assert_eq!(
            contradictions_after(|ledger| {
                ledger.summary = None;
                ledger.journal.acknowledged.remove(0);
            }),
            ""
        );
    }

    #[test]
    fn a_count_that_differs_from_the_journal_is_named_with_both_numbers() {
        assert_eq!(
            contradictions_after(|ledger| ledger.journal.acknowledged.remove(0)),
            "shard 1/2: summary.json counts 100 acknowledged orders, the journal has 99"
        );
        assert_eq!(
            contradictions_after(|ledger| ledger.journal.failed.insert(204)),
            "shard 1/2: summary.json counts 2 failed orders, the journal has 3"
        );
        assert_eq!(
            contradictions_after(|ledger| ledger.journal.invalid.remove(4)),
            "shard 1/2: summary.json counts 2 invalid orders, the journal has 1"
        );
    }

    #[test]
    fn a_journal_or_a_summary_that_contradicts_itself_is_named() {
        let moved = contradictions_after(|ledger| {
            ledger.journal.acknowledged.remove(0);
            ledger.journal.acknowledged.insert(1);
        });
        assert_eq!(moved, "shard 1/2: the journal has 1 orders of other shards");
        let both = contradictions_after(|ledger| {
            ledger.journal.acknowledged.remove(0);
            ledger.journal.acknowledged.insert(200);
        });
        assert_eq!(both, "shard 1/2: the journal has 1 orders as acknowledged and as failed");
        let unknown = contradictions_after(|ledger| ledger.summary.as_mut().unwrap().warm_up.unknown = 3);
        assert_eq!(
            unknown,
            "shard 1/2: summary.json counts 10 enqueued orders of the warm-up, but 13 acknowledged, failed and unknown"
        );
    }
}
