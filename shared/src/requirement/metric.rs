/// A figure of a run that a requirement can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Lateness: from due to enqueued in librdkafka.
    Sent,
    /// From due to acknowledged.
    Ack,
    /// From enqueued to acknowledged.
    RoundTrip,
    /// From due to committed in the table.
    Stored,
    /// The longest time without an acknowledgement while orders were in flight.
    Stall,
    /// From the end of the schedule to the last acknowledgement.
    Tail,
    /// Acknowledged orders per second.
    Rate,
    /// Difference between the achieved and the target rate, without its sign.
    RateError,
    /// Orders that were due and not sent.
    Skipped,
    /// Orders that are certainly not in the log.
    Failed,
    /// Orders that may be in the log.
    Unknown,
    /// Times that the client's queue was full.
    QueueFull,
    /// Orders that are neither stored nor dead-lettered.
    Missing,
    /// Rows that differ from their record, user or product.
    Altered,
    /// Records with one order id and different contents.
    Conflicting,
    /// Orders stored that were not acknowledged.
    Unexpected,
    /// Records whose order was in the table already.
    Duplicates,
    /// Orders in the dead-letter topic.
    DeadLetters,
    /// The largest lag of the consumer group while orders are sent, in records.
    Lag,
    /// The longest recovery of the pipeline after a fault.
    Recovery,
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Milliseconds, by percentile.
    Latency,
    /// Milliseconds.
    Duration,
    /// Percent.
    Share,
    /// Per second.
    Rate,
    Count,
}

/// Which program measures a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuredBy {
    /// `producer`, in its run.
    Producer,
    /// `loadtest pipeline` and `loadtest run`, from the table and the consumers.
    Pipeline,
    /// `loadtest run`, from its samples.
    ScenarioRun,
}

impl Metric {
    /// All metrics, in the order in which they are listed.
    pub const ALL: [Self; 20] = [
        Self::Sent,
        Self::Ack,
        Self::RoundTrip,
        Self::Stored,
        Self::Stall,
        Self::Tail,
        Self::Rate,
        Self::RateError,
        Self::Skipped,
        Self::Failed,
        Self::Unknown,
        Self::QueueFull,
        Self::Missing,
        Self::Altered,
        Self::Conflicting,
        Self::Unexpected,
        Self::Duplicates,
        Self::DeadLetters,
        Self::Lag,
        Self::Recovery,
    ];

    /// The name in a requirement.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Ack => "ack",
            Self::RoundTrip => "round_trip",
            Self::Stored => "stored",
            Self::Stall => "stall",
            Self::Tail => "tail",
            Self::Rate => "rate",
            Self::RateError => "rate_error",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::QueueFull => "queue_full",
            Self::Missing => "missing",
            Self::Altered => "altered",
            Self::Conflicting => "conflicting",
            Self::Unexpected => "unexpected",
            Self::Duplicates => "duplicates",
            Self::DeadLetters => "dead_letters",
            Self::Lag => "lag",
            Self::Recovery => "recovery",
        }
    }

    /// The metric with this name, in which `_`, `-` and a space are the same.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace(['-', ' '], "_");
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Sent | Self::Ack | Self::RoundTrip | Self::Stored => Kind::Latency,
            Self::Stall | Self::Tail | Self::Recovery => Kind::Duration,
            Self::Rate => Kind::Rate,
            Self::RateError => Kind::Share,
            Self::Skipped
            | Self::Failed
            | Self::Unknown
            | Self::QueueFull
            | Self::Missing
            | Self::Altered
            | Self::Conflicting
            | Self::Unexpected
            | Self::Duplicates
            | Self::DeadLetters
            | Self::Lag => Kind::Count,
        }
    }

    /// Which program measures it.
    pub fn measured_by(self) -> MeasuredBy {
        match self {
            Self::Sent
            | Self::Ack
            | Self::RoundTrip
            | Self::Stall
            | Self::Tail
            | Self::Rate
            | Self::RateError
            | Self::Skipped
            | Self::Failed
            | Self::Unknown
            | Self::QueueFull => MeasuredBy::Producer,
            Self::Stored
            | Self::Missing
            | Self::Altered
            | Self::Conflicting
            | Self::Unexpected
            | Self::Duplicates
            | Self::DeadLetters => MeasuredBy::Pipeline,
            Self::Lag | Self::Recovery => MeasuredBy::ScenarioRun,
        }
    }
}
