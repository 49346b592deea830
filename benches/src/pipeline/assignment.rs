//! How the partitions of the topic are assigned to the consumers of a run.

use std::net::SocketAddr;

use crate::metrics;

/// The number of partitions of each consumer; `None` for one that does not answer yet.
pub struct Assignment(Vec<Option<usize>>);

impl Assignment {
    /// Asks each consumer, by the address of its metrics.
    pub async fn of(consumers: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut assigned = Vec::new();
        for address in consumers {
            let partitions = metrics::value(address, consumer::metrics::ASSIGNED).await;
            assigned.push(partitions.ok().map(|partitions| partitions as usize));
        }
        Self(assigned)
    }

    /// The partitions of all consumers together.
    pub fn total(&self) -> usize {
        self.0.iter().flatten().sum()
    }

    /// The partitions of the consumer that has the fewest.
    pub fn fewest(&self) -> usize {
        self.0.iter().map(|partitions| partitions.unwrap_or(0)).min().unwrap_or(0)
    }

    /// Whether the consumers have all `partitions`, and each has its share of them. Without its share, a consumer is
    /// still starting: it joins the group later, and the group rebalances during the run.
    pub fn is_complete(&self, partitions: usize) -> bool {
        let share = partitions / self.0.len().max(1);
        self.total() == partitions && self.0.iter().all(|assigned| assigned.is_some_and(|count| count >= share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_complete_once_each_consumer_answers_and_has_its_share() {
        let complete = |assigned: &[Option<usize>]| Assignment(assigned.to_vec()).is_complete(9);
        assert!(complete(&[Some(5), Some(4)]));
        assert!(complete(&[Some(9)]));
        // The first one has all partitions until the second one joins.
        assert!(!complete(&[Some(9), Some(0)]));
        assert!(!complete(&[Some(9), None]));
        assert!(!complete(&[Some(4), Some(4)]));
        let mut more_than_partitions = [Some(1); 10];
        more_than_partitions[0] = Some(0);
        assert!(complete(&more_than_partitions));
        more_than_partitions[0] = None;
        assert!(!complete(&more_than_partitions));
    }
}
