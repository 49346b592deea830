use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A text that a scenario comes from: its file, or an argument that overrides a value.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path of the file, `--set` or `--seed`.
    pub name: String,
    pub text: String,
}

/// A part of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the source; the file is the first one.
    pub source: usize,
    /// Bytes.
    pub range: Range<usize>,
}

/// What is wrong, where, and what would be right.
#[derive(Clone, Debug)]
pub struct Problem {
    pub message: String,
    pub span: Span,
    /// Beside the caret.
    pub label: String,
    /// Another place that the problem is about, with its label.
    pub context: Option<Box<(Span, String)>>,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(span: &Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), span: span.clone(), label: label.into(), context: None, help: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn context(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.context = Some(Box::new((span.clone(), label.into())));
        self
    }

    fn group<'a>(&'a self, sources: &'a [Source]) -> Group<'a> {
        let snippet = |span: &Span| {
            let source = &sources[span.source];
            Snippet::source(&source.text).path(&source.name)
        };
        let mut primary = snippet(&self.span)
            .annotation(AnnotationKind::Primary.span(self.span.range.clone()).label(self.label.as_str()));
        let mut elsewhere = None;
        if let Some((span, label)) = self.context.as_deref() {
            let annotation = AnnotationKind::Context.span(span.range.clone()).label(label.as_str());
            if span.source == self.span.source {
                primary = primary.annotation(annotation);
            } else {
                elsewhere = Some(snippet(span).annotation(annotation));
            }
        }
        let group = Level::ERROR.primary_title(&self.message).element(primary).elements(elsewhere);
        group.elements(self.help.as_ref().map(|help| Level::HELP.message(help)))
    }
}

/// A scenario that can't be run.
#[derive(Debug)]
pub enum ScenarioError {
    /// There is no such file and no such scenario in the library, or the file can't be read.
    Unreadable(String),
    /// The file or an override is wrong.
    Wrong { sources: Vec<Source>, problems: Vec<Problem> },
}

impl std::error::Error for ScenarioError {}

impl fmt::Display for ScenarioError {
    /// Each problem with its file, line, column, the line itself with a caret, and what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(message) => write!(f, "error: {message}"),
            Self::Wrong { sources, problems } => {
                let groups: Vec<Group<'_>> = problems.iter().map(|problem| problem.group(sources)).collect();
                let reports = groups.into_iter().map(|group| Renderer::plain().render(&[group]));
                f.write_str(&reports.collect::<Vec<_>>().join("\n\n"))
            }
        }
    }
}

/// The name among `known` that is most like `written`, if any is.
pub fn similar<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below it, two names have little in common.
    const LIKENESS: f64 = 0.8;
    let likeness = |name: &str| strsim::jaro_winkler(&written.to_lowercase(), name);
    let scored = known.into_iter().map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness >= LIKENESS);
    scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

/// `did you mean …?`, or the names to choose from.
pub fn suggestion(written: &str, known: &[&str], what: &str) -> String {
    match similar(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{what}: {}", list(known)),
    }
}

/// The names in backticks.
pub fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
