use askama::Template;

/// A table of the page.
#[derive(Template)]
#[template(path = "table.html")]
pub struct Table {
    id: &'static str,
    columns: Vec<Column>,
    rows: Vec<Row>,
}

struct Column {
    title: String,
    align: Align,
}

/// The side of its cells that is aligned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

struct Row {
    cells: Vec<Cell>,
}

/// The text of a cell, and how it is emphasized.
pub struct Cell {
    text: String,
    emphasis: Emphasis,
}

/// What a cell says beside its text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Emphasis {
    #[default]
    None,
    Good,
    Bad,
    /// An explanation.
    Note,
}

impl Emphasis {
    pub fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }

    fn class(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Note => "note",
        }
    }
}

impl Cell {
    pub fn new(text: impl Into<String>, emphasis: Emphasis) -> Self {
        Self { text: text.into(), emphasis }
    }

    fn class(&self) -> &'static str {
        self.emphasis.class()
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Emphasis::None)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Emphasis::None)
    }
}

impl Table {
    pub fn new(id: &'static str, columns: impl IntoIterator<Item = (impl Into<String>, Align)>) -> Self {
        let columns = columns.into_iter().map(|(title, align)| Column { title: title.into(), align }).collect();
        Self { id, columns, rows: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "table {}", self.id);
        self.rows.push(Row { cells });
    }

    fn class(&self, column: &usize) -> &'static str {
        match self.columns[*column].align {
            Align::Left => "",
            Align::Right => "number",
        }
    }
}
