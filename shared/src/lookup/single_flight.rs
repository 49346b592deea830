use std::hash::Hash;

use quick_cache::sync::Cache;

/// Keys that are loaded at a time and share a result. Beyond that, a key may be loaded twice.
const MAX_FLIGHTS: usize = 1_000;

/// Makes one load of simultaneous loads of the same key. Nothing is kept after the load.
pub struct SingleFlight<Key, Value> {
    flights: Cache<Key, Value>,
}

impl<Key: Clone + Eq + Hash, Value: Clone> SingleFlight<Key, Value> {
    pub fn new() -> Self {
        Self { flights: Cache::new(MAX_FLIGHTS) }
    }

    /// Runs `load`, or waits for the one of `key` that runs. When that one is dropped, one of those that wait for it
    /// runs its own.
    pub async fn run(&self, key: &Key, load: impl Future<Output = Value>) -> Value {
        match self.flights.get_value_or_guard_async(key).await {
            Ok(value) => value,
            Err(guard) => {
                let value = load.await;
                // Those that wait get the value from the guard, not from the cache.
                let _ = guard.insert(value.clone());
                self.flights.remove(key);
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join_all, pending};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn simultaneous_loads_are_one_and_a_later_one_is_another() {
        let (flights, loads) = (SingleFlight::new(), AtomicUsize::new(0));
        let load = async || {
            tokio::task::yield_now().await;
            loads.fetch_add(1, Ordering::Relaxed)
        };
        assert_eq!(join_all((0..50).map(|_| flights.run(&7, load()))).await, vec![0; 50]);
        assert_eq!(flights.run(&7, load()).await, 1);
    }

    #[tokio::test]
    async fn a_load_that_is_dropped_is_run_by_one_that_waits_for_it() {
        let (flights, began) = (SingleFlight::new(), Notify::new());
        let never = flights.run(&7, async {
            began.notify_one();
            pending().await
        });
        tokio::select! {
            loaded = never => panic!("{loaded}"),
            loaded = async {
                began.notified().await;
                let waiting = flights.run(&7, async { 1 });
                tokio::time::timeout(std::time::Duration::ZERO, waiting).await
            } => assert!(loaded.is_err()),
        }
        assert_eq!(flights.run(&7, async { 2 }).await, 2);
    }
}
