//! Raw bytes as data: every case of `tests/raw/*.txt`, sent to a real edge as it stands there.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use common::{Edge, Reply, compiler_ok, copy_files, data};
use std::fs;
use std::io::{BufReader, Read, Write};
use std::time::Duration;

/// How long an answer, or the end of a connection, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is asked on a connection that is kept.
const NEXT: &[u8] = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// Where every redirect of the collection leads.
const STORAGE: &str = "https://downloads.example.com/agent/";

/// What must hold of one answer.
struct Expected {
    /// Any of them.
    statuses: Vec<u16>,
    closes: bool,
    /// Must be in the body.
    word: String,
}

/// Bytes, and the answers to them in their order.
struct Case {
    place: String,
    sent: Vec<u8>,
    expected: Vec<Expected>,
}

impl Case {
    fn parse(place: String, text: &str) -> Self {
        let lines = || text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sent = lines().filter_map(|line| line.strip_prefix("> ")).flat_map(unescape).collect::<Vec<u8>>();
        let expected = lines()
            .filter(|line| !line.starts_with("> "))
            .map(|line| Expected::parse(line).unwrap_or_else(|| panic!("{place}: an expected answer, found `{line}`")))
            .collect::<Vec<_>>();
        assert!(!sent.is_empty() && !expected.is_empty(), "{place}: bytes and an answer");
        let last = expected.len() - 1;
        assert!(!expected[..last].iter().any(|answer| answer.closes), "{place}: nothing is answered behind a close");
        Self { place, sent, expected }
    }

    /// Whether the answer with this number is to a HEAD request, and so without a body.
    fn is_head(&self, number: usize) -> bool {
        let text = String::from_utf8_lossy(&self.sent).replace("\r\n", "\n");
        let heads: Vec<&str> = text.trim_start_matches('\n').split("\n\n").collect();
        heads.get(number).or(heads.last()).is_some_and(|head| head.trim_start_matches('\n').starts_with("HEAD "))
    }

    /// Sends the bytes on a connection of their own; the first thing that is wrong with what comes back.
    fn ask(&self, edge: &Edge) -> Result<(), String> {
        let stream = edge.connect();
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // An edge that has refused need not listen to the rest.
        let _ = (&stream).write_all(&self.sent);
        let mut reader = BufReader::new(stream);
        for (number, expected) in self.expected.iter().enumerate() {
            let place = format!("{}: answer {}", self.place, number + 1);
            let reply = Reply::read(&mut reader, self.is_head(number)).map_err(|error| format!("{place}: {error}"))?;
            expected.holds(&reply, &self.sent).map_err(|wrong| format!("{place}: {wrong}"))?;
        }
        if self.expected.last().is_some_and(|last| !last.closes) {
            let _ = reader.get_ref().write_all(NEXT);
            let reply = Reply::read(&mut reader, false).map_err(|error| format!("{}: the next answer: {error}", self.place))?;
            if reply.status != 401 && !(reply.status == 200 && reply.text().contains("\"openapi\"")) {
                return Err(format!("{}: the next answer is {} {}", self.place, reply.status, reply.text()));
            }
        }
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).map_err(|error| format!("{}: expected the connection's end, found {error}", self.place))?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(format!("{}: expected the connection's end, found {}", self.place, String::from_utf8_lossy(&rest)))
        }
    }
}

impl Expected {
    /// ``400|405 close `word` ``
    fn parse(line: &str) -> Option<Self> {
        let (statuses, rest) = line.split_once(' ')?;
        let statuses = statuses.split('|').map(|status| status.parse().ok()).collect::<Option<_>>()?;
        let (end, word) = match rest.split_once(' ') {
            Some((end, word)) => (end, word.strip_prefix('`')?.strip_suffix('`')?),
            None => (rest, ""),
        };
        let closes = match end {
            "close" => true,
            "keep" => false,
            _ => return None,
        };
        Some(Self { statuses, closes, word: word.to_owned() })
    }

