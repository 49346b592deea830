use std::time::Duration;

use clap::{Args, ValueEnum};
use shared::program::positive_duration;

/// The protocol by which a group assigns its partitions to its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupProtocol {
    /// The recommended protocol: classic.
    Auto,
    /// The brokers assign the partitions (KIP-848; brokers from 4.0 on). librdkafka may leave a partition without an
    /// owner for a while.
    Consumer,
    /// A member assigns the partitions, cooperative-sticky.
    Classic,
}

/// What a consumer does when the topic does not have the offset that is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOffsetOutOfRange {
    /// Log the missing records, store what was read before, and exit with 1.
    End,
    /// Log the missing records and continue at the first offset of the partition.
    Continue,
}

/// Membership of the group, and how it is left.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Group")]
pub struct GroupSettings {
    /// Consumer group; its members share the partitions.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow")]
    pub group: String,
    /// Protocol by which the group assigns its partitions.
    #[arg(long, value_enum, default_value = "auto")]
    pub group_protocol: GroupProtocol,
    /// Make this a static member of the group (group.instance.id). The name must be unique in the group. A member that
    /// restarts within the session timeout keeps its partitions.
    #[arg(long, env = "CONSUMER_INSTANCE_ID")]
    pub instance_id: Option<String>,
    /// At a stop, a static member leaves the group (to scale down), so that others get its partitions at once. Requires
    /// the classic protocol.
    #[arg(long, requires = "instance_id")]
    pub leave: bool,
    /// What to do when the topic does not have the offset that is read next: records may have been deleted unread.
    #[arg(long, alias = "on-gap", value_enum, default_value = "end")]
    pub on_offset_out_of_range: OnOffsetOutOfRange,
    /// Exit when a partition has lag and its stored offset does not advance for this long without an outage.
    #[arg(long, default_value = "2m", value_parser = positive_duration, value_name = "DURATION")]
    pub stuck_after: Duration,
    /// Name of this consumer in dead letters and latency logs. Default: --instance-id, else a name with the host's name
    /// and the process id.
    #[arg(long, alias = "instance", env = "CONSUMER_INSTANCE")]
    pub instance_name: Option<String>,
    /// How long a revoked partition is drained: its records in flight are stored before it is released. Later ones are
    /// left to the next owner.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub drain: Duration,
    /// Timeout of a stop. Records that are not stored by then are left to the next owner of their partition.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub stop_deadline: Duration,
}

impl GroupSettings {
    pub fn instance_name(&self) -> String {
        let name = self.instance_name.clone().or_else(|| self.instance_id.clone());
        name.unwrap_or_else(default_instance_name)
    }
}

/// `consumer-HOST-PROCESS`. In containers, each consumer has process id 1, and their latency logs are in one folder. A
/// system without this file (macOS) runs no containers of its own, and there the process id is enough.
fn default_instance_name() -> String {
    let process = std::process::id();
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) => format!("consumer-{}-{process}", host.trim()),
        Err(_) => format!("consumer-{process}"),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn consumers_of_two_hosts_have_different_names() {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(default_instance_name(), format!("consumer-{}-{}", host.trim_end(), std::process::id()));
    }
}
