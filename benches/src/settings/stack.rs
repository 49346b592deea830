use std::path::PathBuf;

use clap::Args;

/// The stack that a command joins, or starts.
#[derive(Clone, Debug, Args)]
pub struct StackSettings {
    /// Stack of the run. What does not run of it is started, and stopped at the end. Its settings have priority over
    /// the environment. Without this, the stack is main, unless the environment or a flag has settings of services.
    #[arg(long, env = "ORDERFLOW_STACK", value_name = "NAME")]
    pub stack: Option<String>,
    /// Services of the stack that were started for this run, and are stopped at its end: `loadtest` replaces itself once
    /// it knows the settings of the stack.
    #[arg(long, hide = true, value_delimiter = ',')]
    pub started: Option<Vec<String>>,
    /// Script that starts, stops and breaks the services of the stack.
    #[arg(long, default_value = "deploy/stack", value_name = "PATH")]
    pub stack_script: PathBuf,
}
