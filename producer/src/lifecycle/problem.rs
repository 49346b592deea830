//! What is wrong in the file of a lifecycle, where, and what would be right.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// What is wrong at a place of the text.
#[derive(Clone, Debug)]
pub struct Problem {
    pub message: String,
    /// Bytes of the text.
    pub span: Range<usize>,
    /// Beside the caret.
    pub label: String,
    pub help: String,
}

impl Problem {
    pub fn new(
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { message: message.into(), span, label: label.into(), help: help.into() }
    }
}

/// A file that is no lifecycle.
#[derive(Debug)]
pub struct LifecycleError {
    pub file: String,
    pub text: String,
    pub problem: Box<Problem>,
}

impl std::error::Error for LifecycleError {}

impl fmt::Display for LifecycleError {
    /// The problem with its file, line and column, the line itself with a caret, and what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { message, span, label, help } = self.problem.as_ref();
        let annotation = AnnotationKind::Primary.span(span.clone()).label(label.as_str());
        let snippet = Snippet::source(&self.text).path(&self.file).annotation(annotation);
        let report = Level::ERROR.primary_title(message).element(snippet).element(Level::HELP.message(help));
        let rendered = Renderer::plain().render(&[report]);
        // Whoever prints the error writes this word.
        f.write_str(rendered.strip_prefix("error: ").unwrap_or(&rendered))
    }
}
