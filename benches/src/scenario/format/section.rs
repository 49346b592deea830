use super::tree::{Key, Node, Value};
use crate::scenario::error::{Problem, Span, list, suggestion};

/// The keys of the file outside of any table.
pub const TOP_LEVEL: [&str; 7] =
    ["description", "require", "several-brokers-down", "load", "phases", "faults", "chaos"];

/// A table that has known keys only.
pub struct Section<'a> {
    /// As it is written in the file, such as `[load]` or `[[faults]]`.
    name: String,
    span: &'a Span,
    entries: &'a [(Key, Node)],
}

impl<'a> Section<'a> {
    /// Refuses what is no table, and unknown keys.
    pub fn new(name: impl Into<String>, node: &'a Node, known: &[&str]) -> Result<Self, Problem> {
        let name = name.into();
        let Value::Table(entries) = &node.value else {
            let label = format!("expected a table, found {}", node.value.type_name());
            let help = format!("its keys are: {}", list(known));
            return Err(Problem::new(&node.span, format!("{name} must be a table"), label).help(help));
        };
        match entries.iter().find(|(key, _)| !known.contains(&key.name.as_str())) {
            Some((key, _)) => Err(unknown_key(&name, key, known)),
            None => Ok(Self { name, span: &node.span, entries }),
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|(_, node)| node)
    }

    pub fn entry(&self, key: &str) -> Option<&'a (Key, Node)> {
        self.entries.iter().find(|(entry, _)| entry.name == key)
    }

    /// The value of a key that must be there; `example` is the line that is missing.
    pub fn required(&self, key: &str, example: &str) -> Result<&'a Node, Problem> {
        self.get(key).ok_or_else(|| {
            let message = format!("{} has no `{key}`", self.name);
            Problem::new(self.span, message, format!("`{key}` is missing")).help(format!("add a line: {example}"))
        })
    }
}

fn unknown_key(section: &str, key: &Key, known: &[&str]) -> Problem {
    let message = match section {
        "the scenario" => format!("unknown key `{}`", key.name),
        section => format!("unknown key `{}` in {section}", key.name),
    };
    let help = match TOP_LEVEL.contains(&key.name.as_str()) {
        true => format!("`{}` belongs to the top of the file, before the first table", key.name),
        false => suggestion(&key.name, known, "the keys are"),
    };
    Problem::new(&key.span, message, "unknown key").help(help)
}
