use std::time::Duration;

use super::{section::Section, tree::Node, values};
use crate::{
    fault::{Fault, FaultKind, Target},
    scenario::{
        error::{Problem, Span, list, similar},
        model::TimedFault,
    },
};

/// A fault, and where its parts are written.
#[derive(Clone, Debug)]
pub struct WrittenFault {
    pub timed: TimedFault,
    pub at: Span,
    /// `for`, or `at` without it.
    pub end: Span,
    /// What is broken: `target`, or `action` without it.
    pub subject: Span,
}

const KEYS: [&str; 8] = ["at", "action", "target", "for", "delay", "offset", "table", "consumers"];
const EXPECTED: &str = "tables: [[faults]] with at, action and target";
/// Tables that a fault can lock.
const TABLES: [&str; 3] = ["orders", "users", "products"];
const MAX_CONSUMERS: u16 = 64;

pub fn read(node: Option<&Node>) -> Result<Vec<WrittenFault>, Vec<Problem>> {
    let nodes = node.map_or(Ok(&[][..]), |node| values::elements(node, "faults", EXPECTED));
    let (mut faults, mut problems) = (Vec::new(), Vec::new());
    for node in nodes.map_err(|problem| vec![problem])? {
        match read_fault(node) {
            Ok(fault) => faults.push(fault),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(faults) } else { Err(problems) }
}

fn read_fault(node: &Node) -> Result<WrittenFault, Problem> {
    let section = Section::new("[[faults]]", node, &KEYS)?;
    let at = section.required("at", "at = \"20s\"")?;
    let action = section.required("action", "action = \"kill\"")?;
    let kinds = FaultKind::ALL.map(|kind| (kind.name(), kind));
    let kind = values::choice(action, "action", &kinds)?;
    refuse_other_keys(&section, kind)?;
    let target = || target(section.required("target", "target = \"kafka-2\"")?);
    let fault = match kind {
        FaultKind::Kill => Fault::Kill(target()?),
        FaultKind::Stop => Fault::Stop(target()?),
        FaultKind::Pause => Fault::Pause(target()?),
        FaultKind::Restart => Fault::Restart(target()?),
        FaultKind::KillBackend => Fault::KillBackend,
        FaultKind::ScaleConsumers => {
            let number = section.required("consumers", "consumers = 9")?;
            Fault::ScaleConsumers(values::count(number, "consumers", MAX_CONSUMERS)?)
        }
        FaultKind::SlowLink => {
            let delay = section.required("delay", "delay = \"50ms\"")?;
            Fault::SlowLink { target: target()?, delay: values::duration(delay, "delay")? }
        }
        FaultKind::CutLink => Fault::CutLink(target()?),
        FaultKind::ResetLink => Fault::ResetLink(target()?),
        FaultKind::BlackHoleLink => Fault::BlackHoleLink(target()?),
        FaultKind::FillDisk => Fault::FillDisk,
        FaultKind::SkewClock => {
            let offset = section.required("offset", "offset = \"+5s\"")?;
            Fault::SkewClock { target: target()?, offset_ms: values::offset(offset, "offset")? }
        }
        FaultKind::LockTable => {
            let table = section.required("table", "table = \"orders\"")?;
            Fault::LockTable { table: values::choice(table, "table", &TABLES.map(|table| (table, table)))?.to_owned() }
        }
    };
    let subject = section.get("target").unwrap_or(action);
    check_target(&fault, &subject.span)?;
    let lasting = lasting(&section, &fault, &action.span)?;
    Ok(WrittenFault {
        at: at.span.clone(),
        end: section.get("for").map_or(&at.span, |node| &node.span).clone(),
        subject: subject.span.clone(),
        timed: TimedFault { at: values::time(at, "at")?, lasting, fault },
    })
}

/// Refuses parameters that the action does not have.
fn refuse_other_keys(section: &Section<'_>, kind: FaultKind) -> Result<(), Problem> {
    let takes: &[&str] = match kind {
        FaultKind::Kill | FaultKind::Stop | FaultKind::Pause | FaultKind::CutLink | FaultKind::BlackHoleLink => {
            &["target", "for"]
        }
        FaultKind::Restart | FaultKind::ResetLink => &["target"],
        FaultKind::KillBackend => &[],
        FaultKind::ScaleConsumers => &["consumers", "for"],
        FaultKind::SlowLink => &["target", "delay", "for"],
        FaultKind::FillDisk => &["for"],
        FaultKind::SkewClock => &["target", "offset", "for"],
        FaultKind::LockTable => &["table", "for"],
    };
    let unexpected = KEYS[2..].iter().filter(|key| !takes.contains(key)).find_map(|key| section.entry(key));
    let Some((key, _)) = unexpected else { return Ok(()) };
    let label = match (key.name.as_str(), kind) {
        ("for", _) => "it has no duration",
        ("target", FaultKind::KillBackend | FaultKind::LockTable) => "it is always postgres",
        _ => "not a parameter of this action",
    };
    let help = match takes {
        [] => format!("`{kind}` needs only `at`"),
        takes => format!("`{kind}` has `at` and {}", list(takes)),
    };
    Err(Problem::new(&key.span, format!("`{kind}` has no `{}`", key.name), label).help(help))
}

fn target(node: &Node) -> Result<Target, Problem> {
    const NAMES: [&str; 8] =
        ["kafka-1", "kafka-2", "kafka-3", "redis", "postgres", "cache-worker", "consumer-1", "producer-1"];
    let text = values::text(node, "target")?;
    let number = |prefix: &str| text.strip_prefix(prefix)?.parse::<u16>().ok();
    let numbered = |prefix, target: fn(u16) -> Target| number(prefix).filter(|number| *number > 0).map(target);
    let broker = number("kafka-").filter(|number| (1..=3).contains(number)).map(|number| Target::Broker(number as u8));
    let named = match text {
        "redis" => Some(Target::Redis),
        "postgres" => Some(Target::Postgres),
        "cache-worker" => Some(Target::CacheWorker),
        _ => None,
    };
    let found = named
        .or(broker)
        .or_else(|| numbered("consumer-", Target::Consumer))
        .or_else(|| numbered("producer-", Target::Producer));
    found.ok_or_else(|| {
        let problem = Problem::new(&node.span, format!("there is no target \"{text}\""), "not a server or program");
        let help = "the targets are kafka-1 to kafka-3, redis, postgres, cache-worker, consumer-1 and so on, and \
                    producer-1 and so on";
        match similar(text, NAMES) {
            Some(name) => problem.help(format!("did you mean \"{name}\"? {help}")),
            None => problem.help(help),
        }
    })
}

/// Refuses an action that its target can't have.
fn check_target(fault: &Fault, span: &Span) -> Result<(), Problem> {
    let Some(target) = fault.target() else { return Ok(()) };
    let problem =
        |label: &str| Err(Problem::new(span, format!("`{}` can't have the target {target}", fault.kind()), label));
    match fault {
        Fault::SlowLink { .. } | Fault::CutLink(_) | Fault::ResetLink(_) | Fault::BlackHoleLink(_)
            if !target.is_server() =>
        {
            problem("a link leads to a server: kafka-1 to kafka-3, redis or postgres")
        }
        Fault::SkewClock { .. } if target.is_server() => problem("only a program can have another clock"),
        Fault::Stop(Target::Producer(_)) | Fault::Restart(Target::Producer(_)) => {
            problem("a producer can't go on with a schedule that it left: use kill or pause")
        }
        _ => Ok(()),
    }
}

/// The duration of a fault: required where something has to be undone.
fn lasting(section: &Section<'_>, fault: &Fault, action: &Span) -> Result<Option<Duration>, Problem> {
    let node = section.get("for");
    let kind = fault.kind();
    match (fault, node) {
        (_, Some(node)) => values::duration(node, "for").map(Some),
        (
            Fault::Restart(_)
            | Fault::KillBackend
            | Fault::ResetLink(_)
            | Fault::ScaleConsumers(_)
            | Fault::Kill(Target::Producer(_)),
            None,
        ) => Ok(None),
        (_, None) => Err(Problem::new(action, format!("`{kind}` needs a duration"), "when is it undone?")
            .help("add a line: for = \"10s\"")),
    }
}
