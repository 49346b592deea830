use std::time::Duration;

use super::model::TimedFault;
use crate::fault::Fault;

/// How many consumers run at each time, by the faults that change their number.
pub struct ConsumerCounts {
    /// The time of each change and the number from then on, in order.
    changes: Vec<(Duration, u16)>,
}

impl ConsumerCounts {
    /// `faults` are in the order of their times.
    pub fn new(at_the_start: u16, faults: &[TimedFault]) -> Self {
        let mut changes = vec![(Duration::ZERO, at_the_start)];
        let mut lasting_number = at_the_start;
        for timed in faults {
            let Fault::ScaleConsumers(number) = timed.fault else { continue };
            changes.push((timed.at, number));
            match timed.lasting {
                Some(lasting) => changes.push((timed.at + lasting, lasting_number)),
                None => lasting_number = number,
            }
        }
        Self { changes }
    }

    /// The lowest number from `begin` to `end`, both included.
    pub fn fewest(&self, begin: Duration, end: Duration) -> u16 {
        let at_begin = self.changes.iter().rev().find(|(at, _)| *at <= begin).map(|(_, number)| *number);
        let meanwhile = self.changes.iter().filter(|(at, _)| (begin..=end).contains(at)).map(|(_, number)| *number);
        at_begin.into_iter().chain(meanwhile).min().unwrap_or_default()
    }
}
