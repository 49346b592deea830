use std::str::FromStr;

use toml_edit::{DocumentMut, Item};

use super::tree::{Key, Node, Tree, Value};
use crate::scenario::error::{Problem, Source, Span, suggestion};

/// Values of the command line that have priority over those of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `KEY=VALUE` each: a dotted key, in which an element of a list is a number from 0, and a value of TOML. A value
    /// that is not TOML is a string.
    pub set: Vec<String>,
    /// Instead of `load.seed`.
    pub seed: Option<u64>,
}

impl Overrides {
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        let set = self.set.iter().map(|text| Source { name: "--set".to_owned(), text: text.clone() });
        let seed = self.seed.map(|seed| Source { name: "--seed".to_owned(), text: format!("load.seed={seed}") });
        set.chain(seed)
    }
}

/// An argument `--set`, parsed.
pub struct Override {
    path: Vec<Key>,
    node: Node,
    value: toml_edit::Value,
}

impl Override {
    pub fn parse(tree: &Tree<'_>) -> Result<Self, Problem> {
        let text = tree.source.text.as_str();
        let whole = || tree.span(0..text.len());
        let Some((key, value)) = text.split_once('=') else {
            let example = "such as phases.steady.rate=2000";
            return Err(Problem::new(&whole(), "`--set` needs KEY=VALUE", example));
        };
        let key_end = key.trim_end().len();
        let path: Vec<Key> = toml_edit::Key::parse(key)
            .map_err(|error| {
                let range = error.span().filter(|range| range.end <= key_end).unwrap_or(0..key_end);
                Problem::new(&tree.span(range), "`--set` has no valid key", error.message().replace('\n', ", "))
                    .help("a key is names with dots between them, such as `phases.steady.rate` or `faults.0.at`")
            })?
            .iter()
            .scan(0, |searched, part| {
                // The parts have no places of their own.
                let start = *searched + key[*searched..].find(part.get()).unwrap_or(0);
                *searched = (start + part.get().len()).min(key.len());
                Some(Key { name: part.get().to_owned(), span: tree.span(start..*searched) })
            })
            .collect();
        let span = tree.span(text.len() - value.trim_start().len()..text.trim_end().len());
        let value = value.trim();
        let value = toml_edit::Value::from_str(value).unwrap_or_else(|_| value.into());
        let node = locate(tree.value(&value, &span), &span);
        Ok(Self { path, node, value })
    }

    /// Puts the value into the scenario.
    pub fn apply(&self, root: &mut Node) -> Result<(), Problem> {
        let mut node = root;
        let mut parent = "";
        for key in &self.path {
            node = match &mut node.value {
                Value::Table(entries) => {
                    let found = entries.iter().position(|(entry, _)| entry.name == key.name);
                    if found.is_none() && parent == "phases" {
                        let names: Vec<&str> = entries.iter().map(|(key, _)| key.name.as_str()).collect();
                        let message = format!("the scenario has no phase `{}`", key.name);
                        let help = suggestion(&key.name, &names, "its phases are");
                        return Err(Problem::new(&key.span, message, "not a phase").help(help));
                    }
                    let index = found.unwrap_or_else(|| {
                        let empty = Node { value: Value::Table(Vec::new()), span: key.span.clone() };
                        entries.push((key.clone(), empty));
                        entries.len() - 1
                    });
                    &mut entries[index].1
                }
                Value::Array(nodes) => {
                    let count = nodes.len();
                    let index = key.name.parse::<usize>().ok().filter(|index| *index < count);
                    let Some(index) = index else {
                        let message = format!("`{parent}` has no element `{}`", key.name);
                        return Err(Problem::new(&key.span, message, elements(parent, count)));
                    };
                    &mut nodes[index]
                }
                other => {
                    let message = format!("`{parent}` is {} and has no keys", other.type_name());
                    return Err(Problem::new(&key.span, message, "no such key"));
                }
            };
            parent = &key.name;
        }
        *node = self.node.clone();
        Ok(())
    }

    /// Puts the value into the text of the scenario.
    pub fn edit(&self, document: &mut DocumentMut) {
        let mut item = document.as_item_mut();
        for key in &self.path {
            item = match key.name.parse::<usize>() {
                Ok(index) if item.is_array() || item.is_array_of_tables() => &mut item[index],
                _ => &mut item[key.name.as_str()],
            };
        }
        let mut value = self.value.clone();
        if let Some(old) = item.as_value() {
            *value.decor_mut() = old.decor().clone();
        }
        *item = Item::Value(value);
    }
}

fn elements(name: &str, count: usize) -> String {
    match count {
        0 => format!("`{name}` is empty"),
        1 => format!("`{name}.0` is the only one"),
        count => format!("`{name}.0` to `{name}.{}` exist", count - 1),
    }
}

/// Every part of a value of the command line is where the value is written.
fn locate(mut node: Node, span: &Span) -> Node {
    node.span = span.clone();
    node.value = match node.value {
        Value::Array(nodes) => Value::Array(nodes.into_iter().map(|node| locate(node, span)).collect()),
        Value::Table(entries) => {
            let located = |(key, node): (Key, Node)| (Key { name: key.name, span: span.clone() }, locate(node, span));
            Value::Table(entries.into_iter().map(located).collect())
        }
        scalar => scalar,
    };
    node
}
