//! Sources in, sites or problems out: every folder of `tests/bad` and `tests/good`, and what text files cannot hold.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::snapshot::{Index, is_page};
use common::{all_equal, both, compare, compiler, compiler_ok, copy_files, data, folders};
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};

/// A folder with the base collection, overlaid with a mistake's files.
fn mistaken(mistake: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let releases = folder.path().join("releases");
    copy_files(&data().join("bad/_base"), &releases);
    copy_files(mistake, &releases);
    let _ = fs::remove_file(releases.join("expected.txt"));
    for entry in fs::read_dir(mistake).expect("a readable folder") {
        let name = entry.expect("a readable entry").file_name().into_string().expect("UTF-8");
        if let Some(gone) = name.strip_suffix(".delete") {
            let _ = fs::remove_file(releases.join(gone));
            let _ = fs::remove_file(releases.join(&name));
        }
    }
    folder
}

#[test]
fn every_mistake_is_told_and_nothing_is_written() {
    let mut differences = Vec::new();
    for mistake in folders(&data().join("bad")).into_iter().filter(|folder| !folder.ends_with("_base")) {
        let folder = mistaken(&mistake);
        let output = compiler(folder.path(), &["build"]);
        differences.extend(compare(&mistake.join("expected.txt"), &both(&output)));
        assert_eq!(output.status.code(), Some(1), "{}: {}", mistake.display(), both(&output));
        assert!(!folder.path().join("dist").exists(), "{}: something was written", mistake.display());
    }
    all_equal(differences);
}

#[test]
fn the_base_of_the_mistakes_is_fine() {
    let folder = mistaken(&data().join("bad/_base"));
    compiler_ok(folder.path(), &["build"]);
}

/// The base with one file replaced, and what `build` says of it.
fn with_file(name: &str, bytes: &[u8]) -> String {
    let folder = mistaken(&data().join("bad/_base"));
    fs::write(folder.path().join("releases").join(name), bytes).expect("written");
    let output = both(&compiler(folder.path(), &["build"]));
    assert!(output.starts_with("exit 0") || !folder.path().join("dist").exists(), "something was written");
    output
}

#[test]
fn sizes_and_depths_have_limits() {
    let manifest = fs::read(data().join("bad/_base/1.8.3.yaml")).expect("readable");
    let padded = |size: usize| {
        let mut bytes = manifest.clone();
        bytes.extend(std::iter::repeat_n(b'#', size - manifest.len()));
        bytes
    };
    assert!(with_file("1.8.3.yaml", &padded((1 << 20) - 1)).starts_with("exit 0"));
    assert!(with_file("1.8.3.yaml", &padded(1 << 20)).starts_with("exit 0"));
    assert_eq!(
        with_file("1.8.3.yaml", &padded((1 << 20) + 1)),
        "exit 1\nreleases/1.8.3.yaml: is larger than 1 MiB\n1 problem; nothing was written\n"
    );
    let brackets = format!("version: {}", "[".repeat(100_000));
    assert!(with_file("1.8.3.yaml", brackets.as_bytes()).starts_with("exit 1\nreleases/1.8.3.yaml:1:"));
}

#[test]
fn odd_files_are_refused_without_waiting() {
    let odd = |make: &dyn Fn(&Path)| {
        let folder = mistaken(&data().join("bad/_base"));
        let path = folder.path().join("releases/1.8.3.yaml");
        fs::remove_file(&path).expect("removed");
        make(&path);
        let output = both(&compiler(folder.path(), &["build"]));
        assert!(!folder.path().join("dist").exists(), "something was written");
        output
    };
    let fifo = odd(&|path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    });
    assert_eq!(fifo, "exit 1\nreleases/1.8.3.yaml: cannot be read: it is not a regular file\n1 problem; nothing was written\n");
    let directory = odd(&|path| fs::create_dir(path).expect("a folder"));
    assert_eq!(directory, "exit 1\nreleases/1.8.3.yaml: cannot be read: it is a folder\n1 problem; nothing was written\n");
    let device = odd(&|path| symlink("/dev/zero", path).expect("a link"));
    assert_eq!(device, "exit 1\nreleases/1.8.3.yaml: is a link that leaves the folder\n1 problem; nothing was written\n");
    let outside = odd(&|path| symlink(data().join("bad/_base/1.8.3.yaml"), path).expect("a link"));
    assert_eq!(outside, "exit 1\nreleases/1.8.3.yaml: is a link that leaves the folder\n1 problem; nothing was written\n");
    let looped = odd(&|path| symlink("1.8.3.yaml", path).expect("a link"));
    assert!(looped.starts_with("exit 1\nreleases/1.8.3.yaml: cannot be read: "), "{looped}");
    assert!(fs::metadata("/dev/zero").expect("there").file_type().is_char_device());
}

