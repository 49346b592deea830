use super::{lifecycle, section::Section, tree::Node, values};
use crate::scenario::{error::Problem, model::Load};

/// Most producers and consumers that a run may start on one machine.
const MAX_PROGRAMS: u16 = 64;

impl Default for Load {
    fn default() -> Self {
        Self { producers: 1, consumers: 3, source: "redis".to_owned(), invalid: 0.0, lifecycle: None, seed: 1 }
    }
}

pub fn read(node: Option<&Node>) -> Result<Load, Problem> {
    let default = Load::default();
    let Some(node) = node else { return Ok(default) };
    let section = Section::new("[load]", node, &["producers", "consumers", "source", "invalid", "lifecycle", "seed"])?;
    let programs = |key, default| section.get(key).map_or(Ok(default), |node| values::count(node, key, MAX_PROGRAMS));
    let source = match section.get("source") {
        Some(node) => values::choice(node, "source", &[("redis", "redis"), ("builtin", "builtin")])?.to_owned(),
        None => default.source,
    };
    Ok(Load {
        producers: programs("producers", default.producers)?,
        consumers: programs("consumers", default.consumers)?,
        source,
        invalid: section.get("invalid").map_or(Ok(default.invalid), |node| values::share(node, "invalid"))?,
        lifecycle: section.get("lifecycle").map_or(Ok(default.lifecycle), lifecycle::read)?,
        seed: section.get("seed").map_or(Ok(default.seed), values::seed)?,
    })
}
