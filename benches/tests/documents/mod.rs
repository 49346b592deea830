//! Reads the documents and the code that they describe.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A line of a document.
pub struct Line {
    pub file: PathBuf,
    number: usize,
    pub text: String,
    /// Whether the line is inside a fenced code block.
    pub is_code: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.number)
    }
}

impl Line {
    /// The cells of a row of a table.
    pub fn cells(&self) -> Option<Vec<&str>> {
        let row = self.text.strip_prefix('|')?.strip_suffix('|')?;
        (!self.is_code).then(|| row.split('|').map(str::trim).collect())
    }

    /// The code on the line: all of it in a block, else what is between backticks.
    pub fn code(&self) -> Vec<&str> {
        if self.is_code { vec![&self.text] } else { self.text.split('`').skip(1).step_by(2).collect() }
    }

    /// The targets of the links on the line.
    pub fn links(&self) -> Vec<&str> {
        let prose = self.text.split('`').step_by(2).filter(|_| !self.is_code);
        let targets = prose.flat_map(|text| text.split("](").skip(1));
        targets.filter_map(|target| target.split_once(')').map(|(target, _)| target)).collect()
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn read(file: impl AsRef<Path>) -> Vec<Line> {
    let file = file.as_ref();
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut in_block = false;
    let line = |(number, text): (usize, &str)| {
        let is_fence = text.starts_with("```");
        in_block ^= is_fence;
        Line { file: file.to_owned(), number, text: text.to_owned(), is_code: in_block && !is_fence }
    };
    (1..).zip(text.lines()).map(line).collect()
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| Path::new("docs").join(entry.unwrap().file_name()))
        .filter(|page| page.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

/// The lines of all documents with examples.
pub fn documents() -> Vec<Line> {
    let files = ["README.md", "CONTRIBUTING.md"].map(PathBuf::from).into_iter().chain(pages());
    files.flat_map(read).collect()
}

/// All files below `folder` whose path `is_wanted`.
fn sources(folder: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(sources(&path, is_wanted)),
            false if is_wanted(&path) => found.push(path),
            false => {}
        }
    }
    found
}

/// The Rust code of all crates, tests excluded.
pub fn code() -> Vec<(PathBuf, String)> {
    let members = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let folders = members.filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| sources(&folder, &|path| path.extension().is_some_and(|it| it == "rs")));
    files.map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}
