//! Our consumers.

use shared::order_id::RunTag;

use super::drain::{empty_table, watch};
use crate::{bench::corner::Corner, programs::Program};

/// What a drain showed.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Rows a second.
    pub rows_a_second: f64,
    /// The most memory that one instance had resident, in bytes.
    pub peak_memory: u64,
}

/// Drains the topic with so many instances.
///
/// # Errors
/// When one fails, or does not store everything once.
pub async fn drain(corner: &Corner, orders: u64, instances: usize) -> anyhow::Result<Drained> {
    empty_table(corner).await?;
    let mut environment = corner.environment.clone();
    environment.push(("CONSUMER_GROUP".to_owned(), format!("{}.{}", corner.name, RunTag::random())));
    let start = |n| Program::start(&format!("consumer-{n}"), "consumer", [""; 0], &environment, &corner.logs());
    let mut consumers = (0..instances).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let check = || consumers.iter_mut().try_for_each(Program::check);
    let rows_a_second = watch(corner, &corner.orders, orders, check).await?;
    let peaks = consumers.iter().map(Program::peak_memory).collect::<anyhow::Result<Vec<_>>>()?;
    for consumer in &consumers {
        consumer.ask_to_stop()?;
    }
    tokio::task::spawn_blocking(move || consumers.into_iter().try_for_each(Program::finish)).await??;
    Ok(Drained { rows_a_second, peak_memory: peaks.into_iter().max().unwrap_or_default() })
}
