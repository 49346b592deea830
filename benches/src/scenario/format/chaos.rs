use std::time::Duration;

use super::{section::Section, tree::Node, values};
use crate::{
    fault::FaultKind,
    scenario::{error::Problem, model::Chaos},
};

/// With a shorter pause, the recovery from a fault can't be told from the next fault.
const MIN_PAUSE: Duration = Duration::from_secs(3);

pub fn read(node: Option<&Node>) -> Result<Option<Chaos>, Problem> {
    let Some(node) = node else { return Ok(None) };
    let section = Section::new("[chaos]", node, &["every", "kinds"])?;
    let every = section.required("every", "every = \"8s\"")?;
    let pause = values::duration(every, "every")?;
    if pause < MIN_PAUSE {
        let label = "expected at least \"3s\"";
        let help = "the time after a fault shows how the pipeline recovers";
        return Err(Problem::new(&every.span, "the faults of `[chaos]` are too close", label).help(help));
    }
    let choices = FaultKind::ALL.map(|kind| (kind.name(), kind));
    let kinds = match section.get("kinds") {
        Some(node) => values::elements(node, "kinds", "a list of actions, such as [\"kill\", \"pause\"]")?
            .iter()
            .map(|node| values::choice(node, "kinds", &choices))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(Some(Chaos { every: pause, kinds }))
}
