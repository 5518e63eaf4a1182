//! Edits that keep a file's comments, order and style.
//!
//! Each edit is made twice: in the text, and in the plain value that the text stands for. The edited text is read again,
//! and if it does not mean the edited value, nothing is written.

use super::yaml::{self, Kind, Node};
use crate::problem::SourceFile;
use serde_json::Value;
use std::str::FromStr;
use std::sync::Arc;
use yaml_edit::{Document, Mapping};

/// One change of a file.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Sets the value at a path; tables on the way are made.
    Set(Vec<String>, Plain),
    /// Removes the value at a path; nothing happens when it is not there.
    Remove(Vec<String>),
    /// Adds a word to the end of a list, which is made when it is not there.
    Push(String, String),
    /// Takes a word out of a list.
    Pull(String, String),
}

/// A value to write.
#[derive(Clone, Debug)]
pub enum Plain {
    /// Text, quoted if it has to be.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// A table, a line for each entry.
    Table(Vec<(&'static str, Plain)>),
    /// A table in braces, on one line.
    Braces(Vec<(&'static str, Plain)>),
}

impl Plain {
    /// YAML for the value; `indent` is that of the lines below it.
    fn yaml(&self, indent: usize) -> String {
        match self {
            Plain::Text(text) => scalar(text),
            Plain::Flag(flag) => flag.to_string(),
            Plain::Number(number) => number.to_string(),
            Plain::Table(entries) => entries
                .iter()
                .map(|(name, value)| format!("{:indent$}{name}: {}", "", value.yaml(indent + 2)))
                .collect::<Vec<_>>()
                .join("\n"),
            Plain::Braces(entries) if entries.is_empty() => "{}".to_owned(),
            Plain::Braces(entries) => {
                let entries: Vec<String> = entries.iter().map(|(name, value)| format!("{name}: {}", value.yaml(0))).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    fn value(&self) -> Value {
        match self {
            Plain::Text(text) => Value::from(text.as_str()),
            Plain::Flag(flag) => Value::from(flag.to_string()),
            Plain::Number(number) => Value::from(number.to_string()),
            Plain::Table(entries) | Plain::Braces(entries) => {
                entries.iter().map(|(name, value)| (name.to_string(), value.value())).collect()
            }
        }
    }
}

/// Text as a YAML scalar: plain where that is safe, else in double quotes, whose escapes are those of JSON.
pub fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-+:".contains(&b))
        && !text.contains(": ")
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// The text with the edits made. The error says why it was not possible; then nothing has happened.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, String> {
    let mut wanted = value_of(text)?;
    let document = Document::from_str(text).map_err(|error| format!("cannot be edited: {error}"))?;
    let root = document.as_mapping().ok_or("cannot be edited: it is not a table")?;
    for edit in edits {
        edit.apply(&mut wanted);
        edit.apply_text(&root);
    }
    let edited = document.to_string();
    let edited = if edited.ends_with('\n') { edited } else { format!("{edited}\n") };
    if value_of(&edited)? != wanted {
        return Err("cannot be edited safely, because of how it is written; make the change by hand".to_owned());
    }
    Ok(edited)
}

impl Edit {
    fn apply(&self, root: &mut Value) {
        match self {
            Edit::Set(path, value) => {
                let mut at = root;
                for name in path {
                    if !at.is_object() {
                        *at = Value::Object(serde_json::Map::new());
                    }
                    at = &mut at[name.as_str()];
                }
                *at = value.value();
            }
            Edit::Remove(path) => {
                if let Some((name, tables)) = path.split_last() {
                    let table = tables.iter().try_fold(root, |at, name| at.get_mut(name));
                    table.and_then(Value::as_object_mut).map(|table| table.remove(name));
                }
            }
            Edit::Push(list, word) => {
                if !root[list.as_str()].is_array() {
                    root[list.as_str()] = Value::Array(Vec::new());
                }
                root[list.as_str()].as_array_mut().map(|items| items.push(Value::from(word.as_str()))).unwrap_or_default();
            }
            Edit::Pull(list, word) => {
                if let Some(items) = root.get_mut(list).and_then(Value::as_array_mut) {
                    items.retain(|item| item != word);
                }
            }
        }
    }

    fn apply_text(&self, root: &Mapping) {
        match self {
            Edit::Set(path, value) => set(root, path, value),
            Edit::Remove(path) => {
                if let Some((name, tables)) = path.split_last() {
                    let table = tables.iter().try_fold(root.clone(), |at, name| at.get_mapping(name.as_str()));
                    table.map(|table| table.remove(name.as_str()));
                }
            }
            Edit::Push(list, word) => match root.get_sequence(list.as_str()) {
                Some(items) => items.push(word.as_str()),
                None => {
                    if let Some(table) = fragment(&format!("x: [{word}]")).and_then(|table| table.get_sequence("x")) {
                        root.set(list.as_str(), table);
                    }
                }
            },
            Edit::Pull(list, word) => {
                if let Some(items) = root.get_sequence(list.as_str())
                    && let Some(at) =
                        items.values().position(|item| item.as_scalar().is_some_and(|scalar| scalar.as_string() == *word))
                {
                    items.remove(at);
                }
            }
        }
    }
}

/// Sets a value, making the tables on the way as one fragment.
fn set(root: &Mapping, path: &[String], value: &Plain) {
    let [name, rest @ ..] = path else { return };
    if let ([_, ..], Some(table)) = (rest, root.get_mapping(name.as_str())) {
        return set(&table, rest, value);
    }
    let mut yaml = String::new();
    let mut indent = 0;
    for name in rest {
        yaml.push_str(&format!("{:indent$}{}:\n", "", scalar(name)));
        indent += 2;
    }
    match value {
        Plain::Table(_) => yaml.push_str(&value.yaml(indent)),
        _ if rest.is_empty() => return set_leaf(root, name, value),
        _ => yaml = format!("{} {}", yaml.trim_end_matches('\n'), value.yaml(0)),
    }
    if let Some(table) = fragment(&format!("{yaml}\n")) {
        root.set(name.as_str(), table);
    }
}

fn set_leaf(table: &Mapping, name: &str, value: &Plain) {
    match value {
        Plain::Text(text) => table.set(name, text.as_str()),
        Plain::Flag(flag) => table.set(name, *flag),
        Plain::Number(number) => table.set(name, *number),
        Plain::Table(_) | Plain::Braces(_) => {
            if let Some(fragment) = fragment(&value.yaml(0)) {
                table.set(name, fragment);
            }
        }
    }
}

fn fragment(yaml: &str) -> Option<Mapping> {
    Document::from_str(yaml).ok()?.as_mapping()
}

/// What a text means, every scalar as text.
fn value_of(text: &str) -> Result<Value, String> {
    let file = Arc::new(SourceFile { path: String::new(), text: text.to_owned() });
    let mut problems = Vec::new();
    let root = yaml::parse(&file, &mut problems);
    match (root, problems.first()) {
        (Some(root), None) => Ok(plain(&root)),
        (_, problem) => Err(format!("cannot be edited: {}", problem.map_or("it cannot be read", |problem| problem.message()))),
    }
}

fn plain(node: &Node) -> Value {
    match &node.kind {
        _ if node.is_null() => Value::Null,
        Kind::Scalar { text, .. } => Value::from(text.as_str()),
        Kind::List(items) => items.iter().map(plain).collect(),
        Kind::Map(entries) => entries.iter().map(|(key, node)| (key.text.clone(), plain(node))).collect(),
    }
}
