//! A snapshot whose index, site table or redirect map was changed: refused, or a site that answers every question.
//!
//! An input is lines, each a change of one file: `site /releases/0/channels [9]` sets a value, `site /releases/0` removes
//! one, `site @120 bytes` writes over bytes. Hashes are made to fit afterwards, as in a snapshot that somebody wrote so.

#![no_main]

use agent_releases::answer::{Site, questions};
use agent_releases::snapshot::{Files, INDEX, Index, REDIRECTS, SITE, read_index};
use agent_releases::words::Sha256;
use agent_releases_fuzz::{Asked, Compiled, ListPage, compile, sources};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

static SNAPSHOT: LazyLock<Compiled> = LazyLock::new(|| compile(&sources("good/http")).expect("a catalog"));
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|text: &str| {
    let mut files = SNAPSHOT.files.clone();
    let mut index = serde_json::to_value(&SNAPSHOT.index).expect("JSON");
    for (word, path) in [("site", SITE), ("redirects", REDIRECTS)] {
        let changes = changes(text, word);
        if changes.is_empty() {
            continue;
        }
        let value = serde_json::from_slice(&files[path]).expect("JSON");
        let bytes = changed(value, &changes);
        for row in index["files"].as_array_mut().into_iter().flatten().filter(|row| row["path"] == path) {
            row["sha256"] = Sha256::of(&bytes).hex().into();
            row["size"] = bytes.len().into();
        }
        files.insert(path.to_owned(), bytes.into());
    }
    let mut bytes = changed(index, &changes(text, "index"));
    let mut index = serde_json::from_slice::<Index>(&bytes).ok();
    if let Some(index) = index.as_mut().filter(|index| index.id == SNAPSHOT.index.id) {
        index.id = Index::id_of(&index.files);
        bytes = serde_json::to_vec(index).expect("JSON");
    }
    fs::write(FOLDER.path().join(INDEX), &bytes).expect("written");
    match (read_index(FOLDER.path()), index) {
        (Ok(index), _) => site(&index, &files),
        // The edge never gets so far with such an index, but it should not panic either.
        (Err(damage), Some(index)) => _ = (damage.to_string(), Site::new(&index, &files, true).is_ok()),
        (Err(damage), None) => _ = damage.to_string(),
    }
});

/// The changes of one file: a place, and what goes there.
fn changes<'a>(text: &'a str, word: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let of_file = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    of_file.map(|change| change.split_once(' ').map_or((change, None), |(place, new)| (place, Some(new)))).collect()
}

fn changed(mut value: Value, changes: &[(&str, Option<&str>)]) -> Vec<u8> {
    for (place, new) in changes {
        match new.map(serde_json::from_str::<Value>) {
            Some(Ok(new)) => _ = value.pointer_mut(place).map(|old| *old = new),
            None => remove(&mut value, place),
            Some(Err(_)) => {}
        }
    }
    let mut bytes = serde_json::to_vec(&value).expect("JSON");
    for (place, new) in changes {
        let at = place.strip_prefix('@').and_then(|at| at.parse::<usize>().ok());
        for (at, byte) in at.map(|at| (at.., new.unwrap_or_default().bytes())).into_iter().flat_map(|(at, new)| at.zip(new)) {
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
    }
    bytes
}

fn remove(value: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(table)) => _ = table.remove(name),
        Some(Value::Array(items)) => {
            if let Some(at) = name.parse().ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

/// If it is a site at all, it answers every question, and what it says fits together.
fn site(index: &Index, files: &Files) {
    let site = match Site::new(index, files, true) {
        Ok(site) => site,
        Err(error) => {
            _ = error.to_string();
            return;
        }
    };
    let asked = Asked::of(site, files);
    for question in questions(&asked.site) {
        let answer = asked.get(&question);
        if question.starts_with("/v2/agent-releases?") {
            assert_eq!(answer.status, 200, "{question}");
            let page = ListPage::read(&answer);
            assert!(page.channel_of_all.iter().all(|channel| question.contains(&format!("channel={channel}&"))), "{question}");
            assert_eq!(page.versions.len() as u64, page.total.min(50), "{question}");
        }
    }
    for target in ["/v2/agent-releases", "/v2/agent-releases/latest"] {
        let answer = asked.get(target);
        let channel = answer.why.channel.and_then(|channel| asked.site.channel_name(channel));
        assert_eq!(channel, Some("stable"), "{target} is about stable");
    }
}
