//! The page `/metrics` of a program: how it is read, and what is taken from it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use ureq::Agent;

use super::counters::{Counter, Counts};

/// A program that has not answered by then keeps the values of the second before.
const TIMEOUT: Duration = Duration::from_millis(650);

/// What the page of a program says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub counts: Counts,
    /// Orders enqueued and not acknowledged, of a producer.
    pub in_flight: u64,
    /// Age of the rows in Redis, as a producer sees it.
    pub cache_age_seconds: Option<f64>,
    /// Offset below which everything is stored, of each partition that a consumer has.
    pub stored_offsets: BTreeMap<i32, i64>,
}

/// Reads the page of one program over a connection that is kept open.
pub struct PageReader {
    agent: Agent,
    url: String,
}

impl PageReader {
    pub fn new(address: SocketAddr) -> Self {
        let agent = Agent::new_with_config(Agent::config_builder().timeout_global(Some(TIMEOUT)).build());
        Self { agent, url: format!("http://{address}/metrics") }
    }

    /// The page; `None` when the program does not answer in time.
    pub fn read(&self) -> Option<Page> {
        let page = self.agent.get(&self.url).call().ok()?.body_mut().read_to_string().ok()?;
        Some(Page::parse(&page))
    }
}

impl Page {
    fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            let Some((name, labels, value)) = sample(line) else { continue };
            if let Some(counter) = counter_of(name) {
                page.counts[counter] += value as u64;
            }
            match name {
                consumer::metrics::LOOKUPS if label(labels, "step") == Some("process") => {
                    page.counts[Counter::LookupsInProcess] += value as u64;
                }
                // It has no value once another consumer has the partition.
                consumer::metrics::STORED_OFFSET if value.is_finite() => {
                    let partition = label(labels, "partition").and_then(|partition| partition.parse().ok());
                    page.stored_offsets.extend(partition.map(|partition: i32| (partition, value as i64)));
                }
                producer::metrics::IN_FLIGHT => page.in_flight += value as u64,
                producer::metrics::CACHE_AGE => page.cache_age_seconds = Some(value),
                _ => {}
            }
        }
        page
    }
}

/// The counter of which a metric is a part.
fn counter_of(name: &str) -> Option<Counter> {
    Some(match name {
        producer::metrics::ENQUEUED => Counter::Sent,
        producer::metrics::ACKNOWLEDGED => Counter::Acknowledged,
        producer::metrics::CHANGES_ENQUEUED => Counter::ChangesSent,
        producer::metrics::CHANGES_ACKNOWLEDGED => Counter::ChangesAcknowledged,
        consumer::metrics::CHANGES_STORED => Counter::ChangesStored,
        consumer::metrics::CONSUMED => Counter::Consumed,
        consumer::metrics::STORED => Counter::Stored,
        consumer::metrics::DUPLICATES => Counter::Duplicates,
        consumer::metrics::DEAD_LETTERED => Counter::DeadLettered,
        consumer::metrics::LOOKUPS => Counter::Lookups,
        name => match name.strip_prefix(consumer::metrics::BATCH_ROWS)? {
            "_sum" => Counter::BatchRows,
            "_count" => Counter::Batches,
            _ => return None,
        },
    })
}

/// Name, labels and value of a sample; `None` for a comment.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if !line.starts_with("orderflow_") {
        return None;
    }
    let (metric, value) = line.rsplit_once(' ')?;
    let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
    Some((name, labels, value.parse().ok()?))
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let labels = labels.strip_suffix('}').unwrap_or(labels).split(',');
    labels
        .filter_map(|label| label.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_and_gauges_of_a_page_are_taken_and_nothing_else() {
        let page = Page::parse(
            "# TYPE orderflow_consumer_stored_total counter\norderflow_consumer_stored_total 41\n\n\
             orderflow_consumer_dead_lettered_total{kind=\"malformed\"} 2\n\
             orderflow_consumer_dead_lettered_total{kind=\"unknown_user\"} 3\n\
             orderflow_consumer_lookups_total{what=\"user\",step=\"process\"} 70\n\
             orderflow_consumer_lookups_total{what=\"user\",step=\"redis\"} 20\n\
             orderflow_consumer_lookups_total{what=\"product\",step=\"process\"} 10\n\
             orderflow_consumer_batch_rows{quantile=\"0.5\"} 7\norderflow_consumer_batch_rows_sum 46\n\
             orderflow_consumer_batch_rows_count 5\n\
             orderflow_consumer_stored_offset{partition=\"3\"} 900\n\
             orderflow_consumer_stored_offset{partition=\"4\"} NaN\n\
             orderflow_producer_in_flight 12\norderflow_producer_cache_age_seconds 1.5\n",
        );
        let counts = [Counter::Stored, Counter::DeadLettered, Counter::LookupsInProcess, Counter::Lookups];
        assert_eq!(counts.map(|counter| page.counts[counter]), [41, 5, 80, 100]);
        assert_eq!((page.counts[Counter::BatchRows], page.counts[Counter::Batches]), (46, 5));
        assert_eq!(page.stored_offsets, BTreeMap::from([(3, 900)]));
        assert_eq!((page.in_flight, page.cache_age_seconds), (12, Some(1.5)));
    }
}
