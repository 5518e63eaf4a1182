//! Lines of checksums files, and the versions that file names speak of.

use crate::words::{Version, Word};

/// A line that says a file's digest.
pub(super) struct Checksum<'t> {
    /// The line's number.
    pub line: usize,
    /// The digest, as it was written.
    pub hex: &'t str,
    /// The file.
    pub path: &'t str,
}

impl<'t> Checksum<'t> {
    /// Lines of prose are none. A digest that lost or gained a few digits still means to be one.
    pub fn of(line: usize, text: &'t str) -> Option<Self> {
        let almost = |hex: &str| (60..=68).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let (hex, path) = bsd(text.trim()).or_else(|| gnu(text.trim()).filter(|(hex, _)| almost(hex)))?;
        Some(Self { line, hex, path })
    }
}

/// `<hex>  <path>` or `<hex> *<path>`; a backslash before it says that some are in the path.
fn gnu(text: &str) -> Option<(&str, &str)> {
    let (hex, path) = text.strip_prefix('\\').unwrap_or(text).split_once([' ', '\t'])?;
    let path = path.trim_start();
    Some((hex, path.strip_prefix('*').unwrap_or(path)))
}

/// `SHA256 (<path>) = <hex>`.
fn bsd(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("SHA256").or_else(|| text.strip_prefix("SHA2-256"))?.trim_start();
    let (path, hex) = rest.strip_prefix('(')?.rsplit_once('=')?;
    let path = path.trim_end().strip_suffix(')')?;
    Some((hex.trim(), path)).filter(|(hex, _)| !hex.contains(char::is_whitespace))
}

/// The versions that a path speaks of: in the names of its file and its folders, or as the whole name of a folder.
pub(super) fn versions_in(path: &str) -> Vec<Version> {
    let (folders, name) = path.rsplit_once(['/', '\\']).unwrap_or(("", path));
    let mut versions = versions_in_name(name);
    for folder in folders.split(['/', '\\']) {
        let found = versions_in_name(folder);
        if found.is_empty() {
            versions.extend(Version::parse(folder.strip_prefix('v').unwrap_or(folder)));
        }
        versions.extend(found);
    }
    versions
}

fn versions_in_name(name: &str) -> Vec<Version> {
    let in_number = |at: usize| name.get(..at).unwrap_or_default().ends_with(|c: char| c.is_ascii_digit() || c == '.');
    let starts = name.char_indices().filter(|(at, c)| c.is_ascii_digit() && !in_number(*at));
    starts.filter_map(|(at, _)| version_before(name.get(at..)?)).collect()
}

/// The version that a name's rest begins with. A wrong one would be worse than none, so what follows has to be known.
fn version_before(rest: &str) -> Option<Version> {
    const STAGES: &[&str] = &["alpha", "beta", "canary", "dev", "next", "nightly", "pre", "preview", "rc", "snapshot"];
    const WORDS: &str = "aarch64 amd64 arm64 darwin installer intel linux mac macos osx setup universal universal2 win win32 win64 windows x64 x86";
    let core = run(rest, |c| c.is_ascii_digit() || c == '.').trim_end_matches('.');
    let mut end = core.len();
    let behind = |end: usize| rest.get(end..).unwrap_or_default();
    if let Some(tail) = behind(end).strip_prefix('-') {
        let stage = run(tail, |c| c.is_ascii_alphabetic());
        if STAGES.contains(&stage.to_ascii_lowercase().as_str()) {
            // `beta.11` and `rc1`: digits, and further digits behind dots.
            end = end.saturating_add(1).saturating_add(stage.len());
            end = end.saturating_add(run(behind(end), |c| c.is_ascii_digit()).len());
            while let Some(digits) =
                behind(end).strip_prefix('.').map(|tail| run(tail, |c| c.is_ascii_digit())).filter(|digits| !digits.is_empty())
            {
                end = end.saturating_add(1).saturating_add(digits.len());
            }
        }
    }
    let tail = behind(end);
    let known = match tail.chars().next() {
        None | Some('_') => true,
        Some('.') => tail.get(1..).is_some_and(|ending| ending.starts_with(|c: char| c.is_ascii_alphabetic())),
        Some('-') => {
            let word = run(tail.get(1..).unwrap_or_default(), |c| c.is_ascii_alphanumeric());
            WORDS.split(' ').any(|known| known.eq_ignore_ascii_case(word))
        }
        Some(_) => false,
    };
    Version::parse(rest.get(..end)?).ok().filter(|_| known)
}

/// The characters at the beginning that fit.
fn run(text: &str, fits: impl Fn(char) -> bool) -> &str {
    text.get(..text.find(|c| !fits(c)).unwrap_or(text.len())).unwrap_or_default()
}
