//! Reading words out of a tree: every field is asked for by name, every problem noted, nothing skipped in silence.

use super::yaml::{Key, Kind, Node};
use crate::problem::{Problem, SourceFile, Span};
use crate::words::{Expected, Word};
use std::sync::Arc;

/// So many unknown keys of a table are told one by one.
const MAX_UNKNOWN: usize = 20;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file's text.
    pub span: Span,
}

/// One file being read, and what is wrong with it so far.
pub struct Reader<'a> {
    pub file: &'a Arc<SourceFile>,
    pub problems: &'a mut Vec<Problem>,
}

/// A table whose fields are being taken; what is left when it is closed was not expected.
pub struct Table<'n> {
    path: String,
    pub span: Span,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
}

/// The dotted path of a value, put together only when a message needs it.
#[derive(Clone, Copy)]
struct Path<'a> {
    table: &'a str,
    name: &'a str,
}

impl Path<'_> {
    /// `artifacts.macos-arm64.sha256: `, or nothing at the top.
    fn before_message(self) -> String {
        let path = self.to_string();
        if path.is_empty() { path } else { format!("{path}: ") }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = if self.table.is_empty() || self.name.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}", self.table, self.name)
    }
}

impl<'n> Table<'n> {
    /// Where one of its fields is.
    fn at<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path { table: &self.path, name }
    }

    fn path_of(&self, name: &str) -> String {
        self.at(name).to_string()
    }

    /// Whether the field was written at all, even wrongly.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.text == name)
    }

    /// The value of a field, `None` when it is absent.
    fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }
}

impl<'a> Reader<'a> {
    /// Notes a problem at a place of this file.
    pub fn problem(&mut self, span: &Span, message: impl Into<String>) {
        self.problems.push(Problem::at(self.file, span, message));
    }

    fn mismatch(&mut self, path: Path<'_>, node: &Node, expected: Expected) {
        let before = path.before_message();
        self.problem(&node.span, format!("{before}expected {expected}, found {}", node.describe()));
    }

