//! What only holds for all faults together: their targets exist at their times, and they do not interfere.

use std::time::Duration;

use humantime::format_duration;

use super::faults::WrittenFault;
use crate::{
    fault::{Fault, Target, in_force::conflict},
    scenario::{
        consumers::ConsumerCounts,
        error::Problem,
        model::{Load, TimedFault},
    },
};

/// Checks all faults against the programs, the length of the schedule, and each other.
pub fn check(faults: &[WrittenFault], load: &Load, length: Duration, several_brokers_down: bool) -> Vec<Problem> {
    let mut in_order: Vec<&WrittenFault> = faults.iter().collect();
    in_order.sort_by_key(|fault| fault.timed.at);
    let timed: Vec<TimedFault> = in_order.iter().map(|fault| fault.timed.clone()).collect();
    let consumers = ConsumerCounts::new(load.consumers, &timed);
    let mut problems = Vec::new();
    for (index, fault) in in_order.iter().enumerate() {
        let earlier = &in_order[..index];
        let problem = outside(fault, length)
            .or_else(|| absent(fault, load, &consumers))
            .or_else(|| same_subject(fault, earlier))
            .or_else(|| if several_brokers_down { None } else { second_broker(fault, earlier) });
        problems.extend(problem);
    }
    problems
}

fn outside(fault: &WrittenFault, length: Duration) -> Option<Problem> {
    let timed = &fault.timed;
    let ends_at = format!("the schedule ends at {}", format_duration(length));
    let help = "move the fault, or make a phase longer";
    if timed.at >= length {
        let message = format!("`{}` begins after the schedule", timed.fault);
        return Some(Problem::new(&fault.at, message, ends_at).help(help));
    }
    let end = timed.at + timed.lasting?;
    (end > length).then(|| {
        let message = format!("`{}` ends at {}, after the schedule", timed.fault, format_duration(end));
        Problem::new(&fault.end, message, ends_at).help(help)
    })
}

fn absent(fault: &WrittenFault, load: &Load, consumers: &ConsumerCounts) -> Option<Problem> {
    let timed = &fault.timed;
    match timed.fault.target()? {
        Target::Producer(number) if number > load.producers => {
            let message = format!("there is no producer-{number}");
            let label = format!("load.producers is {}", load.producers);
            Some(Problem::new(&fault.subject, message, label))
        }
        Target::Consumer(number) => {
            let count = consumers.fewest(timed.at, timed.at + timed.lasting.unwrap_or_default());
            (number > count).then(|| {
                let message = format!("there is no consumer-{number} at {}", format_duration(timed.at));
                let label = match count {
                    1 => "only consumer-1 runs then".to_owned(),
                    count => format!("consumer-1 to consumer-{count} run then"),
                };
                let help = format!("load.consumers is {}; `scale-consumers` changes the number", load.consumers);
                Problem::new(&fault.subject, message, label).help(help)
            })
        }
        _ => None,
    }
}

fn same_subject(fault: &WrittenFault, earlier: &[&WrittenFault]) -> Option<Problem> {
    let timed = &fault.timed;
    let excludes = |other: &TimedFault| other.subject() == timed.subject() || conflict(&other.fault, &timed.fault);
    let is_in_force =
        |other: &&&WrittenFault| excludes(&other.timed) && (other.timed.end() > timed.at || other.timed.at == timed.at);
    let other = earlier.iter().find(is_in_force)?;
    let message = format!("`{}` begins while `{}` is in force", timed.fault, other.timed.fault);
    let label = format!("in force until {}", format_duration(other.timed.end()));
    let help = match other.timed.fault {
        Fault::Restart(_) | Fault::KillBackend => "a restart may take 10 s: let it end before",
        _ => "let the first one end before",
    };
    Some(Problem::new(&fault.at, message, "too early").context(&other.subject, label).help(help))
}

fn second_broker(fault: &WrittenFault, earlier: &[&WrittenFault]) -> Option<Problem> {
    let timed = &fault.timed;
    let (broker, _) = timed.broker_down()?;
    let (other, until) = earlier.iter().find_map(|other| {
        let (down, until) = other.timed.broker_down()?;
        (down != broker && until > timed.at).then_some((other, until))
    })?;
    let message = format!("`{}` at {}: two brokers would be down", timed.fault, format_duration(timed.at));
    let label = format!("down, or its replicas not in sync, until {}", format_duration(until));
    Some(
        Problem::new(&fault.at, message, "too early")
            .context(&other.subject, label)
            .help("a write needs two of three replicas; `several-brokers-down = true` allows this fault"),
    )
}
