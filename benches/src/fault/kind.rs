use std::fmt;

use super::model::{Fault, Target};

/// The action of a fault, without its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    Kill,
    Stop,
    Pause,
    Restart,
    KillBackend,
    ScaleConsumers,
    SlowLink,
    CutLink,
    ResetLink,
    BlackHoleLink,
    FillDisk,
    SkewClock,
    LockTable,
}

impl FaultKind {
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Restart,
        Self::KillBackend,
        Self::ScaleConsumers,
        Self::SlowLink,
        Self::CutLink,
        Self::ResetLink,
        Self::BlackHoleLink,
        Self::FillDisk,
        Self::SkewClock,
        Self::LockTable,
    ];

    /// The name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::KillBackend => "kill-backend",
            Self::ScaleConsumers => "scale-consumers",
            Self::SlowLink => "slow-link",
            Self::CutLink => "cut-link",
            Self::ResetLink => "reset-link",
            Self::BlackHoleLink => "black-hole-link",
            Self::FillDisk => "fill-disk",
            Self::SkewClock => "skew-clock",
            Self::LockTable => "lock-table",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Fault {
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Kill(_) => FaultKind::Kill,
            Self::Stop(_) => FaultKind::Stop,
            Self::Pause(_) => FaultKind::Pause,
            Self::Restart(_) => FaultKind::Restart,
            Self::KillBackend => FaultKind::KillBackend,
            Self::ScaleConsumers(_) => FaultKind::ScaleConsumers,
            Self::SlowLink { .. } => FaultKind::SlowLink,
            Self::CutLink(_) => FaultKind::CutLink,
            Self::ResetLink(_) => FaultKind::ResetLink,
            Self::BlackHoleLink(_) => FaultKind::BlackHoleLink,
            Self::FillDisk => FaultKind::FillDisk,
            Self::SkewClock { .. } => FaultKind::SkewClock,
            Self::LockTable { .. } => FaultKind::LockTable,
        }
    }

    /// Whether it breaks a server or a link, for which `deploy/stack` is needed.
    pub fn needs_stack(&self) -> bool {
        match self {
            Self::Kill(target) | Self::Stop(target) | Self::Pause(target) | Self::Restart(target) => target.is_server(),
            Self::KillBackend
            | Self::SlowLink { .. }
            | Self::CutLink(_)
            | Self::ResetLink(_)
            | Self::BlackHoleLink(_) => true,
            Self::ScaleConsumers(_) | Self::FillDisk | Self::SkewClock { .. } | Self::LockTable { .. } => false,
        }
    }

    /// Whether it lasts for a time that the scenario says, or until the end of the run. Otherwise its end follows its
    /// begin.
    pub fn has_duration(&self) -> bool {
        !matches!(self, Self::Restart(_) | Self::KillBackend | Self::ResetLink(_))
    }

    /// What a scenario names as its target; `None` where the kind says it.
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::Kill(target)
            | Self::Stop(target)
            | Self::Pause(target)
            | Self::Restart(target)
            | Self::SlowLink { target, .. }
            | Self::CutLink(target)
            | Self::ResetLink(target)
            | Self::BlackHoleLink(target)
            | Self::SkewClock { target, .. } => Some(*target),
            Self::KillBackend | Self::ScaleConsumers(_) | Self::FillDisk | Self::LockTable { .. } => None,
        }
    }
}

impl fmt::Display for Fault {
    /// The kind, the target and the parameters, such as `kill kafka-2` or `slow-link postgres 50ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())?;
        if let Some(target) = self.target() {
            write!(f, " {target}")?;
        }
        match self {
            Self::ScaleConsumers(number) => write!(f, " {number}"),
            Self::SlowLink { delay, .. } => write!(f, " {}", humantime::format_duration(*delay)),
            Self::SkewClock { offset_ms, .. } => write!(f, " {offset_ms:+}ms"),
            Self::LockTable { table } => write!(f, " {table}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    #[test]
    fn a_fault_is_named_by_its_kind_its_target_and_its_parameters() {
        for (fault, name) in [
            (Fault::Kill(Target::Broker(2)), "kill kafka-2"),
            (Fault::Restart(Target::CacheWorker), "restart cache-worker"),
            (Fault::ScaleConsumers(9), "scale-consumers 9"),
            (Fault::SlowLink { target: Target::Postgres, delay: Duration::from_millis(50) }, "slow-link postgres 50ms"),
            (Fault::SkewClock { target: Target::Producer(1), offset_ms: -5_000 }, "skew-clock producer-1 -5000ms"),
            (Fault::LockTable { table: "orders".to_owned() }, "lock-table orders"),
        ] {
            assert_eq!(fault.to_string(), name);
        }
        let names: BTreeSet<&str> = FaultKind::ALL.into_iter().map(FaultKind::name).collect();
        assert_eq!(names.len(), FaultKind::ALL.len());
    }
}
