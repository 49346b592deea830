use clap::Args;

/// What Redis is told about changed orders.
#[derive(Clone, Copy, Debug, Args)]
pub struct InvalidationSettings {
    /// Invalidate each changed order in Redis, so that programs that look orders up there first see its new status at
    /// once.
    #[arg(long, env = "CONSUMER_INVALIDATE", help_heading = "Redis")]
    pub invalidate: bool,
}
