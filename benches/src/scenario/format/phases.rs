use super::{
    section::Section,
    tree::{Key, Node, Value},
    values,
};
use crate::scenario::{
    error::Problem,
    model::{Arrival, Phase},
};

pub const EXAMPLE: &str = "[phases.steady] with rate = 1000 and duration = \"30s\"";

pub fn read(phases: &(Key, Node)) -> Result<Vec<Phase>, Vec<Problem>> {
    let (key, node) = phases;
    let entries = match &node.value {
        Value::Table(entries) if !entries.is_empty() => entries,
        Value::Table(_) => {
            return Err(vec![Problem::new(&key.span, "the scenario has no phase", "a phase is missing").help(EXAMPLE)]);
        }
        other => {
            let label = format!("expected tables, found {}", other.type_name());
            return Err(vec![Problem::new(&key.span, "a phase is a table with a name", label).help(EXAMPLE)]);
        }
    };
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for (key, node) in entries {
        match phase(key, node) {
            Ok(phase) => read.push(phase),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        problems.extend(check(key, entries, &read));
    }
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

fn phase(key: &Key, node: &Node) -> Result<Phase, Problem> {
    let name = &key.name;
    let section = Section::new(format!("[phases.{name}]"), node, &["rate", "from", "duration", "arrival", "measured"])?;
    let to = values::rate(section.required("rate", "rate = 1000")?, "rate")?;
    let from = section.get("from").map_or(Ok(to), |node| values::rate(node, "from"))?;
    let arrivals = [("constant", Arrival::Constant), ("poisson", Arrival::Poisson)];
    Ok(Phase {
        name: name.clone(),
        from,
        to,
        duration: values::duration(section.required("duration", "duration = \"30s\"")?, "duration")?,
        arrival: section
            .get("arrival")
            .map_or(Ok(Arrival::default()), |node| values::choice(node, "arrival", &arrivals))?,
        measured: section.get("measured").map_or(Ok(true), |node| values::boolean(node, "measured"))?,
    })
}

/// What only holds for all phases together.
fn check(key: &Key, entries: &[(Key, Node)], phases: &[Phase]) -> Option<Problem> {
    if phases.iter().all(|phase| phase.to == 0.0 && phase.from == 0.0) {
        let label = "no order would be sent";
        return Some(Problem::new(&key.span, "every phase has a rate of 0", label).help("set a rate above 0"));
    }
    let Some(first_measured) = phases.iter().position(|phase| phase.measured) else {
        return Some(
            Problem::new(&key.span, "no phase is measured", "the run would have no figures")
                .help("remove `measured = false` from the phases after the warm-up"),
        );
    };
    if let Some(late) = (first_measured..phases.len()).find(|index| !phases[*index].measured) {
        let (unmeasured, measured) = (&entries[late].0, &entries[first_measured].0);
        let message = format!("the phase `{}` is not measured, and comes after a measured one", unmeasured.name);
        let problem = Problem::new(&unmeasured.span, message, "not measured")
            .context(&measured.span, "measured")
            .help("only the first phases, the warm-up, can be without measurement: move it, or measure it");
        return Some(problem);
    }
    let measured = &phases[first_measured..];
    measured.iter().all(|phase| phase.to == 0.0 && phase.from == 0.0).then(|| {
        let span = &entries[first_measured].0.span;
        Problem::new(span, "the measured phases have a rate of 0", "no order would be measured")
            .help("set a rate above 0, or measure the phases before")
    })
}
