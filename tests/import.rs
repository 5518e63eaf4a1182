//! `import` as data: every folder of `tests/import`.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use common::{all_equal, both, compare, compiler, data, folders};
use std::fs;

/// Guids are new each time.
fn masked(text: &str) -> String {
    let mask = |line: &str| match line.split_once("guid: rel_") {
        Some((before, _)) => format!("{before}guid: (new)\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(mask).collect()
}

#[test]
fn every_document_becomes_manifests_or_problems() {
    let mut differences = Vec::new();
    for case in folders(&data().join("import")) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let releases = folder.path().join("releases");
        fs::create_dir(&releases).expect("a folder");
        let mut input = String::new();
        for entry in fs::read_dir(&case).expect("readable") {
            let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            let to = if name.ends_with(".yaml") { releases.join(&name) } else { folder.path().join(&name) };
            fs::copy(case.join(&name), to).expect("copied");
            if name.starts_with("input.") {
                input = name;
            }
        }
        let before = fs::read_dir(&releases).expect("readable").count();
        let more = fs::read_to_string(case.join("args.txt")).unwrap_or_default();
        let arguments: Vec<&str> = ["import", &input].into_iter().chain(more.lines().filter(|line| !line.is_empty())).collect();
        let output = compiler(folder.path(), &arguments);
        let mut actual = both(&output);
        let mut written: Vec<_> = fs::read_dir(&releases)
            .expect("readable")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        written.sort();
        for name in written.iter().filter(|name| !case.join(name).exists()) {
            actual.push_str(&format!("==> releases/{name}\n{}", fs::read_to_string(releases.join(name)).expect("readable")));
        }
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(output.status.success(), !name.starts_with("bad-"), "{name}: {actual}");
        assert!(output.status.success() || written.len() == before, "{name}: something was written");
        differences.extend(compare(&case.join("expected.txt"), &masked(&actual)));
    }
    all_equal(differences);
}
