//! The format of a scenario file: TOML, in which every key is known and every value has a range.

mod chaos;
mod fault_rules;
mod faults;
mod lifecycle;
mod load;
mod overrides;
mod phases;
mod requirements;
mod section;
mod tree;
mod values;

use std::str::FromStr;

use shared::requirement::Requirement;
use toml_edit::Document;

pub use self::overrides::Overrides;
use self::{
    faults::WrittenFault,
    overrides::Override,
    section::{Section, TOP_LEVEL},
    tree::{Node, Tree},
};
use super::{
    error::{Problem, Source, Span},
    model::{Chaos, Load, Phase, TimedFault},
};

/// What is written in the sources of a scenario, checked.
pub struct Written {
    pub description: String,
    pub load: Load,
    pub phases: Vec<Phase>,
    pub faults: Vec<TimedFault>,
    /// With the place of the table.
    pub chaos: Option<(Chaos, Span)>,
    pub requirements: Vec<Requirement>,
    pub several_brokers_down: bool,
    /// The file after all overrides.
    pub text: String,
}

/// Reads the file, which is the first source, and the overrides, which are the others.
pub fn read(sources: &[Source]) -> Result<Written, Vec<Problem>> {
    let (file, arguments) = sources.split_first().expect("a scenario has a file");
    let tree = Tree { source: file, index: 0 };
    let document = Document::parse(file.text.as_str()).map_err(|error| vec![syntax_problem(&tree, &error)])?;
    let mut root = tree.root(document.as_table());
    let overrides = apply(arguments, &mut root)?;
    let mut written = sections(&root)?;
    let mut document = document.into_mut();
    overrides.iter().for_each(|value| value.edit(&mut document));
    written.text = document.to_string();
    Ok(written)
}

fn apply(arguments: &[Source], root: &mut Node) -> Result<Vec<Override>, Vec<Problem>> {
    let (mut overrides, mut problems) = (Vec::new(), Vec::new());
    for (index, source) in (1..).zip(arguments) {
        let parsed = Override::parse(&Tree { source, index });
        match parsed.and_then(|value| value.apply(root).map(|()| value)) {
            Ok(value) => overrides.push(value),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(overrides) } else { Err(problems) }
}

fn sections(root: &Node) -> Result<Written, Vec<Problem>> {
    let mut problems = Vec::new();
    let file = Section::new("the scenario", root, &TOP_LEVEL).map_err(|problem| vec![problem])?;
    let one = |problem| vec![problem];
    let description = file.required("description", "description = \"What the scenario shows\"");
    let description = keep(description.and_then(|node| values::text(node, "description")).map_err(one), &mut problems);
    let load = keep(load::read(file.get("load")).map_err(one), &mut problems);
    let phases = match file.entry("phases") {
        Some(entry) => phases::read(entry),
        None => file.required("phases", phases::EXAMPLE).map(|_| Vec::new()).map_err(one),
    };
    let phases = keep(phases, &mut problems);
    let faults = keep(faults::read(file.get("faults")), &mut problems);
    let chaos = keep(chaos::read(file.get("chaos")).map_err(one), &mut problems);
    let requirements = file.get("require").map_or(Ok(Vec::new()), requirements::read);
    let requirements = keep(requirements, &mut problems);
    let several = file.get("several-brokers-down");
    let several = several.map_or(Ok(false), |node| values::boolean(node, "several-brokers-down"));
    let several_brokers_down = keep(several.map_err(one), &mut problems).unwrap_or_default();
    if let (Some(load), Some(phases), Some(faults)) = (&load, &phases, &faults) {
        let length = phases.iter().map(|phase| phase.duration).sum();
        problems.extend(fault_rules::check(faults, load, length, several_brokers_down));
    }
    let (Some(description), Some(load), Some(phases), Some(faults), Some(chaos), Some(requirements), true) =
        (description, load, phases, faults, chaos, requirements, problems.is_empty())
    else {
        problems.sort_by_key(|problem| (problem.span.source, problem.span.range.start));
        return Err(problems);
    };
    Ok(Written {
        description: description.to_owned(),
        load,
        phases,
        faults: in_order(faults),
        chaos: chaos.zip(file.entry("chaos").map(|(key, _)| key.span.clone())),
        requirements,
        several_brokers_down,
        text: String::new(),
    })
}

fn in_order(faults: Vec<WrittenFault>) -> Vec<TimedFault> {
    let mut faults: Vec<TimedFault> = faults.into_iter().map(|fault| fault.timed).collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn keep<T>(result: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|found| problems.extend(found)).ok()
}

fn syntax_problem(tree: &Tree<'_>, error: &toml_edit::TomlError) -> Problem {
    let text = &tree.source.text;
    let range = error.span().unwrap_or(0..0);
    let problem = Problem::new(&tree.span(range.clone()), "not valid TOML", error.message().replace('\n', ", "));
    let line_start = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    // A value without quotes is the most frequent error.
    let unquoted = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())).filter(|(_, value)| {
        value.chars().all(|c| c.is_alphanumeric() || "-. ".contains(c)) && toml_edit::Value::from_str(value).is_err()
    });
    match unquoted {
        Some((key, value)) if !value.is_empty() => problem.help(format!("did you mean `{key} = \"{value}\"`?")),
        _ => problem,
    }
}
