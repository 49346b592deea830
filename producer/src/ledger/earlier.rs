//! The orders of a resumed run that were due before the producer was started again.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use roaring::RoaringTreemap;
use shared::ledger::{Counts, JournalContents};

use super::earlier_changes::{EarlierChanges, EarlierHistories};
use crate::{
    clock::RunClock,
    generate::Encoder,
    pace::{Order, Pacer, Phase},
};

/// Time between the decision which order is the first one, and its due time.
const START_DELAY: Duration = Duration::from_millis(200);

/// The orders before the first one of the resumed producer. None of them is sent again: the killed producer may have
/// sent them.
#[derive(Debug)]
pub struct EarlierOrders {
    pub resumed_at: DateTime<Utc>,
    pub warm_up: Counts,
    pub measured: Counts,
    /// Due time of the last acknowledged order of the measured phase, in nanoseconds after the start.
    pub last_acknowledged: Option<u64>,
    /// Orders without a result that are invalid on purpose: the journal lacks them.
    pub unknown_invalid: JournalContents,
    /// `None` for a run without lifecycles.
    pub changes: Option<EarlierChanges>,
}

impl EarlierOrders {
    /// Takes all orders from `pacer` that are due by now, and counts them by their results in `journal`: one without a
    /// result is unknown. `histories` continues with those that were acknowledged; `None` for a run without lifecycles.
    ///
    /// # Errors
    /// When the journal has results of orders that are not due yet.
    pub fn take(
        pacer: &mut Pacer,
        encoder: &mut Encoder,
        clock: RunClock,
        journal: &JournalContents,
        mut histories: Option<EarlierHistories<'_>>,
    ) -> anyhow::Result<Self> {
        let mut earlier = Self {
            resumed_at: Utc::now(),
            warm_up: Counts::default(),
            measured: Counts::default(),
            last_acknowledged: None,
            unknown_invalid: JournalContents::default(),
            changes: None,
        };
        // Counting a long schedule takes a while, in which more orders become due.
        loop {
            earlier.resumed_at = Utc::now() + START_DELAY;
            let until = u64::try_from(clock.now() + START_DELAY.as_nanos() as i64).unwrap_or_default();
            while let Some(order) = pacer.take_before(until) {
                earlier.add(order, pacer.phase(order.due), encoder, journal)?;
                if let Some(histories) = histories.as_mut().filter(|_| journal.acknowledged.contains(order.number))
                    && let Some(placed) = encoder.status_of(order.number)?
                {
                    histories.continue_with(order, placed, journal);
                }
            }
            if clock.now() < until.cast_signed() {
                break;
            }
        }
        let last = [&journal.acknowledged, &journal.failed, &journal.invalid]
            .into_iter()
            .filter_map(RoaringTreemap::max)
            .max();
        ensure!(
            last.is_none_or(|last| last < pacer.next_number()),
            "the run ledger has a result of order {}, but the next order that is due now is {}: the clock was set back",
            last.unwrap_or_default(),
            pacer.next_number()
        );
        earlier.changes = histories.map(|histories| histories.changes);
        Ok(earlier)
    }

    /// The orders of both phases.
    pub fn counts(&self) -> Counts {
        let mut counts = self.warm_up;
        counts += self.measured;
        counts
    }

    fn add(
        &mut self,
        order: Order,
        phase: Phase,
        encoder: &mut Encoder,
        journal: &JournalContents,
    ) -> anyhow::Result<()> {
        let has = |results: &RoaringTreemap| results.contains(order.number);
        let (acknowledged, failed) = (has(&journal.acknowledged), has(&journal.failed));
        let unknown = !acknowledged && !failed;
        let mut invalid = has(&journal.invalid);
        if unknown && !invalid && encoder.is_invalid(order.number)? {
            self.unknown_invalid.invalid.insert(order.number);
            invalid = true;
        }
        if acknowledged && phase == Phase::Measured {
            self.last_acknowledged = Some(order.due);
        }
        let counts = match phase {
            Phase::WarmUp => &mut self.warm_up,
            Phase::Measured => &mut self.measured,
        };
        *counts += Counts {
            scheduled: 1,
            skipped: 0,
            enqueued: 1,
            invalid: invalid.into(),
            acknowledged: acknowledged.into(),
            failed: failed.into(),
            unknown: unknown.into(),
        };
        Ok(())
    }
}
