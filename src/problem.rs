//! What is wrong, and where: the one error type of everything that reads sources and writes sites.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;
use std::sync::Arc;

/// A source file as it was read, kept so that a problem can show its line.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user would type it.
    pub path: String,
    /// The text, without a byte order mark.
    pub text: String,
}

/// A range of bytes of a file's text.
pub type Span = Range<usize>;

/// Whether a problem stops the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is written.
    Error,
    /// Worth a look; `--strict` makes it an error.
    Warning,
    /// Something published would change: exit code 3, and no flag overrides it.
    Refusal,
}

/// One problem, at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    place: Place,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Text(Arc<SourceFile>, Span),
    Path(String),
    Nowhere,
}

impl Problem {
    /// An error at a range of a file's text.
    pub fn at(file: &Arc<SourceFile>, span: &Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: Place::Text(Arc::clone(file), span.clone()), message: message.into() }
    }

    /// An error about a file or folder as a whole.
    pub fn of_file(path: impl std::fmt::Display, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: Place::Path(path.to_string()), message: message.into() }
    }

    /// An error that belongs to no file.
    pub fn general(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: Place::Nowhere, message: message.into() }
    }

    /// The same problem as a warning.
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same problem as a refusal to change something published.
    pub fn refusal(self) -> Self {
        Self { severity: Severity::Refusal, ..self }
    }

    /// The same problem, as an error.
    pub fn error(self) -> Self {
        Self { severity: Severity::Error, ..self }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// `path:line:column: message`, or as much of it as there is; then the line shown, with the range marked.
    pub fn render(&self) -> String {
        let word = if self.severity == Severity::Warning { "warning: " } else { "" };
        match &self.place {
            Place::Nowhere => format!("{word}{}", self.message),
            Place::Path(path) => format!("{}: {word}{}", escaped(path), self.message),
            Place::Text(file, span) => {
                let (line, column) = line_and_column(&file.text, span.start);
                format!("{}:{line}:{column}: {word}{}\n{}", file.path, self.message, snippet(&file.text, span))
            }
        }
    }

    /// Files in order of their names, then lines; warnings where they stand.
    pub fn sort(problems: &mut [Problem]) {
        problems.sort_by(|a, b| a.order().cmp(&b.order()));
    }

    fn order(&self) -> (&str, usize, &str) {
        match &self.place {
            Place::Nowhere => ("", 0, &self.message),
            Place::Path(path) => (path, 0, &self.message),
            Place::Text(file, span) => (&file.path, span.start, &self.message),
        }
    }
}

impl From<Problem> for Vec<Problem> {
    fn from(problem: Problem) -> Self {
        vec![problem]
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render())
    }
}

/// One-based line and column (in characters) of a byte offset.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Bytes of the longest line that is shown.
const MAX_SHOWN: usize = 2000;

fn snippet(text: &str, span: &Span) -> String {
    // A mark under one line tells enough; a whole table would bury the message.
    let start = text.floor_char_boundary(span.start);
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
    let end = text.ceil_char_boundary(span.end).clamp(start, line_end.max(start));
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = &text[first..line_end];
    if line.len() > MAX_SHOWN {
        return "  (the line is too long to show)".to_owned();
    }
    let number = text[..first].matches('\n').count() + 1;
    let shown = Snippet::source(line).line_start(number).annotation(AnnotationKind::Primary.span(start - first..end - first));
    let rendered = Renderer::plain().render(&[Group::with_level(Level::ERROR).element(shown)]);
    // The renderer replaces some of what a terminal would take for a command, and not all.
    let visible = |c: char| if crate::words::is_hidden(c) { '\u{fffd}' } else { c };
    let lines = rendered.lines().map(|line| format!("  {}", line.trim_end().chars().map(visible).collect::<String>()));
    lines.filter(|line| line.trim() != "|").collect::<Vec<_>>().join("\n")
}

/// Text that someone else wrote, made safe to show.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if crate::words::is_hidden(c) || (c.is_whitespace() && c != ' ') { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Text that someone else wrote, made safe and short enough to show in a message.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", escaped(text.get(..end).unwrap_or_default())),
        None => escaped(text),
    }
}
