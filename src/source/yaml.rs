//! YAML text to a tree of plain values with their places: the only file that knows the YAML parser.
//!
//! The parser's event stream is read directly, because a typed reader stops at the first problem of a file and forgets
//! whether a scalar was quoted. What manifests never need (anchors, aliases, merge keys, tags, several documents) is
//! refused here, so nothing behind it has to think of it.

use crate::problem::{Problem, SourceFile, Span, shown};
use granit_parser::{Event, Parser, ScalarStyle};
use std::sync::Arc;

/// Far more than a release with a hundred attachments needs, far less than what would hurt.
const MAX_NODES: usize = 20_000;
const MAX_DEPTH: usize = 16;
/// After so many aliases, anchors and tags the rest of the file says nothing new.
const MAX_UNSUPPORTED: usize = 8;

/// A value at its place.
#[derive(Debug)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    /// A scalar; `plain` when it was written without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub struct Key {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// Nothing: an empty value, `null` or `~`, unquoted.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What stands there, for "found …".
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", shown(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a table".to_owned(),
        }
    }
}

/// Reads one document. `None` when nothing sensible can be made of it; then there is at least one problem.
pub fn parse(file: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut builder = Builder { file, problems, open: Vec::new(), root: None, nodes: 0, unsupported: 0 };
    for event in Parser::new_from_str(&file.text) {
        match event {
            Ok((event, span)) => {
                let span = span.byte_range().unwrap_or(0..0);
                if !builder.take(event, span) {
                    return None;
                }
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0);
                let message = format!("not valid YAML: {}", error.info());
                builder.problem(at..at + 1, message);
                return None;
            }
        }
    }
    if builder.root.is_none() {
        builder.problem(0..0, "the file is empty");
    }
    // What such a file means is anyone's guess; its fields would be too.
    builder.root.filter(|_| builder.unsupported == 0)
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    problems: &'a mut Vec<Problem>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    unsupported: usize,
}

/// A collection that has begun; a map remembers the key whose value comes next.
struct Open {
    node: Node,
    key: Option<Key>,
}

impl Builder<'_> {
    fn problem(&mut self, span: Span, message: impl Into<String>) {
        let end = span.end.min(self.file.text.len());
        self.problems.push(Problem::at(self.file, &(span.start.min(end)..end), message));
    }

    fn unsupported(&mut self, span: Span, message: &str) {
        self.unsupported += 1;
        self.problem(span, message);
    }

    /// Takes one event; false when reading on is pointless.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        self.nodes += 1;
        if self.nodes > MAX_NODES || self.open.len() > MAX_DEPTH {
            self.problem(span, format!("too large: at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep"));
            return false;
        }
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.problem(span, "a second document; one file holds one");
                return false;
            }
            Event::Alias(_) => {
                self.unsupported(span.clone(), "aliases are not supported; write the value out");
                self.place(Node { span, kind: Kind::Scalar { text: String::new(), plain: false } });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(&span, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                self.place(Node { span, kind: Kind::Scalar { text: text.into_owned(), plain } });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_extras(&span, anchor, tag.is_some());
                self.open.push(Open { node: Node { span, kind: Kind::List(Vec::new()) }, key: None });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_extras(&span, anchor, tag.is_some());
                self.open.push(Open { node: Node { span, kind: Kind::Map(Vec::new()) }, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, .. }) = self.open.pop() {
                    node.span.end = node.span.end.max(span.end);
                    self.place(node);
                }
            }
            _ => {}
        }
        self.unsupported < MAX_UNSUPPORTED
    }

    fn refuse_extras(&mut self, span: &Span, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.unsupported(span.clone(), "anchors are not supported; write the value out where it is used");
        }
        if tagged {
            self.unsupported(span.clone(), "tags are not supported");
        }
    }

    /// Puts a finished node where it belongs: the root, the next item, a key, or a key's value.
    fn place(&mut self, node: Node) {
        let Some(Open { node: parent, key }) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match (&mut parent.kind, key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(entries), Some(key)) => {
                let twice = entries.iter().any(|(other, _)| other.text == key.text);
                let span = key.span.clone();
                let name = shown(&key.text);
                let merge = key.text == "<<";
                entries.push((key, node));
                if merge {
                    self.unsupported(span, "merge keys are not supported; write the values out");
                } else if twice {
                    self.problem(span, format!("the key `{name}` stands here twice"));
                }
            }
            (Kind::Map(_), None) => match node.kind {
                Kind::Scalar { text, .. } => *key = Some(Key { text, span: node.span }),
                _ => {
                    *key = Some(Key { text: String::new(), span: node.span.clone() });
                    self.unsupported(node.span, "a key must be plain text");
                }
            },
            (Kind::Scalar { .. }, _) => {}
        }
    }
}