    fn holds(&self, reply: &Reply, sent: &[u8]) -> Result<(), String> {
        let body = reply.text();
        if !self.statuses.contains(&reply.status) {
            return Err(format!("expected {:?}, found {} {body}", self.statuses, reply.status));
        }
        if !body.contains(&self.word) {
            return Err(format!("expected `{}` in the body, found {body}", self.word));
        }
        let old = sent.windows(8).any(|word| word == b"HTTP/1.0");
        if !old && self.closes != (reply.header("connection") == Some("close")) {
            return Err(format!("expected the answer to say whether the edge closes, found {:?}", reply.headers));
        }
        if reply.header("location").is_some_and(|location| !location.starts_with(STORAGE)) || reply.header("set-cookie").is_some()
        {
            return Err(format!("expected no foreign Location and no cookie, found {:?}", reply.headers));
        }
        Ok(())
    }
}

/// `\r`, `\n`, `\t`, `\0`, `\\`, `\xNN`, and `{x*5}` for what stands before the star, five times.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((repeated, behind)) = repetition(rest) {
            bytes.extend(repeated);
            rest = behind;
        } else if let Some(escape) = rest.strip_prefix('\\') {
            let (byte, length) = match escape.as_bytes().first() {
                Some(b'r') => (b'\r', 1),
                Some(b'n') => (b'\n', 1),
                Some(b't') => (b'\t', 1),
                Some(b'0') => (0, 1),
                Some(b'\\') => (b'\\', 1),
                Some(b'x') => (u8::from_str_radix(&escape[1..3], 16).expect("two hex digits"), 3),
                _ => panic!("an escape, found `{rest}`"),
            };
            bytes.push(byte);
            rest = &escape[length..];
        } else {
            let (this, behind) = rest.split_at(first.len_utf8());
            bytes.extend_from_slice(this.as_bytes());
            rest = behind;
        }
    }
    bytes
}

/// What `{x*5}` stands for, when the text begins with such a thing, and the text behind it.
fn repetition(text: &str) -> Option<(Vec<u8>, &str)> {
    let (inside, behind) = text.strip_prefix('{')?.split_once('}')?;
    let (what, times) = inside.rsplit_once('*')?;
    Some((unescape(what).repeat(times.parse().ok()?), behind))
}

/// The cases of a file, or of all but that one.
fn cases(wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    let mut files: Vec<_> =
        fs::read_dir(data().join("raw")).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !wanted(&name) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        let mut line = 1;
        for block in text.split("\n---\n") {
            cases.push(Case::parse(format!("tests/raw/{name}:{line}"), block));
            line += block.matches('\n').count() + 2;
        }
    }
    cases
}

/// The collection of `tests/http`, with more in its catalog, built.
fn site(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy_files(&data().join("good/http"), &folder.path().join("releases"));
    let catalog = folder.path().join("releases/catalog.yaml");
    let text = fs::read_to_string(&catalog).expect("readable");
    fs::write(&catalog, format!("{text}{more}")).expect("written");
    compiler_ok(folder.path(), &["build"]);
    folder
}

/// Asks every case of an edge, and fails with all that is wrong at once.
fn all_hold(cases: &[Case], site: &tempfile::TempDir) {
    let edge = Edge::start(&site.path().join("dist"), &[]);
    let wrong: Vec<String> = cases.iter().filter_map(|case| case.ask(&edge).err()).collect();
    assert!(wrong.is_empty(), "{}\n{} of {} cases differ", wrong.join("\n"), wrong.len(), cases.len());
}

#[test]
fn raw_bytes_get_their_answer() {
    let cases = cases(|name| name != "protected.txt");
    assert!(cases.len() > 490, "{} cases", cases.len());
    all_hold(&cases, &site(""));
}

#[test]
fn no_spelling_of_a_protected_address_is_let_in() {
    let cases = cases(|name| name == "protected.txt");
    assert!(cases.len() > 110, "{} cases", cases.len());
    all_hold(&cases, &site("access: { v2: required }\n"));
}
