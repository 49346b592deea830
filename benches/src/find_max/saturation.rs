//! What limits the rate, from the figures of a probe that broke.
//!
//! Two questions are kept apart. Where do orders wait? In the producer, when it is late though the brokers take all; in
//! the brokers, when acknowledgements are late; in the database, when the consumers spend most of a batch in the insert;
//! else in the consumers. And why? Because the CPU of the machine is used up (all programs and servers here together
//! use nearly all cores), because one thread is (the producer sends with one), or for another reason, such as the disk
//! or a lock: then the component waits although there is CPU left.

use serde::Serialize;
use shared::ledger::Verdict;

use super::figures::ProbeFigures;

/// Share of all cores from which the CPU of the machine counts as used up. A sample of one second does not reach 1.
const MACHINE_FULL: f64 = 0.9;
/// Cores from which one thread counts as used up.
const THREAD_FULL: f64 = 0.9;
/// Acknowledgements that take this share of the time from due to stored are where the orders wait.
const MOST: f64 = 0.5;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    pub component: Component,
    pub limit: Limit,
    /// Sentences with the rule that applied and the figures that it looked at.
    pub evidence: Vec<String>,
}

/// Where orders wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    Generator,
    Brokers,
    Consumers,
    Database,
}

/// Why they wait there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// All processes share the cores of the machine, and use nearly all of them.
    MachineCpu,
    /// The producer's thread uses a whole core.
    ProducerThread,
    /// There is CPU left: the disk, the network, locks, or the number of partitions or connections.
    NotCpu,
    /// The CPU of the servers is not measured.
    Unknown,
}

impl Component {
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "the generator",
            Self::Brokers => "the brokers",
            Self::Consumers => "the consumers",
            Self::Database => "the database",
        }
    }
}

impl Limit {
    pub fn name(self) -> &'static str {
        match self {
            Self::MachineCpu => "the CPU of this machine is used up",
            Self::ProducerThread => "the thread of the producer uses a whole core",
            Self::NotCpu => "there is CPU left, so it waits for something else",
            Self::Unknown => "whether CPU is the reason is not known, as that of the servers is not measured",
        }
    }
}

/// `figures` are of a probe that broke, on a machine with `cores`.
pub fn saturation(figures: &ProbeFigures, cores: usize) -> Saturation {
    let (component, rule) = component(figures);
    let (limit, cpu) = limit(figures, component, cores as f64);
    Saturation { component, limit, evidence: vec![rule, cpu] }
}

fn component(figures: &ProbeFigures) -> (Component, String) {
    let summary = &figures.summary;
    let (ack, stored) = (figures.ack.p99, figures.stored.at_quantile(0.99).unwrap_or(0.0));
    if summary.verdict == Verdict::GeneratorLimited && summary.queue_full == 0 {
        let lateness = summary.lateness_ms.p99;
        let rule = format!("the producer sent late (lateness p99 {lateness:.0} ms) while its queue had room");
        return (Component::Generator, rule);
    }
    if summary.queue_full > 0 || summary.verdict == Verdict::BrokerLimited || ack > MOST * stored {
        let rule = format!(
            "acknowledgements were late: p99 {ack:.0} of {stored:.0} ms to stored, up to {} orders in flight, the \
             producer's queue full {} times",
            figures.max_in_flight, summary.queue_full
        );
        return (Component::Brokers, rule);
    }
    let stage = |name: &str| figures.stages.get(name).copied().unwrap_or(0.0);
    let (insert, own) = (stage("insert"), stage("decode") + stage("enrich"));
    let rule = format!(
        "orders waited behind the brokers: a batch spent {insert:.1} ms in the insert and {own:.1} ms in decoding and \
         enriching (medians), {:.1} ms in the queue before",
        stage("queue")
    );
    (if insert > own { Component::Database } else { Component::Consumers }, rule)
}

fn limit(figures: &ProbeFigures, component: Component, cores: f64) -> (Limit, String) {
    let cpu = &figures.cpu;
    let share = |(name, share): (&str, Option<f64>)| Some(format!("{name} {:.2}", share?));
    let shares: Vec<String> = cpu.by_name().into_iter().filter_map(share).collect();
    let machine = figures.machine_cores.unwrap_or_else(|| cpu.total()).max(cpu.total()).min(cores);
    let elsewhere = machine - cpu.total();
    let text = format!(
        "CPU {machine:.2} of {cores} cores: {}, everything else on this machine {:.2}",
        shares.join(", "),
        elsewhere.max(0.0)
    );
    let limit = match component {
        Component::Generator if cpu.producer >= THREAD_FULL => Limit::ProducerThread,
        _ if machine >= MACHINE_FULL * cores => Limit::MachineCpu,
        _ if cpu.has_servers() => Limit::NotCpu,
        _ => Limit::Unknown,
    };
    (limit, text)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{figures::CpuByKind, tests::figures},
        *,
    };

    fn found(change: impl FnOnce(&mut ProbeFigures)) -> (Component, Limit) {
        let mut figures = figures(10_000.0, 400);
        figures.ack.p99 = 12.0;
        figures.stages = [("queue", 90.0), ("decode", 1.0), ("enrich", 2.0), ("insert", 30.0)].into();
        let [brokers, postgres, redis] = [0.3, 0.5, 0.0].map(Some);
        figures.cpu = CpuByKind { producer: 0.2, brokers, consumers: 0.2, postgres, redis, others: 0.1 };
        change(&mut figures);
        let found = saturation(&figures, 2);
        assert_eq!(found.evidence.len(), 2, "{found:?}");
        (found.component, found.limit)
    }

    #[test]
    fn it_is_where_orders_wait_and_why_they_do() {
        assert_eq!(found(|_| {}), (Component::Database, Limit::NotCpu));
        assert_eq!(found(|it| it.cpu.postgres = Some(1.1)), (Component::Database, Limit::MachineCpu));
        assert_eq!(found(|it| it.machine_cores = Some(1.7)), (Component::Database, Limit::NotCpu));
        assert_eq!(
            found(|it| it.machine_cores = Some(1.9)),
            (Component::Database, Limit::MachineCpu),
            "other programs"
        );
        let elsewhere = |it: &mut ProbeFigures| (it.cpu.brokers, it.cpu.postgres) = (None, None);
        assert_eq!(found(elsewhere), (Component::Database, Limit::Unknown));
        let enriching = |it: &mut ProbeFigures| it.stages.extend([("enrich", 50.0)]);
        assert_eq!(found(enriching), (Component::Consumers, Limit::NotCpu));
        assert_eq!(found(|it| it.ack.p99 = 300.0).0, Component::Brokers);
        assert_eq!(found(|it| it.summary.queue_full = 3).0, Component::Brokers);
        assert_eq!(found(|it| it.summary.verdict = Verdict::BrokerLimited).0, Component::Brokers);
        let late = |it: &mut ProbeFigures| it.summary.verdict = Verdict::GeneratorLimited;
        assert_eq!(found(late), (Component::Generator, Limit::NotCpu));
        let busy = |it: &mut ProbeFigures| {
            late(it);
            it.cpu.producer = 0.98;
        };
        assert_eq!(found(busy), (Component::Generator, Limit::ProducerThread));
        // A producer is late when its queue is full, too: then the brokers are what limits it.
        let full = |it: &mut ProbeFigures| {
            late(it);
            it.summary.queue_full = 9;
        };
        assert_eq!(found(full).0, Component::Brokers);
    }
}
