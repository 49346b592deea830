//! The faults that are in force: what may begin beside them, and the order in which they are undone at a stop.

use anyhow::ensure;
use tokio::sync::watch;

use super::{
    links::link_of,
    model::{Fault, Target},
};

pub(super) struct InForce {
    entries: watch::Sender<Vec<Entry>>,
    /// Whether more than one broker may be down at a time.
    several_brokers_down: bool,
}

struct Entry {
    fault: Fault,
    state: EntryState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryState {
    Lasting,
    /// It is being undone.
    Ending,
    /// It can't be undone.
    Stuck,
}

impl InForce {
    pub fn new(several_brokers_down: bool) -> Self {
        Self { entries: watch::Sender::new(Vec::new()), several_brokers_down }
    }

    /// Adds a fault that is about to begin, once those are undone that exclude it and whose duration is over.
    ///
    /// # Errors
    /// When it can't be in force together with another one.
    pub async fn enter(&self, fault: &Fault) -> anyhow::Result<()> {
        // Of several faults that wait for the same one, the first to enter may exclude the others.
        while let Some((other, state)) = self.try_enter(fault) {
            let reason = if broker_of(fault).is_some() { ", and a write needs two of three replicas" } else { "" };
            ensure!(state == EntryState::Ending, "{other} is in force{reason}");
            let excluding = |entry: &Entry| entry.state == EntryState::Ending && self.excludes(&entry.fault, fault);
            // The sender lives as long as this.
            let _ = self.entries.subscribe().wait_for(|entries| !entries.iter().any(excluding)).await;
        }
        Ok(())
    }

    /// Adds a fault, unless another one excludes it. Returns that one.
    fn try_enter(&self, fault: &Fault) -> Option<(Fault, EntryState)> {
        let mut excluding = None;
        self.entries.send_if_modified(|entries| {
            let other = entries.iter().find(|entry| self.excludes(&entry.fault, fault));
            excluding = other.map(|entry| (entry.fault.clone(), entry.state));
            if excluding.is_none() {
                // Without a duration, its end is under way already.
                let state = if fault.has_duration() { EntryState::Lasting } else { EntryState::Ending };
                entries.push(Entry { fault: fault.clone(), state });
            }
            excluding.is_none()
        });
        excluding
    }

    /// Removes a fault that is undone, or did not begin.
    pub fn leave(&self, fault: &Fault) {
        self.entries.send_modify(|entries| entries.retain(|entry| entry.fault != *fault));
    }

    /// The duration of a fault is over, and it is being undone.
    pub fn set_ending(&self, fault: &Fault) {
        self.set(fault, EntryState::Ending);
    }

    /// Keeps a fault that can't be undone. Nothing waits for it any more.
    pub fn set_stuck(&self, fault: &Fault) {
        self.set(fault, EntryState::Stuck);
    }

    fn set(&self, fault: &Fault, state: EntryState) {
        self.entries.send_modify(|entries| {
            entries.iter_mut().filter(|entry| entry.fault == *fault).for_each(|entry| entry.state = state);
        });
    }

    /// Waits until all servers, links and tables are ready again. A program that is started before may end at once.
    pub async fn wait_for_servers(&self) {
        let is_ready = |entries: &Vec<Entry>| {
            entries.iter().all(|entry| entry.state == EntryState::Stuck || is_of_program(&entry.fault))
        };
        // The sender lives as long as this.
        let _ = self.entries.subscribe().wait_for(is_ready).await;
    }

