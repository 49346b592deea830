use crate::order_id::RunTag;

/// The series, in the consumers' latency logs, of the time from an order's due time to the commit of its row.
pub const DUE_TO_COMMIT: &str = "due_to_commit";

/// Name of the part of [`DUE_TO_COMMIT`] with the orders of `tag` alone.
pub fn due_to_commit(tag: RunTag) -> String {
    run_series(DUE_TO_COMMIT, tag)
}

/// Name of the part of `series` with the orders of `tag` alone: `SERIES.TAG`.
pub fn run_series(series: &str, tag: RunTag) -> String {
    format!("{series}.{tag}")
}

/// Name of the series of changes that is `series` for orders, such as `change_due_to_commit`.
pub fn change_series(series: &str) -> String {
    format!("change_{series}")
}

/// Name of the series of the time from a change's due time to its commit, with the changes of `tag` alone.
pub fn change_due_to_commit(tag: RunTag) -> String {
    run_series(&change_series(DUE_TO_COMMIT), tag)
}

/// The stages of an order from due to committed. Their latencies add up to [`DUE_TO_COMMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the due time until the consumer has read the record: producer, brokers, and records fetched ahead.
    Broker,
    /// From there until the worker takes the record from its queue.
    Queue,
    /// From there until the batch of the record is decoded.
    Decode,
    /// From there until the users and products of the batch are looked up.
    Enrich,
    /// From there until the batch is committed. It includes waiting for the batch before it, outages and retries.
    Insert,
}

impl Stage {
    /// All stages, in the order in which an order passes them.
    pub const ALL: [Self; 5] = [Self::Broker, Self::Queue, Self::Decode, Self::Enrich, Self::Insert];

    /// Name of the stage, and of its series in the consumers' latency logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Queue => "queue",
            Self::Decode => "decode",
            Self::Enrich => "enrich",
            Self::Insert => "insert",
        }
    }
}