#[test]
fn output_folders_that_are_something_else_are_left_alone() {
    let folder = mistaken(&data().join("bad/_base"));
    let run = |arguments: &[&str]| both(&compiler(folder.path(), arguments));
    fs::create_dir(folder.path().join("mine")).expect("a folder");
    fs::write(folder.path().join("mine/thesis.txt"), "years of work").expect("written");
    assert_eq!(
        run(&["build", "--out", "mine"]),
        "exit 1\nmine: holds files that are not a snapshot's, such as `thesis.txt`; name another folder with --out\n1 problem; nothing was written\n"
    );
    assert_eq!(
        run(&["build", "--out", "releases/dist"]),
        "exit 1\nreleases/dist: lies inside the --releases folder, releases; name another with --out\n1 problem; nothing was written\n"
    );
    assert_eq!(
        run(&["build", "--out", "releases"]),
        "exit 1\nreleases: lies inside the --releases folder, releases; name another with --out\n1 problem; nothing was written\n"
    );
    assert!(run(&["build", "--out", "releases/a/b/dist"]).starts_with("exit 1\nreleases/a/b/dist: lies inside"));
    assert!(run(&["build", "--out", "mine/../releases/x"]).starts_with("exit 1\nmine/../releases/x: lies inside"));
    assert!(run(&["build"]).starts_with("exit 0"));
    fs::create_dir(folder.path().join("dist/exports")).expect("a folder");
    fs::write(folder.path().join("dist/exports/mine"), "mine").expect("written");
    assert!(run(&["build"]).starts_with("exit 1\ndist/exports/mine: does not belong to the snapshot"));
    fs::remove_dir_all(folder.path().join("dist/exports")).expect("removed");
    fs::write(folder.path().join("dist/public/thesis.txt"), "more work").expect("written");
    assert_eq!(
        run(&["build"]),
        "exit 1\ndist/public/thesis.txt: does not belong to the snapshot; move it away, it would be lost\n1 problem; nothing was written\n"
    );
    assert_eq!(fs::read_to_string(folder.path().join("dist/public/thesis.txt")).expect("there"), "more work");
}

#[test]
fn a_damaged_previous_snapshot_stops_the_build() {
    for (path, damage) in [("snapshot.json", "{"), ("private/ledger.json", "{}"), ("snapshot.json", "")] {
        let folder = mistaken(&data().join("bad/_base"));
        compiler_ok(folder.path(), &["build"]);
        fs::write(folder.path().join("dist").join(path), damage).expect("written");
        let output = both(&compiler(folder.path(), &["build"]));
        assert!(output.starts_with(&format!("exit 1\ndist/{path}: damaged: ")), "{output}");
        assert_eq!(fs::read_to_string(folder.path().join("dist").join(path)).expect("there"), damage);
    }
    let folder = mistaken(&data().join("bad/_base"));
    compiler_ok(folder.path(), &["build"]);
    for path in ["latest.json", "index.json", "../../openapi.json.br", "../../openapi.json.gz"] {
        let document = folder.path().join("dist/public/v2/agent-releases").join(path);
        let before = fs::read(&document).expect("readable");
        for damage in [Some("damaged"), None] {
            match damage {
                Some(text) => fs::write(&document, text).expect("written"),
                None => fs::remove_file(&document).expect("removed"),
            }
            compiler_ok(folder.path(), &["build"]);
            assert_eq!(fs::read(&document).expect("readable"), before, "{path}: a damaged file is written again");
            agent_releases::answer::Site::open(&folder.path().join("dist"), true).expect("a whole site");
        }
    }
}

/// Every file below a folder, by relative path.
fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push((path.strip_prefix(folder).expect("below").display().to_string(), fs::read(&path).expect("readable")));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn good_collections_make_exactly_these_files() {
    let mut differences = Vec::new();
    for good in folders(&data().join("good")) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_files(&good, &folder.path().join("releases"));
        compiler_ok(folder.path(), &["build"]);
        // The whole tree as one text, so that a change is read as a diff. Pages have tests of their own: a look is not a promise.
        let id = index_of(&folder.path().join("dist")).id;
        let mut golden = String::new();
        for (path, bytes) in tree(&folder.path().join("dist"))
            .into_iter()
            .filter(|(path, _)| !path.ends_with(".br") && !path.ends_with(".gz") && !is_page(path))
        {
            let text = match path.as_str() {
                "public/openapi.json" => format!("({} bytes)\n", bytes.len()),
                "snapshot.json" => without_pages(&bytes),
                "exports/worker/answers.json" => answers_without_pages(&bytes),
                _ => without_hashes_of_pages(&String::from_utf8(bytes).expect("UTF-8"), &id),
            };
            golden.push_str(&format!("==> {path}\n{text}"));
        }
        let name = good.file_name().expect("a name").to_string_lossy().into_owned();
        fs::create_dir_all(data().join("golden")).expect("a folder");
        differences.extend(compare(&data().join("golden").join(format!("{name}.txt")), &golden));
    }
    all_equal(differences);
}

fn index_of(site: &Path) -> Index {
    serde_json::from_slice(&fs::read(site.join("snapshot.json")).expect("built")).expect("an index")
}

/// What the Worker knows, without the pages.
fn answers_without_pages(answers: &[u8]) -> String {
    let mut answers: serde_json::Value = serde_json::from_slice(answers).expect("JSON");
    let documents = answers["documents"].as_object_mut().expect("documents");
    documents.retain(|address, _| !is_page(&format!("public{address}")));
    answers["snapshot"] = "(over all files)".into();
    answers.to_string() + "\n"
}

/// The text without the snapshot's id and the hashes of what pages load.
fn without_hashes_of_pages(text: &str, id: &str) -> String {
    let text = text.replace(&id[..16], "(of all files)");
    let mut parts = text.split("/assets/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (name, rest) = part.split_once('.').unwrap_or((part, ""));
        format!("{text}/assets/{name}.(hash){}", rest.get(16..).unwrap_or_default())
    })
}

/// The index without the pages' rows, and without its id, which those decide as well.
fn without_pages(index: &[u8]) -> String {
    let mut index: Index = serde_json::from_slice(index).expect("an index");
    // Exports hold the id, and hashes of pages.
    index.exports.clear();
    index.files.retain(|row| !is_page(&row.path));
    index.id = "(over all files)".to_owned();
    serde_json::to_string(&index).expect("JSON") + "\n"
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    let site = |name: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_files(&data().join("good").join(name), &folder.path().join("releases"));
        compiler_ok(folder.path(), &["build"]);
        tree(&folder.path().join("dist"))
    };
    assert_eq!(site("plain"), site("bom-and-crlf"));
}
