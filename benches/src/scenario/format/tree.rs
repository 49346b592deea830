use std::ops::Range;

use toml_edit::{Item, TableLike};

use crate::scenario::error::{Source, Span};

/// A value and where it is written.
#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    DateTime,
    Array(Vec<Node>),
    Table(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    pub span: Span,
}

impl Value {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::DateTime => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Makes nodes of one source.
pub struct Tree<'a> {
    pub source: &'a Source,
    /// Its index.
    pub index: usize,
}

impl Tree<'_> {
    pub fn span(&self, range: Range<usize>) -> Span {
        Span { source: self.index, range }
    }

    /// The entries of a table in the order in which they are written.
    pub fn entries(&self, table: &dyn TableLike) -> Vec<(Key, Node)> {
        let entry = |(name, item): (&str, &Item)| {
            let span = self.span(table.key(name).and_then(toml_edit::Key::span).unwrap_or_default());
            let node = self.node(item, &span);
            (Key { name: name.to_owned(), span }, node)
        };
        table.iter().filter(|(_, item)| !item.is_none()).map(entry).collect()
    }

    /// The node of a document.
    pub fn root(&self, table: &toml_edit::Table) -> Node {
        Node { value: Value::Table(self.entries(table)), span: self.span(0..0) }
    }

    /// The node of `item`, which `key` leads to. A table is where its key is written.
    fn node(&self, item: &Item, key: &Span) -> Node {
        match item {
            Item::Value(value) => self.value(value, key),
            Item::Table(table) => Node { value: Value::Table(self.entries(table)), span: key.clone() },
            Item::ArrayOfTables(tables) => {
                let header =
                    |table: &toml_edit::Table| table.span().map_or(key.clone(), |range| self.first_line(range));
                let nodes =
                    tables.iter().map(|table| Node { value: Value::Table(self.entries(table)), span: header(table) });
                Node { value: Value::Array(nodes.collect()), span: key.clone() }
            }
            Item::None => Node { value: Value::Array(Vec::new()), span: key.clone() },
        }
    }

    /// The node of `value`; `enclosing` is its place when it has none.
    pub fn value(&self, value: &toml_edit::Value, enclosing: &Span) -> Node {
        let span = value.span().map_or(enclosing.clone(), |range| self.span(range));
        let value = match value {
            toml_edit::Value::String(text) => Value::String(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
            toml_edit::Value::Float(number) => Value::Float(*number.value()),
            toml_edit::Value::Boolean(boolean) => Value::Bool(*boolean.value()),
            toml_edit::Value::Datetime(_) => Value::DateTime,
            toml_edit::Value::Array(values) => {
                Value::Array(values.iter().map(|value| self.value(value, &span)).collect())
            }
            toml_edit::Value::InlineTable(table) => Value::Table(self.entries(table)),
        };
        Node { value, span }
    }

    fn first_line(&self, range: Range<usize>) -> Span {
        let text = &self.source.text[range.clone()];
        self.span(range.start..range.start + text.find('\n').unwrap_or(text.len()))
    }
}
