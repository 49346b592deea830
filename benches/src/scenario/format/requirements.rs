use shared::requirement::{InvalidRequirement, Listed, Metric, Requirement};

use super::{tree::Node, values};
use crate::scenario::error::{Problem, similar};

const EXPECTED: &str = "a list, such as [\"stored p99 < 50ms\", \"missing = 0\"]";

pub fn read(node: &Node) -> Result<Vec<Requirement>, Vec<Problem>> {
    let nodes = values::elements(node, "require", EXPECTED).map_err(|problem| vec![problem])?;
    let (mut requirements, mut problems) = (Vec::new(), Vec::new());
    for node in nodes {
        match values::text(node, "require").and_then(|text| requirement(node, text)) {
            Ok(requirement) => requirements.push(requirement),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(requirements) } else { Err(problems) }
}

fn requirement(node: &Node, text: &str) -> Result<Requirement, Problem> {
    text.parse().map_err(|error: InvalidRequirement| {
        let problem = Problem::new(&node.span, error.to_string(), "not a requirement");
        match &error {
            InvalidRequirement::Metric { name, listed: Listed::All } => {
                match similar(name, Metric::ALL.into_iter().map(Metric::name)) {
                    Some(metric) => problem.help(format!("did you mean `{metric}`?")),
                    None => problem,
                }
            }
            _ => problem,
        }
    })
}