    fn excludes(&self, one: &Fault, other: &Fault) -> bool {
        let are_brokers = matches!((broker_of(one), broker_of(other)), (Some(one), Some(other)) if one != other);
        conflict(one, other) || (are_brokers && !self.several_brokers_down)
    }
}

/// Whether two faults change the same thing, so that the end of one would end the other.
pub fn conflict(one: &Fault, other: &Fault) -> bool {
    let is_same = |one: Option<Target>, other: Option<Target>| one.is_some() && one == other;
    let changes_consumers = |fault| matches!(process_of(fault), Some(Target::Consumer(_)));
    match (one, other) {
        (Fault::ScaleConsumers(_), Fault::ScaleConsumers(_)) | (Fault::FillDisk, Fault::FillDisk) => true,
        (Fault::ScaleConsumers(_), fault) | (fault, Fault::ScaleConsumers(_)) => changes_consumers(fault),
        (Fault::SkewClock { target: one, .. }, Fault::SkewClock { target: other, .. }) => one == other,
        (Fault::LockTable { table: one }, Fault::LockTable { table: other }) => one == other,
        _ => is_same(process_of(one), process_of(other)) || is_same(link_of(one), link_of(other)),
    }
}

fn process_of(fault: &Fault) -> Option<Target> {
    match fault {
        Fault::Kill(target) | Fault::Stop(target) | Fault::Pause(target) | Fault::Restart(target) => Some(*target),
        Fault::KillBackend => Some(Target::Postgres),
        _ => None,
    }
}

/// The broker that does not run, or can't be reached, because of a fault.
pub(super) fn broker_of(fault: &Fault) -> Option<Target> {
    let unreachable = match fault {
        Fault::CutLink(target) | Fault::BlackHoleLink(target) => Some(*target),
        _ => None,
    };
    process_of(fault).or(unreachable).filter(|target| matches!(target, Target::Broker(_)))
}

/// Whether what is undone is a program, which may need the servers to start.
pub(super) fn is_of_program(fault: &Fault) -> bool {
    let is_clock_or_number = matches!(fault, Fault::ScaleConsumers(_) | Fault::SkewClock { .. });
    is_clock_or_number || process_of(fault).is_some_and(|target| !target.is_server())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lock(table: &str) -> Fault {
        Fault::LockTable { table: table.to_owned() }
    }

    #[tokio::test]
    async fn a_second_broker_is_refused_until_the_first_one_is_back_unless_that_is_allowed() {
        for (several, is_allowed) in [(false, false), (true, true)] {
            let in_force = InForce::new(several);
            in_force.enter(&Fault::Kill(Target::Broker(1))).await.unwrap();
            let second = Fault::Pause(Target::Broker(2));
            assert_eq!(in_force.enter(&second).await.is_ok(), is_allowed);
            in_force.leave(&second);
            in_force.leave(&Fault::Kill(Target::Broker(1)));
            in_force.enter(&second).await.unwrap();
        }
    }

    #[tokio::test]
    async fn faults_of_one_thing_exclude_each_other_and_others_do_not() {
        let slow = |target| Fault::SlowLink { target, delay: Duration::from_millis(1) };
        let skew = |target| Fault::SkewClock { target, offset_ms: 1 };
        let (consumer, postgres, broker) = (Target::Consumer(1), Target::Postgres, Target::Broker(1));
        for (one, other, expected) in [
            (Fault::Kill(consumer), Fault::Pause(consumer), true),
            (Fault::Kill(consumer), Fault::Kill(Target::Consumer(2)), false),
            (Fault::Kill(consumer), Fault::ScaleConsumers(3), true),
            (Fault::ScaleConsumers(3), Fault::ScaleConsumers(2), true),
            (Fault::ScaleConsumers(3), Fault::Pause(postgres), false),
            (Fault::KillBackend, Fault::Pause(postgres), true),
            (slow(postgres), Fault::CutLink(postgres), true),
            (slow(postgres), Fault::Pause(postgres), false),
            (slow(postgres), slow(broker), false),
            (slow(broker), Fault::Kill(broker), false),
            (skew(consumer), skew(consumer), true),
            (skew(consumer), Fault::Kill(consumer), false),
            (lock("orders"), lock("users"), false),
            (lock("orders"), lock("orders"), true),
            (lock("orders"), Fault::Kill(postgres), false),
            (Fault::FillDisk, Fault::FillDisk, true),
        ] {
            for (first, second) in [(&one, &other), (&other, &one)] {
                let in_force = InForce::new(false);
                in_force.enter(first).await.unwrap();
                let entered = tokio::time::timeout(Duration::from_millis(10), in_force.enter(second)).await;
                assert_eq!(entered.is_err(), expected && !first.has_duration(), "{second} waits for {first}");
                assert_eq!(!matches!(entered, Ok(Ok(()))), expected, "{first} and {second}");
            }
        }
    }

    #[tokio::test]
    async fn a_program_waits_for_servers_but_not_for_programs_and_not_for_what_can_not_be_undone() {
        let in_force = InForce::new(false);
        in_force.enter(&Fault::Kill(Target::Consumer(1))).await.unwrap();
        in_force.wait_for_servers().await;
        for fault in [Fault::Pause(Target::Redis), Fault::CutLink(Target::Redis), lock("orders"), Fault::FillDisk] {
            in_force.enter(&fault).await.unwrap();
            let waiting = tokio::time::timeout(Duration::from_millis(10), in_force.wait_for_servers());
            assert!(waiting.await.is_err(), "{fault}");
            in_force.leave(&fault);
        }
        let stuck = Fault::Kill(Target::Broker(1));
        in_force.enter(&stuck).await.unwrap();
        in_force.set_stuck(&stuck);
        in_force.wait_for_servers().await;
        assert!(in_force.enter(&Fault::Kill(Target::Broker(2))).await.is_err(), "the first one is still down");
    }

    #[tokio::test]
    async fn a_fault_waits_for_one_of_the_same_thing_that_is_being_undone() {
        let in_force = InForce::new(false);
        let (first, second) = (Fault::Kill(Target::Broker(1)), Fault::Restart(Target::Broker(2)));
        in_force.enter(&first).await.unwrap();
        in_force.set_ending(&first);
        let mut waiting = std::pin::pin!(in_force.enter(&second));
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut waiting).await.is_err());
        in_force.leave(&first);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn restarts_that_become_due_while_another_one_lasts_run_one_after_the_other() {
        let (in_force, restart) = (InForce::new(false), |broker| Fault::Restart(Target::Broker(broker)));
        in_force.enter(&restart(1)).await.unwrap();
        let others = [restart(2), restart(3)];
        let enter = async |fault: &Fault| {
            in_force.enter(fault).await.unwrap();
            tokio::task::yield_now().await;
            in_force.leave(fault);
        };
        let first_ends = async {
            tokio::task::yield_now().await;
            in_force.leave(&restart(1));
        };
        tokio::join!(enter(&others[0]), enter(&others[1]), first_ends);
        assert!(in_force.entries.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_broker_behind_a_cut_link_counts_as_down() {
        let in_force = InForce::new(false);
        in_force.enter(&Fault::CutLink(Target::Broker(1))).await.unwrap();
        assert!(in_force.enter(&Fault::Kill(Target::Broker(2))).await.is_err());
        assert!(in_force.enter(&Fault::SlowLink { target: Target::Broker(3), delay: Duration::ZERO }).await.is_ok());
    }
}
