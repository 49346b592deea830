//! Decides whether partitions are abandoned: they are behind, gain nothing, and no member of the group owns them; and
//! whether this instance leaves the group and joins it anew, which makes the group assign its partitions again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// A partition without an owner is abandoned after this time without progress. A rebalance takes less time.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(30);
/// Upper bound of the random delay by which the instances of a group join anew one after the other: the first one may
/// be enough.
pub const MAX_JITTER: Duration = Duration::from_secs(5);
/// Delay between two rejoins, doubled each time up to [`MAX_REJOIN_DELAY`].
const REJOIN_DELAY: Duration = Duration::from_secs(30);
const MAX_REJOIN_DELAY: Duration = Duration::from_secs(600);

/// A partition that no member of the group owns.
#[derive(Clone, Copy, Debug)]
pub struct UnownedPartition {
    pub partition: i32,
    /// The committed offset, or the first offset when there is none.
    pub committed: i64,
    pub end: i64,
}

/// What follows from an observation.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnerVerdict {
    /// The abandoned partitions, in ascending order.
    pub abandoned: Vec<i32>,
    /// Whether this instance leaves the group and joins it anew.
    pub rejoin: bool,
}

/// The partitions without an owner, since when they have no progress.
#[derive(Debug)]
pub struct OwnerWatch {
    waiting: HashMap<i32, Waiting>,
    rejoin_delay: Duration,
    /// No rejoin before this time.
    no_rejoin_before: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    committed: i64,
    since: Instant,
    jitter: Duration,
}

impl Default for OwnerWatch {
    fn default() -> Self {
        Self { waiting: HashMap::new(), rejoin_delay: REJOIN_DELAY, no_rejoin_before: None }
    }
}

impl OwnerWatch {
    /// Whether some partition is behind and has no owner.
    pub fn is_suspicious(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Forgets what was observed: the owners are not known.
    pub fn reset(&mut self) {
        self.waiting.clear();
    }

    /// Takes the partitions that have no owner at the time `now`. `jitter` is random, from zero to [`MAX_JITTER`].
    pub fn observe(&mut self, unowned: &[UnownedPartition], now: Instant, jitter: Duration) -> OwnerVerdict {
        let behind = |partition: i32| unowned.iter().find(|one| one.partition == partition && one.end > one.committed);
        self.waiting.retain(|partition, waiting| {
            behind(*partition).is_some_and(|observed| observed.committed == waiting.committed)
        });
        for observed in unowned.iter().filter(|observed| observed.end > observed.committed) {
            let new = Waiting { committed: observed.committed, since: now, jitter };
            self.waiting.entry(observed.partition).or_insert(new);
        }
        let waited = |waiting: &Waiting| now.saturating_duration_since(waiting.since);
        let abandoned = self.waiting.iter().filter(|(_, waiting)| waited(waiting) >= ABANDONED_AFTER);
        let mut abandoned: Vec<i32> = abandoned.map(|(partition, _)| *partition).collect();
        abandoned.sort_unstable();
        if abandoned.is_empty() {
            self.rejoin_delay = REJOIN_DELAY;
        }
        let is_due = self.waiting.values().any(|waiting| waited(waiting) >= ABANDONED_AFTER + waiting.jitter);
        let rejoin = is_due && self.no_rejoin_before.is_none_or(|time| time <= now);
        if rejoin {
            self.no_rejoin_before = Some(now + self.rejoin_delay + jitter);
            self.rejoin_delay = (self.rejoin_delay * 2).min(MAX_REJOIN_DELAY);
        }
        OwnerVerdict { abandoned, rejoin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock {
        watch: OwnerWatch,
        now: Instant,
    }

    impl Clock {
        fn start() -> Self {
            Self { watch: OwnerWatch::default(), now: Instant::now() }
        }

        /// The partitions that are abandoned after `seconds` more, and whether the instance joins anew.
        fn after(&mut self, seconds: u64, unowned: &[(i32, i64, i64)]) -> (Vec<i32>, bool) {
            self.now += Duration::from_secs(seconds);
            let unowned: Vec<_> = unowned
                .iter()
                .map(|(partition, committed, end)| UnownedPartition {
                    partition: *partition,
                    committed: *committed,
                    end: *end,
                })
                .collect();
            let OwnerVerdict { abandoned, rejoin } = self.watch.observe(&unowned, self.now, Duration::from_secs(3));
            (abandoned, rejoin)
        }
    }

    #[test]
    fn a_partition_is_abandoned_when_it_is_behind_has_no_owner_and_gains_nothing_for_30_s() {
        let mut clock = Clock::start();
        assert_eq!(clock.after(0, &[(3, 10, 20), (4, 7, 7)]), (vec![], false));
        assert_eq!(clock.after(29, &[(3, 10, 25), (4, 7, 7)]), (vec![], false), "29 s");
        assert_eq!(clock.after(1, &[(3, 10, 30), (4, 7, 7)]), (vec![3], false), "the one that is not behind is not");
        assert_eq!(clock.after(3, &[(3, 10, 30)]), (vec![3], true), "the jitter is over");
        assert_eq!(clock.after(2, &[]), (vec![], false), "it has an owner again");
    }

    #[test]
    fn progress_an_owner_or_an_unknown_state_start_the_time_again() {
        let mut clock = Clock::start();
        clock.after(0, &[(3, 10, 20)]);
        assert_eq!(clock.after(29, &[(3, 11, 20)]), (vec![], false), "progress");
        assert_eq!(clock.after(29, &[]), (vec![], false), "an owner");
        assert_eq!(clock.after(29, &[(3, 11, 20)]), (vec![], false));
        clock.watch.reset();
        assert_eq!(clock.after(29, &[(3, 11, 20)]), (vec![], false), "not known");
        assert_eq!(clock.after(40, &[(3, 11, 20)]), (vec![3], true));
    }

    #[test]
    fn an_instance_joins_anew_ever_more_seldom_while_that_does_not_help() {
        let mut clock = Clock::start();
        let rejoins: Vec<u64> = (0..3_600).filter(|_| clock.after(1, &[(3, 10, 20)]).1).collect();
        let delays: Vec<u64> = rejoins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(rejoins[0], 33);
        assert_eq!(delays[..5], [33, 63, 123, 243, 483]);
        assert!(delays[5..].iter().all(|delay| *delay == 603), "{delays:?}");
        assert_eq!(clock.after(1, &[]), (vec![], false));
        clock.after(1, &[(3, 10, 20)]);
        assert!(!clock.after(33, &[(3, 10, 20)]).1, "the last rejoin was a moment ago");
    }
}
