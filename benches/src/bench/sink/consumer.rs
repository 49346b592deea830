//! The consumer of orderflow.

use shared::order_id::RunTag;

use super::fill_rate::{Fill, empty_table, measure_fill_rate};
use crate::{
    bench::{cpu::CpuMeter, environment::BenchEnvironment, filled_topic::FilledTopic},
    process::Program,
    settings::BenchStackSettings,
};

#[derive(Clone, Copy, Debug)]
pub struct ConsumerResult {
    pub fill: Fill,
    /// Peak resident memory of one consumer, in bytes: the largest of all.
    pub peak_memory: u64,
}

/// Drains the topic with `instances` consumers in a new group. `variables` override those of the bench.
///
/// # Errors
/// When a consumer fails, or not every event is stored exactly once.
pub async fn drain(
    bench: &BenchEnvironment,
    topic: &FilledTopic,
    stack: &BenchStackSettings,
    instances: usize,
    variables: &[(String, String)],
) -> anyhow::Result<ConsumerResult> {
    empty_table(bench).await?;
    let mut environment = bench.variables.clone();
    environment.extend_from_slice(variables);
    environment.push(("CONSUMER_GROUP".to_owned(), format!("{}.{}", bench.name, RunTag::random())));
    let start = |n| Program::start(&format!("consumer-{n}"), "consumer", [""; 0], &environment, &bench.logs());
    let mut consumers = (0..instances).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let mut meter = CpuMeter::new(consumers.iter().map(Program::pid), stack)?;
    let ensure_running = || consumers.iter_mut().try_for_each(Program::ensure_running);
    let fill = measure_fill_rate(bench, topic, &mut meter, ensure_running).await?;
    let peaks = consumers.iter().map(Program::peak_memory).collect::<anyhow::Result<Vec<_>>>()?;
    for consumer in &consumers {
        consumer.request_stop()?;
    }
    tokio::task::spawn_blocking(move || consumers.into_iter().try_for_each(Program::wait_for_success)).await??;
    Ok(ConsumerResult { fill, peak_memory: peaks.into_iter().max().unwrap_or_default() })
}
