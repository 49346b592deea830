//! When a fault is in force, and what it affects.

use std::time::Duration;

use super::model::TimedFault;
use crate::fault::{Fault, Target};

/// How long a server or program takes to stop and start.
const RESTART: Duration = Duration::from_secs(10);
/// How long a broker that is back needs until its replicas are in sync.
const BROKER_RETURN: Duration = Duration::from_secs(10);

/// What only one fault at a time can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A process, and what it holds: locks of PostgreSQL, the clock of a program.
    Process(Target),
    Link(Target),
    NumberOfConsumers,
    Disk,
}

impl TimedFault {
    pub fn subject(&self) -> Subject {
        match &self.fault {
            Fault::Kill(target) | Fault::Stop(target) | Fault::Pause(target) | Fault::Restart(target) => {
                Subject::Process(*target)
            }
            Fault::SkewClock { target, .. } => Subject::Process(*target),
            Fault::KillBackend | Fault::LockTable { .. } => Subject::Process(Target::Postgres),
            Fault::SlowLink { target, .. }
            | Fault::CutLink(target)
            | Fault::ResetLink(target)
            | Fault::BlackHoleLink(target) => Subject::Link(*target),
            Fault::ScaleConsumers(_) => Subject::NumberOfConsumers,
            Fault::FillDisk => Subject::Disk,
        }
    }

    /// When it is undone; for a fault without a duration, when its effect should be over.
    pub fn end(&self) -> Duration {
        let own_effect = match self.fault {
            Fault::Restart(_) | Fault::KillBackend => RESTART,
            _ => Duration::ZERO,
        };
        self.at + self.lasting.unwrap_or(own_effect)
    }

    /// The broker that can't be reached because of it, and until when.
    pub fn broker_down(&self) -> Option<(u8, Duration)> {
        match self.fault {
            Fault::Kill(Target::Broker(broker))
            | Fault::Stop(Target::Broker(broker))
            | Fault::Pause(Target::Broker(broker))
            | Fault::Restart(Target::Broker(broker))
            | Fault::CutLink(Target::Broker(broker))
            | Fault::BlackHoleLink(Target::Broker(broker)) => Some((broker, self.end() + BROKER_RETURN)),
            _ => None,
        }
    }
}

/// Whether two brokers would be down at a time, or one while the replicas of the other are not in sync yet.
pub fn brokers_overlap(a: &TimedFault, b: &TimedFault) -> bool {
    match (a.broker_down(), b.broker_down()) {
        (Some((broker, until)), Some((other, other_until))) => broker != other && a.at < other_until && b.at < until,
        _ => false,
    }
}
