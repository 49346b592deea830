//! Joins the stack of a run, or starts it.
//!
//! The settings of the services come from that stack: [`join`] replaces this process by one with the environment that
//! `deploy/stack env` prints, unless it has that environment already.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, anyhow, ensure};
use tokio_util::sync::CancellationToken;

use crate::{
    fault::stack::{ServiceState, Stack, Variable},
    settings::StackSettings,
};

/// The stack when neither `--stack` nor settings of services are given.
const DEFAULT_STACK: &str = "main";

/// Settings that lead to services. With one of them and without `--stack`, the run uses these services.
const SERVICE_VARIABLES: [&str; 11] = [
    "KAFKA_BROKERS",
    "REDIS_URL",
    "REDIS_HOST",
    "REDIS_PORT",
    "DATABASE_URL",
    "DB_TYPE",
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "SUPABASE_DIRECT_URL",
    "SUPABASE_POOLER_URL",
    "RDS_HOST",
];
const SERVICE_FLAGS: [&str; 10] = [
    "--brokers",
    "--bootstrap-server",
    "--redis-url",
    "--redis-host",
    "--redis-port",
    "--database-url",
    "--db-type",
    "--postgres-host",
    "--postgres-port",
    "--rds-host",
];

/// In place of the services, when the whole stack did not exist.
const ALL: &str = "all";

/// The stack that a run uses, and what of it was started for the run.
pub struct JoinedStack {
    stack: Stack,
    started: Vec<String>,
}

/// Starts what does not run of the stack. `None` when the run uses services that are configured otherwise.
///
/// # Errors
/// When the stack can't be started, or on `stop`. Then what was started is stopped again.
pub async fn join(settings: &StackSettings, stop: &CancellationToken) -> anyhow::Result<Option<JoinedStack>> {
    let Some(stack) = chosen_stack(settings) else { return Ok(None) };
    ensure!(
        stack.script.is_file(),
        "{} does not exist: run loadtest in the checkout, or name the script with --stack-script",
        stack.script.display()
    );
    let started = match &settings.started {
        Some(started) => started.clone(),
        None => start(&stack, stop).await?,
    };
    let joined = JoinedStack { stack, started };
    let error = match joined.stack.environment(None).await {
        // The process that replaces this one does not know of the stop.
        _ if stop.is_cancelled() => anyhow!("interrupted before the run"),
        Err(error) => error,
        Ok(environment) if !differs(&environment) => return Ok(Some(joined)),
        Ok(environment) => replace_process(&environment, &joined.started),
    };
    joined.leave().await;
    Err(error)
}

/// The stack of the settings; `None` when they configure services that are no stack's.
pub fn chosen_stack(settings: &StackSettings) -> Option<Stack> {
    let name = match &settings.stack {
        Some(name) => name.clone(),
        None if has_service_settings() => return None,
        None => DEFAULT_STACK.to_owned(),
    };
    // A relative path without a folder would be looked for in PATH.
    let script = std::path::absolute(&settings.stack_script).unwrap_or_else(|_| settings.stack_script.clone());
    Some(Stack { script, name })
}

impl JoinedStack {
    /// Stops what was started for the run.
    pub async fn leave(self) {
        if self.started.is_empty() {
            return;
        }
        tracing::info!("stack {}: stopping what was started for the run", self.stack.name);
        let services = self.started.iter().map(String::as_str);
        let arguments: Vec<&str> =
            if self.started == [ALL] { vec!["down"] } else { ["stop"].into_iter().chain(services).collect() };
        if let Err(error) = self.stack.run(&arguments).await {
            tracing::warn!("{error:#}");
        }
    }
}

async fn start(stack: &Stack, stop: &CancellationToken) -> anyhow::Result<Vec<String>> {
    let stopped = stopped_services(stack).await?;
    if stopped.is_empty() {
        return Ok(stopped);
    }
    tracing::info!("stack {}: starting {}", stack.name, stopped.join(", "));
    let joined = JoinedStack { stack: stack.clone(), started: stopped };
    let up = stop.run_until_cancelled(joined.stack.run(&["up"])).await;
    match up.context("interrupted while the stack was started").and_then(|result| result) {
        Ok(_) => Ok(joined.started),
        Err(error) => {
            joined.leave().await;
            Err(error)
        }
    }
}

/// The services that do not run. A paused one counts as running.
async fn stopped_services(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let services = stack.services().await?;
    if services.is_empty() {
        return Ok(vec![ALL.to_owned()]);
    }
    let stopped = services.into_iter().filter(|it| matches!(it.state, ServiceState::Stopped | ServiceState::Dead));
    Ok(stopped.map(|service| service.target.to_string()).collect())
}

fn has_service_settings() -> bool {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_given = |argument: String| {
        let name = argument.split('=').next().unwrap_or_default();
        SERVICE_FLAGS.contains(&name)
    };
    SERVICE_VARIABLES.iter().any(is_set) || std::env::args().any(is_given)
}

fn differs(environment: &[Variable]) -> bool {
    environment.iter().any(|(name, value)| std::env::var(name).ok() != *value)
}

/// Returns only when it fails.
fn replace_process(environment: &[Variable], started: &[String]) -> anyhow::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return anyhow::Error::from(error).context("the path of this program is not known"),
    };
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    if !started.is_empty() {
        command.args(["--started", &started.join(",")]);
    }
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    anyhow::Error::from(command.exec()).context("loadtest can't be started with the settings of the stack")
}
