use std::time::Duration;

use clap::{Args, ValueEnum};
use shared::program::positive_duration;

/// The protocol by which the members of a group share its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupProtocol {
    /// Classic.
    Auto,
    /// The brokers assign the partitions (KIP-848; brokers from 4.0 on). librdkafka may leave a partition without an
    /// owner.
    Consumer,
    /// A member assigns the partitions, cooperative-sticky.
    Classic,
}

/// What a consumer does when the topic does not have the group's committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOffsetOutOfRange {
    /// Log the gap and end; nothing more is stored.
    End,
    /// Log the gap and continue at the beginning of the partition.
    Continue,
}

/// Membership of the group, and how it is left.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Group")]
pub struct GroupSettings {
    /// Consumer group; its members share the partitions.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "orderflow")]
    pub group: String,
    /// The group protocol.
    #[arg(long, value_enum, default_value = "auto")]
    pub group_protocol: GroupProtocol,
    /// Make this a static member of the group (group.instance.id). The name must be unique in the group. A member that
    /// restarts within the session timeout keeps its partitions.
    #[arg(long, env = "CONSUMER_INSTANCE_ID")]
    pub instance_id: Option<String>,
    /// At a stop, a static member leaves the group (to scale down), so that others take its partitions at once. Needs
    /// the classic protocol.
    #[arg(long, requires = "instance_id")]
    pub leave: bool,
    /// What to do when the topic does not have the group's committed offset: records may have been deleted unread.
    #[arg(long, alias = "on-gap", value_enum, default_value = "end")]
    pub on_offset_out_of_range: OnOffsetOutOfRange,
    /// End when a partition has lag and its stored offset does not advance for this long, without a known outage.
    #[arg(long, default_value = "2m", value_parser = positive_duration, value_name = "DURATION")]
    pub stuck_after: Duration,
    /// The name of this instance in dead letters, logs and latency logs; by default the instance id, or derived from
    /// the process id.
    #[arg(long, env = "CONSUMER_INSTANCE")]
    pub instance: Option<String>,
    /// How long a partition that is revoked is drained first; the rest is handed back to its next owner.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub drain: Duration,
    /// How long a stop may take; the rest is handed back to the group.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub stop_deadline: Duration,
}

impl GroupSettings {
    pub fn instance(&self) -> String {
        let name = self.instance.clone().or_else(|| self.instance_id.clone());
        name.unwrap_or_else(|| format!("consumer-{}", std::process::id()))
    }
}