    /// Opens a table; a value that is none is a problem.
    pub fn table<'n>(&mut self, node: &'n Node, path: &str) -> Option<Table<'n>> {
        self.open(node, Path { table: path, name: "" })
    }

    fn open<'n>(&mut self, node: &'n Node, path: Path<'_>) -> Option<Table<'n>> {
        match &node.kind {
            Kind::Map(entries) => Some(Table { path: path.to_string(), span: node.span.clone(), entries, known: Vec::new() }),
            _ => {
                self.mismatch(path, node, "a table of `key: value` lines");
                None
            }
        }
    }

    /// Closes a table: every field that nobody asked for is a problem, with the nearest known name.
    pub fn close(&mut self, table: Table<'_>) {
        let unknown: Vec<&Key> =
            table.entries.iter().map(|(key, _)| key).filter(|key| !table.known.contains(&key.text.as_str())).collect();
        let mut known = table.known.clone();
        known.sort_unstable();
        known.dedup();
        for key in unknown.iter().take(MAX_UNKNOWN) {
            let path = table.path_of(&crate::problem::shown(&key.text));
            self.problem(&key.span, format!("{path}: unknown key{}", suggestion(&key.text, &known)));
        }
        if let Some(key) = unknown.get(MAX_UNKNOWN) {
            self.problem(&key.span, format!("{} more unknown keys", unknown.len() - MAX_UNKNOWN));
        }
    }

    /// Says that a field is missing from a table.
    pub fn missing(&mut self, table: &Table<'_>, name: &str) {
        let span = table.span.start..table.span.start;
        self.problem(&span, format!("{}: missing", table.path_of(name)));
    }

    /// A word; absent is `None`, null or anything else is a problem.
    pub fn word<T: Word>(&mut self, table: &mut Table<'_>, name: &'static str) -> Option<At<T>> {
        self.parsed(table, name, T::parse)
    }

    /// A word that must be there.
    pub fn required<T: Word>(&mut self, table: &mut Table<'_>, name: &'static str) -> Option<At<T>> {
        if table.take(name).is_none() {
            self.missing(table, name);
        }
        self.word(table, name)
    }

    /// As [`Reader::word`], with a parser of its own.
    pub fn parsed<T>(
        &mut self,
        table: &mut Table<'_>,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<At<T>> {
        let node = table.take(name)?;
        self.parse_node(node, table.at(name), parse)
    }

    /// As [`Reader::parsed`], where null means absent.
    pub fn nullable<T>(
        &mut self,
        table: &mut Table<'_>,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<At<T>> {
        let node = table.take(name).filter(|node| !node.is_null())?;
        self.parse_node(node, table.at(name), parse)
    }

    fn parse_node<T>(&mut self, node: &Node, path: Path<'_>, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<At<T>> {
        let text = match &node.kind {
            Kind::Scalar { text, plain } if !(node.is_null() || *plain && is_boolean(text)) => text,
            // The parser is asked anyway, so that the message says what was expected.
            _ => match parse("") {
                Ok(_) => return None,
                Err(expected) => {
                    self.mismatch(path, node, expected);
                    return None;
                }
            },
        };
        match parse(text) {
            Ok(value) => Some(At { value, span: node.span.clone() }),
            Err(expected) => {
                self.mismatch(path, node, expected);
                None
            }
        }
    }

    /// `true` or `false`, unquoted.
    pub fn boolean(&mut self, table: &mut Table<'_>, name: &'static str) -> Option<At<bool>> {
        let node = table.take(name)?;
        let value = match &node.kind {
            Kind::Scalar { text, plain: true } if text == "true" => true,
            Kind::Scalar { text, plain: true } if text == "false" => false,
            _ => {
                self.mismatch(table.at(name), node, "`true` or `false`");
                return None;
            }
        };
        Some(At { value, span: node.span.clone() })
    }

    /// A whole number within limits, unquoted, in plain decimal digits.
    pub fn number(
        &mut self,
        table: &mut Table<'_>,
        name: &'static str,
        limits: std::ops::RangeInclusive<u64>,
        expected: Expected,
    ) -> Option<At<u64>> {
        let node = table.take(name)?;
        if let Kind::Scalar { text, plain: true } = &node.kind {
            let digits = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            if let Some(value) = text.parse().ok().filter(|value| digits && limits.contains(value)) {
                return Some(At { value, span: node.span.clone() });
            }
        }
        self.mismatch(table.at(name), node, expected);
        None
    }

    /// A list of words, none of them twice.
    pub fn words<T: Word + PartialEq>(&mut self, table: &mut Table<'_>, name: &'static str) -> Vec<At<T>> {
        let Some(node) = table.take(name) else { return Vec::new() };
        let path = table.at(name);
        let Kind::List(items) = &node.kind else {
            self.mismatch(path, node, "a list such as `[a, b]`");
            return Vec::new();
        };
        let mut words: Vec<At<T>> = Vec::new();
        for item in items {
            let Some(word) = self.parse_node(item, path, T::parse) else { continue };
            if words.iter().any(|other| other.value == word.value) {
                self.problem(&word.span, format!("{}{} stands here twice", path.before_message(), item.describe()));
            } else {
                words.push(word);
            }
        }
        words
    }

    /// The entries of a table whose keys are words; an absent table has none.
    pub fn entries<'n, T: Word>(&mut self, table: &mut Table<'n>, name: &'static str) -> Vec<(At<T>, &'n Node)> {
        let Some(node) = table.take(name) else { return Vec::new() };
        let path = table.at(name);
        let Some(inner) = self.open(node, path) else { return Vec::new() };
        let mut entries = Vec::new();
        for (key, node) in inner.entries {
            match T::parse(&key.text) {
                Ok(value) => entries.push((At { value, span: key.span.clone() }, node)),
                Err(expected) => {
                    let found = crate::problem::shown(&key.text);
                    self.problem(&key.span, format!("{}expected {expected}, found `{found}`", path.before_message()));
                }
            }
        }
        entries
    }

    /// A table inside a table; null and absent are `None`.
    pub fn inner<'n>(&mut self, table: &mut Table<'n>, name: &'static str) -> Option<Table<'n>> {
        let node = table.take(name).filter(|node| !node.is_null())?;
        self.open(node, table.at(name))
    }
}

/// What YAML reads as a boolean; as a word it is a mistake (`yanked: true`), unless it is quoted.
fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

/// Text for people: no control characters but line breaks and tabs, nothing that reorders its surroundings.
pub fn prose(text: &str) -> Result<String, Expected> {
    let tidy = text.replace("\r\n", "\n");
    let clean = tidy.chars().all(|c| matches!(c, '\n' | '\t') || !crate::words::is_hidden(c));
    if clean && !text.trim().is_empty() { Ok(tidy) } else { Err("text without control characters") }
}

/// One line of text for people.
pub fn line(text: &str) -> Result<String, Expected> {
    if crate::words::is_plain_text(text) && text.trim() == text && (1..=100).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("a line of 1 to 100 characters")
    }
}

/// ` (did you mean …?)` when a known name is near, the known names when few, else nothing.
pub fn suggestion(found: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(found, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 2 && distance < name.len() => format!(", did you mean `{name}`?"),
        _ if known.is_empty() => String::new(),
        _ => format!("; known here: {}", known.join(", ")),
    }
}
