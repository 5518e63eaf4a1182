//! The commands as a release engineer types them: what they print, what they write, what they refuse.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::words::Sha256;
use common::{both, compiler, compiler_ok};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A folder with a catalog and nothing else.
fn fresh() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("releases")).expect("a folder");
    let catalog = "# the catalog\nproduct: Agent # ours\nchannels:\n  stable: {}   # everyone\n  beta: {}\n";
    fs::write(folder.path().join("releases/catalog.yaml"), catalog).expect("written");
    folder
}

fn run(folder: &tempfile::TempDir, line: &str) -> String {
    let arguments: Vec<&str> = line.split(' ').map(|word| word.trim_matches('\'')).collect();
    both(&compiler(folder.path(), &arguments))
}

/// Adds a release whose one installer holds its version.
fn add(folder: &tempfile::TempDir, version: &str, more: &[&str]) {
    let name = format!("Agent-{version}.msi");
    fs::write(folder.path().join(&name), [&[0xd0, 0xcf, 0x11, 0xe0], version.as_bytes()].concat()).expect("written");
    compiler_ok(folder.path(), &[&["add", version, &name, "--published-at", "2026-01-02T03:04:05Z"], more].concat());
}

fn read(folder: &Path, path: &str) -> String {
    fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A manifest without its random line.
fn manifest(folder: &tempfile::TempDir, version: &str) -> String {
    let text = read(folder.path(), &format!("releases/{version}.yaml"));
    text.lines().filter(|line| !line.starts_with("guid: rel_0")).map(|line| format!("{line}\n")).collect()
}

const MSI: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 1];

#[test]
fn add_hashes_guesses_stores_and_writes_down() {
    let folder = fresh();
    for (name, bytes) in [
        ("Agent.msi", MSI),
        ("Agent-arm64.pkg", b"xar!1"),
        ("Agent-x86_64.pkg", b"xar!2"),
        ("agent_linux_amd64", b"\x7fELF1"),
        ("agent-aarch64-linux", b"\x7fELF2"),
        ("sbom.json", b"{}"),
    ] {
        fs::write(folder.path().join(name), bytes).expect("written");
    }
    let line = "add 1.0.0 Agent.msi Agent-arm64.pkg Agent-x86_64.pkg agent_linux_amd64 agent-aarch64-linux --attach sbom.json --channel stable --published-at 2026-01-02T05:04:05+02:00 --notes-url https://example.com/1 --notes fine";
    let output = run(&folder, line);
    assert!(output.starts_with("exit 0\n"), "{output}");
    for guess in [
        "Agent.msi: windows-x86_64 (guessed",
        "Agent-arm64.pkg: macos-arm64 (",
        "Agent-x86_64.pkg: macos-x86_64 (",
        "agent_linux_amd64: linux-x86_64 (",
        "agent-aarch64-linux: linux-arm64 (",
    ] {
        assert!(output.contains(guess), "{guess} in {output}");
    }
    let text = manifest(&folder, "1.0.0");
    let head = "version: 1.0.0\nchannels: [stable]\npublished_at: 2026-01-02T03:04:05.000Z\nnotes_url: https://example.com/1\nnotes: fine\nartifacts:\n  windows-x86_64:\n    filename: Agent.msi\n    size_bytes: 5\n    sha256: ";
    assert!(text.starts_with(head), "{text}");
    assert_eq!(text.matches("sha256: ").count(), 6);
    let before = read(folder.path(), "releases/1.0.0.yaml");
    assert_eq!(
        run(&folder, line).lines().last(),
        Some("agent-aarch64-linux: linux-arm64 (guessed from its name)"),
        "the same again"
    );
    assert_eq!(read(folder.path(), "releases/1.0.0.yaml"), before, "the same again changes nothing");
    assert_eq!(run(&folder, "check --complete"), "exit 0\nfine: 1 published release, 6 artifacts checked\n");
}

#[test]
fn add_lets_files_join_until_the_release_is_published() {
    let folder = fresh();
    add(&folder, "1.0.0", &["--channel", "stable"]);
    fs::write(folder.path().join("Agent-arm64.pkg"), b"xar!1").expect("written");
    assert!(run(&folder, "add 1.0.0 Agent-arm64.pkg").contains("releases/1.0.0.yaml: extended"));
    compiler_ok(folder.path(), &["build"]);
    fs::write(folder.path().join("Agent-x86_64.pkg"), b"xar!2").expect("written");
    let before = read(folder.path(), "releases/1.0.0.yaml");
    let late = run(&folder, "add 1.0.0 macos-x86_64=Agent-x86_64.pkg");
    assert_eq!(
        late,
        "exit 3\n1.0.0 is published; Agent-x86_64.pkg cannot join it any more, release a new version\n1 problem; nothing was written\n"
    );
    fs::write(folder.path().join("Agent-1.0.0.msi"), [MSI, b"other"].concat()).expect("written");
    let other = run(&folder, "add 1.0.0 windows-x86_64=Agent-1.0.0.msi");
    assert!(other.starts_with("exit 3\n1.0.0: Agent-1.0.0.msi (SHA-256 "), "{other}");
    assert_eq!(read(folder.path(), "releases/1.0.0.yaml"), before, "refused means unchanged");
}

#[test]
fn add_refuses_what_it_cannot_know() {
    let folder = fresh();
    fs::write(folder.path().join("Agent.pkg"), b"xar!1").expect("written");
    fs::write(folder.path().join("Agent.bin"), b"1").expect("written");
    fs::write(folder.path().join("empty.msi"), b"").expect("written");
    assert!(
        run(&folder, "add 1.0.0 Agent.pkg").starts_with("exit 2\nerror: Agent.pkg: its name does not say for which architecture")
    );
    assert!(
        run(&folder, "add 1.0.0 Agent.bin").starts_with("exit 2\nerror: Agent.bin: its name does not say for which platform")
    );
    assert!(run(&folder, "add 1.0.0").starts_with("exit 2\nerror: no files"));
    assert!(run(&folder, "add v1.0.0 Agent.pkg").starts_with("exit 2\nerror: invalid value 'v1.0.0'"));
    assert_eq!(
        run(&folder, "add 1.0.0 windows-x86_64=empty.msi"),
        "exit 1\nempty.msi: is empty\n1 problem; nothing was written\n"
    );
    assert!(run(&folder, "add 1.0.0 windows-x86_64=gone.msi").starts_with("exit 1\ngone.msi: cannot be read: "));
    assert_eq!(
        run(&folder, "add 1.0.0 windows-x86_64=releases"),
        "exit 1\nreleases: cannot be read: it is a folder\n1 problem; nothing was written\n"
    );
    assert!(
        run(&folder, "add 1.0.0 macos-arm64=Agent.pkg --channel nightly")
            .starts_with("exit 1\nreleases/1.0.0.yaml:2:12: channels: the catalog declares no channel `nightly`")
    );
    fs::write(folder.path().join("page.msi"), b"<!DOCTYPE html>").expect("written");
    assert!(run(&folder, "add 1.0.0 windows-x86_64=page.msi --strict").starts_with("exit 1\npage.msi: is an HTML page"));
    assert_eq!(fs::read_dir(folder.path().join("releases")).expect("readable").count(), 1, "nothing was written");
    assert!(!folder.path().join("artifacts").exists(), "nothing was stored");
    assert!(run(&folder, "add 1.0.0 windows-x86_64=page.msi").contains("page.msi: warning: is an HTML page"));
}

#[test]
fn edits_keep_comments_and_tell_what_moves() {
    let folder = fresh();
    add(&folder, "1.0.0", &["--channel", "stable"]);
    add(&folder, "1.1.0", &[]);
    let commented = format!(
        "# on top\n{}# at the end\n",
        read(folder.path(), "releases/1.1.0.yaml").replace("channels: []", "channels: []   # where")
    );
    fs::write(folder.path().join("releases/1.1.0.yaml"), &commented).expect("written");
    assert_eq!(run(&folder, "promote 1.1.0 stable"), "exit 0\nreleases/1.1.0.yaml: edited\nstable: 1.0.0 → 1.1.0\n");
    assert_eq!(read(folder.path(), "releases/1.1.0.yaml"), commented.replace("[]", "[stable]"));
    assert_eq!(run(&folder, "promote 1.1.0 stable"), "exit 0\nnothing to do: 1.1.0 is already in stable\n");
    assert_eq!(
        run(&folder, "pin stable 1.0.0 --reason crashes"),
        "exit 0\nreleases/catalog.yaml: edited\nstable: 1.1.0 → 1.0.0\n"
    );
    let catalog = read(folder.path(), "releases/catalog.yaml");
    assert_eq!(
        catalog,
        "# the catalog\nproduct: Agent # ours\nchannels:\n  stable: { pin: 1.0.0, reason: crashes }   # everyone\n  beta: {}\n"
    );
    let stuck = run(&folder, "yank 1.0.0 --reason broken");
    assert_eq!(
        stuck,
        "exit 1\nstable is pinned at `1.0.0`; say where it goes with --repin VERSION, or let it go with --unpin\n1 problem; nothing was written\n"
    );
    assert_eq!(
        run(&folder, "yank 1.0.0 --reason broken --unpin"),
        "exit 0\nreleases/1.0.0.yaml: edited\nreleases/catalog.yaml: edited\nstable: 1.0.0 → 1.1.0\n"
    );
    assert!(manifest(&folder, "1.0.0").ends_with("yanked: broken\n"));
    assert_eq!(run(&folder, "yank 1.0.0 --undo"), "exit 0\nreleases/1.0.0.yaml: edited\n");
    assert!(!manifest(&folder, "1.0.0").contains("yanked"));
    assert_eq!(run(&folder, "unpin stable"), "exit 0\nnothing to do: stable is not pinned\n");
    assert_eq!(
        run(&folder, "recall 1.1.0 --reason 'leaks'"),
        "exit 0\nreleases/1.1.0.yaml: edited\nstable: 1.1.0 → 1.0.0\nlatest: 1.1.0 → 1.0.0\n"
    );
    assert!(run(&folder, "promote 9.9.9 stable").starts_with("exit 1\nthere is no release `9.9.9` in releases\n"));
    assert!(run(&folder, "pin stable 9.9.9 --reason x").starts_with("exit 1\nreleases/catalog.yaml:4:"));
    assert!(run(&folder, "yank 1.0.0").starts_with("exit 2\n"));
}

#[test]
fn drafts_change_nothing_until_they_are_undrafted() {
    let folder = fresh();
    add(&folder, "1.0.0", &["--channel", "stable"]);
    compiler_ok(folder.path(), &["build"]);
    let before = read(folder.path(), "dist/snapshot.json");
    add(&folder, "2.0.0", &["--channel", "stable", "--draft"]);
    compiler_ok(folder.path(), &["build"]);
    assert_eq!(read(folder.path(), "dist/snapshot.json"), before);
    assert_eq!(
        run(&folder, "undraft 2.0.0"),
        "exit 0\nreleases/2.0.0.yaml: edited\nstable: 1.0.0 → 2.0.0\nlatest: 1.0.0 → 2.0.0\n"
    );
    assert!(!manifest(&folder, "2.0.0").contains("draft"));
}

/// A built site with 1.0.0 and 1.1.0 in stable.
fn published() -> tempfile::TempDir {
    let folder = fresh();
    add(&folder, "1.0.0", &["--channel", "stable"]);
    add(&folder, "1.1.0", &["--channel", "stable"]);
    compiler_ok(folder.path(), &["build"]);
    folder
}

/// Changes a manifest by hand, and expects every command that looks to refuse.
fn refused(change: impl Fn(&Path), expected: &str) {
    let folder = published();
    let before = read(folder.path(), "dist/snapshot.json");
    change(&folder.path().join("releases"));
    for line in ["build", "check", "plan"] {
        let output = run(&folder, line);
        assert!(output.starts_with("exit 3\n"), "{line}: {output}");
        assert!(output.contains(expected), "{line}: {output}");
    }
    assert_eq!(read(folder.path(), "dist/snapshot.json"), before, "refused means unchanged");
    // The negative control: without the ledger, the very same sources are fine.
    assert!(run(&folder, "build --previous none --artifacts elsewhere").starts_with("exit 0\n"), "only the ledger refuses this");
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replace(from, to)).expect("written");
}

#[test]
fn what_is_published_never_changes() {
    refused(
        |releases| replace(&releases.join("1.0.0.yaml"), "size_bytes: 9", "size_bytes: 10"),
        "artifacts.windows-x86_64.size_bytes: published as `9` and cannot become `10`",
    );
    refused(
        |releases| replace(&releases.join("1.0.0.yaml"), "Agent-1.0.0.msi", "Agent.msi"),
        "artifacts.windows-x86_64.filename: published as `Agent-1.0.0.msi`",
    );
    refused(
        |releases| replace(&releases.join("1.0.0.yaml"), "size_bytes", "content_type: a/b\n    size_bytes"),
        "content_type: published as `application/octet-stream`",
    );
    refused(
        |releases| replace(&releases.join("1.0.0.yaml"), "03:04:05", "03:04:06"),
        "published_at: published as `2026-01-02T03:04:05.000Z`",
    );
    refused(|releases| replace(&releases.join("1.0.0.yaml"), "guid: rel_0", "guid: rel_1"), "guid: published as `rel_0");
    refused(
        |releases| fs::remove_file(releases.join("1.0.0.yaml")).expect("removed"),
        "releases/1.0.0.yaml: is gone, but its release is published",
    );
    refused(
        |releases| replace(&releases.join("1.0.0.yaml"), "version: 1.0.0", "version: 1.0.0\ndraft: true"),
        "cannot become a draft again",
    );
    refused(
        |releases| {
            replace(
                &releases.join("1.0.0.yaml"),
                "artifacts:",
                "attachments:\n  a.txt: { sha256: 1111111111111111111111111111111111111111111111111111111111111111 }\nartifacts:",
            );
        },
        "attachments.a.txt: published as nothing",
    );
}

#[test]
fn a_head_never_goes_down_without_a_reason() {
    refused(|releases| replace(&releases.join("1.1.0.yaml"), "[stable]", "[]"), "its head goes down from `1.1.0` to `1.0.0`");
    let folder = published();
    assert!(run(&folder, "demote 1.1.0 stable").starts_with("exit 3\n"));
    assert!(run(&folder, "demote 1.0.0 stable").starts_with("exit 0\n"), "what is not the head may leave");
    for line in [
        "build",
        "yank 1.1.0 --reason broken",
        "build",
        "yank 1.1.0 --undo",
        "build",
        "pin stable 1.1.0 --reason hold",
        "build",
        "unpin stable",
        "build",
    ] {
        assert!(run(&folder, line).starts_with("exit 0\n"), "{line}");
    }
    // Withdrawing the head does not let the next one be moved away unseen.
    let folder = published();
    assert!(run(&folder, "yank 1.1.0 --reason broken").starts_with("exit 0\n"));
    let output = run(&folder, "demote 1.0.0 stable");
    assert!(
        output.starts_with(
            "exit 3\nreleases/1.0.0.yaml:1:10: channels: without `stable`, its head goes down from `1.1.0` to nothing"
        ),
        "{output}"
    );
    let folder = published();
    replace(&folder.path().join("releases/catalog.yaml"), "  beta: {}\n", "");
    assert!(run(&folder, "build").starts_with("exit 0\n"), "an empty channel may go");
}

#[test]
fn plan_counts_and_names_every_answer_that_changes() {
    let folder = published();
    assert_eq!(run(&folder, "plan"), "exit 0\n0 of 47 answers change\n");
    compiler_ok(folder.path(), &["yank", "1.1.0", "--reason", "broken"]);
    let output = run(&folder, "plan");
    assert!(output.starts_with("exit 6\n"), "{output}");
    assert!(output.contains("\n  latest?channel=stable 1.1.0 → 1.0.0\n"), "{output}");
    assert!(output.contains("\n  latest/download?channel=stable&platform=windows 1.1.0 → 1.0.0\n"), "{output}");
    let json = run(&folder, "plan --format json");
    let json: serde_json::Value = serde_json::from_str(json.trim_start_matches("exit 6\n")).expect("JSON");
    assert_eq!(json["questions"], 47);
    assert!(run(&folder, "plan --format markdown").contains("| `/v2/agent-releases/latest?channel=stable` | 1.1.0 → 1.0.0 |"));
    assert!(run(&folder, "plan --against nowhere").starts_with("exit 1\nnowhere/snapshot.json: no snapshot there"));
}

#[test]
fn resolve_says_what_and_why() {
    let folder = published();
    let output = run(&folder, "resolve https://any.example/v2/agent-releases/latest/download?platform=windows");
    assert!(output.starts_with("exit 0\nGET /v2/agent-releases/latest/download?platform=windows\n302 Found\n"), "{output}");
    assert!(
        output.ends_with(
            "why: the channel's head, sent to where its bytes lie\nrelease: 1.1.0 (releases/1.1.0.yaml)\nchannel: stable\n"
        ),
        "{output}"
    );
    assert!(run(&folder, "resolve /nope").contains("\n404 Not Found\n"));
    assert!(run(&folder, "resolve nope").starts_with("exit 2\n"));
}

#[test]
fn one_more_release_changes_few_documents_whatever_the_history() {
    let changed = |count: usize| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make-collection");
        let made =
            std::process::Command::new("python3").arg(script).arg(count.to_string()).arg(folder.path().join("releases")).status();
        assert!(made.expect("python3").success());
        let catalog = folder.path().join("releases/catalog.yaml");
        let text = fs::read_to_string(&catalog).expect("readable");
        fs::write(catalog, text + "public_url: https://get.example.com\nv1: { deprecated_on: 2026-03-01 }\n").expect("written");
        compiler_ok(folder.path(), &["build"]);
        let documents = |folder: &Path| {
            let index: serde_json::Value = serde_json::from_str(&read(folder, "dist/snapshot.json")).expect("JSON");
            let rows = index["files"].as_array().expect("rows").iter();
            rows.map(|row| (row["path"].as_str().expect("a path").to_owned(), row["sha256"].to_string()))
                .collect::<std::collections::BTreeSet<_>>()
        };
        let before = documents(folder.path());
        fs::write(
            folder.path().join("releases/900.0.0.yaml"),
            "version: 900.0.0\nchannels: [stable, beta]\npublished_at: 2100-01-01T00:00:00Z\n",
        )
        .expect("written");
        compiler_ok(folder.path(), &["build"]);
        let after = documents(folder.path());
        let changed = |start: &str| after.difference(&before).filter(|(path, _)| path.starts_with(start)).count();
        (changed("public/v2/"), changed(""))
    };
    let few = changed(100);
    assert_eq!(few, changed(1000));
    let (of_v2, all) = few;
    assert!(of_v2 <= 6 + 3 * 2, "{of_v2} documents of V2");
    assert!(all <= 30, "{all} documents");
}

#[test]
fn completions_and_the_manual_are_there() {
    let folder = fresh();
    assert!(run(&folder, "completions bash").contains("complete -F"));
    assert!(run(&folder, "man").contains(".TH agent-releases"));
    assert!(run(&folder, "--help").contains("Exit codes: 0 fine"));
    assert!(run(&folder, "biuld").starts_with("exit 2\n"));
}

#[test]
fn a_frozen_hash_and_platform_cannot_be_changed_by_hand() {
    refused(
        |releases| {
            let path = releases.join("1.0.0.yaml");
            let text = fs::read_to_string(&path).expect("readable");
            let at = text.find("sha256: ").expect("a hash") + 8;
            let other = format!("{}{}{}", &text[..at], if &text[at..=at] == "1" { "2" } else { "1" }, &text[at + 1..]);
            fs::write(&path, other).expect("written");
        },
        "artifacts.windows-x86_64.sha256: published as `",
    );
    refused(
        |releases| replace(&releases.join("1.0.0.yaml"), "windows-x86_64", "linux-x86_64"),
        "artifacts.windows-x86_64: published as `Agent-1.0.0.msi`",
    );
}

#[test]
fn edits_at_the_same_time_are_all_kept() {
    let folder = fresh();
    for version in ["1.0.0", "1.1.0"] {
        add(&folder, version, &["--channel", "stable"]);
    }
    let lines = ["yank 1.1.0 --reason bad", "promote 1.1.0 beta"];
    std::thread::scope(|scope| {
        for line in lines {
            let folder = &folder;
            scope.spawn(move || assert!(run(folder, line).starts_with("exit 0\n"), "{line}"));
        }
    });
    let text = manifest(&folder, "1.1.0");
    assert!(text.contains("yanked: bad") && text.contains("[stable, beta]"), "{text}");
}

#[test]
fn builds_at_the_same_time_leave_a_whole_site() {
    let folder = published();
    let copy = tempfile::tempdir().expect("a temporary folder");
    common::copy_files(&folder.path().join("releases"), &copy.path().join("releases"));
    replace(&copy.path().join("releases/1.0.0.yaml"), "guid:", "notes_url: https://example.com/other\nguid:");
    let other = copy.path().join("releases").display().to_string();
    for round in 0..10 {
        replace(&folder.path().join("releases/1.1.0.yaml"), "version: 1.1.0", &format!("# {round}\nversion: 1.1.0"));
        std::thread::scope(|scope| {
            scope.spawn(|| compiler_ok(folder.path(), &["build"]));
            scope.spawn(|| compiler_ok(folder.path(), &["build", "--releases", &other]));
        });
        agent_releases::answer::Site::open(&folder.path().join("dist"), true).expect("a whole site");
    }
}

#[test]
fn a_pin_and_a_yank_are_written_both_or_not_at_all() {
    let folder = published();
    compiler_ok(folder.path(), &["pin", "stable", "1.0.0", "--reason", "hold"]);
    let before = (read(folder.path(), "releases/catalog.yaml"), read(folder.path(), "releases/1.0.0.yaml"));
    // A folder in the place of the catalog's temporary neighbour can't be arranged, but a catalog that can't be replaced can.
    let away = folder.path().join("elsewhere");
    fs::create_dir(&away).expect("a folder");
    fs::rename(folder.path().join("releases/catalog.yaml"), folder.path().join("releases/real-catalog")).expect("moved");
    std::os::unix::fs::symlink("real-catalog", folder.path().join("releases/catalog.yaml")).expect("a link");
    assert!(run(&folder, "yank 1.0.0 --reason bad --unpin").starts_with("exit 0\n"), "a link is followed");
    assert!(folder.path().join("releases/catalog.yaml").is_symlink(), "and stays a link");
    assert_ne!((read(folder.path(), "releases/catalog.yaml"), read(folder.path(), "releases/1.0.0.yaml")), before);
    // A half-done withdrawal, as a kill between the two files leaves it, is refused by build and mended by the same command.
    compiler_ok(folder.path(), &["yank", "1.0.0", "--undo"]);
    compiler_ok(folder.path(), &["pin", "stable", "1.0.0", "--reason", "hold"]);
    let text = read(folder.path(), "releases/1.0.0.yaml");
    fs::write(folder.path().join("releases/1.0.0.yaml"), format!("{text}yanked: bad\n")).expect("written");
    assert!(run(&folder, "build").starts_with("exit 1\nreleases/catalog.yaml:"));
    assert!(run(&folder, "unpin stable").starts_with("exit 0\n"));
    assert!(run(&folder, "build").starts_with("exit 0\n"));
}

#[test]
fn flags_that_would_be_ignored_are_refused() {
    let folder = published();
    assert!(
        run(&folder, "add 1.0.0 windows-x86_64=Agent-1.0.0.msi --channel beta")
            .starts_with("exit 2\nerror: --channel: 1.0.0 has a manifest already")
    );
    assert!(run(&folder, "add 1.0.0 Agent-1.0.0.msi --channel stable").contains("nothing to do"));
    assert!(run(&folder, "yank 1.0.0 --reason x --repin 1.1.0").starts_with("exit 2\nerror: no channel is pinned at `1.0.0`"));
    assert!(run(&folder, "unpin stabel").starts_with("exit 1\nthe catalog declares no channel `stabel`"));
    assert!(run(&folder, "demote 1.0.0 latest").starts_with("exit 1\nevery published release is in `latest`"));
}

#[test]
fn a_mistake_beside_a_letter_that_is_not_ascii_is_told() {
    let folder = fresh();
    fs::write(folder.path().join("releases/2.0.0.yaml"), "version: 2.0.0\nnotes: \"a\"é\n").expect("written");
    let output = run(&folder, "check");
    assert!(output.starts_with("exit 1\nreleases/2.0.0.yaml:2:"), "{output}");
}

#[test]
fn a_token_is_printed_once_and_its_hash_added() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tokens");
    let mode = || fs::metadata(&file).expect("the file").permissions().mode() & 0o7777;
    let new = |arguments: &str| {
        let all: Vec<&str> = ["token", "new"].into_iter().chain(arguments.split(' ')).collect();
        let output = compiler(folder.path(), &all);
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, token, _) = new("ci --tokens tokens");
    let token = token.trim_end();
    assert_eq!((code, token.len(), &token[..4], mode()), (Some(0), 63, "agr_", 0o600));
    let line = format!("ci {}\n", Sha256::of(token.as_bytes()));
    assert_eq!(fs::read_to_string(&file).expect("readable"), line);
    // What stands in the file stays, its mode too.
    fs::write(&file, format!("# who may ask\n{line}")).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("its mode");
    assert_eq!(new("night --tokens tokens --expires-at 2030-01-01T02:00:00+02:00").0, Some(0));
    let text = fs::read_to_string(&file).expect("readable");
    assert!(text.starts_with(&format!("# who may ask\n{line}night ")) && text.ends_with(" 2030-01-01T00:00:00.000Z\n"), "{text}");
    assert_eq!(mode(), 0o640);
    let refused = |arguments: &str, exit: i32, words: &str| {
        let (code, out, error) = new(arguments);
        assert_eq!((code, &*out), (Some(exit), ""), "{error}");
        assert!(error.contains(words), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("readable"), text, "nothing changes");
    };
    refused("ci --tokens tokens", 1, "`ci` is there already");
    refused("a/b --tokens tokens", 2, "expected 1 to 64 letters");
    refused("old --tokens tokens --expires-at 1960-01-01T00:00:00Z", 2, "a time after 1970");
    std::os::unix::fs::symlink("nowhere/at-all", folder.path().join("link")).expect("a link");
    refused("x --tokens link", 1, "cannot be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode");
    refused("x --tokens tokens", 1, "its mode, 0644, gives others permission");
}

#[test]
fn catalogs_that_are_worth_a_look() {
    let folder = published();
    let catalog = folder.path().join("releases/catalog.yaml");
    let text = fs::read_to_string(&catalog).expect("readable");
    fs::write(&catalog, format!("{text}access: {{ v2: required }}\nv1: {{ deprecated_on: 2026-03-01 }}\n")).expect("written");
    let manifest = folder.path().join("releases/1.0.0.yaml");
    let text = fs::read_to_string(&manifest).expect("readable");
    let without_guid: String = text.lines().filter(|line| !line.starts_with("guid:")).map(|line| format!("{line}\n")).collect();
    fs::write(&manifest, format!("{without_guid}active: true\n")).expect("written");
    let output = run(&folder, "check");
    assert!(output.contains("V1 is public and shows what V2 hides"), "{output}");
    assert!(output.contains("the Active API shows no release without a `guid`"), "{output}");
}

#[test]
fn what_is_active_above_the_pin_is_worth_a_look() {
    let warned = |changes: &[(&str, &str)]| {
        let folder = published();
        compiler_ok(folder.path(), &["pin", "stable", "1.0.0", "--reason", "crashes"]);
        for (version, line) in changes {
            let manifest = folder.path().join(format!("releases/{version}.yaml"));
            let text = fs::read_to_string(&manifest).expect("readable");
            fs::write(&manifest, format!("{text}{line}\n")).expect("written");
        }
        let output = run(&folder, "check");
        assert!(output.starts_with("exit 0\n"), "{output}");
        output.contains("although stable is pinned at `1.0.0`")
    };
    assert!(warned(&[("1.1.0", "active: true")]));
    assert!(!warned(&[]) && !warned(&[("1.1.0", "active: false")]), "nobody says so");
    assert!(!warned(&[("1.0.0", "active: true")]), "the pin itself is fine");
    assert!(!warned(&[("1.1.0", "active: true\nyanked: broken")]), "what is not offered is not active");
    assert!(!warned(&[("1.1.0", "active: true\nrecalled: broken")]), "what is not offered is not active");
}

#[test]
fn mistakes_of_a_template_are_named_where_they_are() {
    let folder = published();
    let pages = folder.path().join("pages");
    // Files, and what is said.
    type Mistake<'a> = (&'a [(&'a str, &'a str)], &'a str);
    let mistakes: [Mistake<'_>; 8] = [
        (&[("index.html", "{% if %}")], "pages/index.html:1: syntax error"),
        (&[("style.css", "{% if %}")], "pages/style.css:1: syntax error"),
        (
            &[("index.html", "a\n{% include \"part.html\" %}"), ("part.html", "a\nb\n{{ nobody }}")],
            "pages/part.html:3: undefined value",
        ),
        (&[("index.html", "{{ nobody }}"), ("docs.html", "{{ nobody }}")], "2 problems"),
        (
            &[("404.html", "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}")],
            "404.html: would be longer",
        ),
        (&[("404.html", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")], "404.html:1: "),
        (&[("index.html", "{{ asset(\"nothing.js\") }}")], "there is no asset `nothing.js`; there are "),
        (&[("style.css", "{{ asset(\"nothing.png\") }}")], "there is no asset `nothing.png`; there are "),
    ];
    for (files, expected) in mistakes {
        fs::create_dir(&pages).expect("made");
        files.iter().for_each(|(name, text)| fs::write(pages.join(name), text).expect("written"));
        for command in ["check", "build"] {
            let output = run(&folder, &format!("{command} --template pages"));
            assert!(output.starts_with("exit 1\n") && output.contains(expected), "{command} {expected}: {output}");
        }
        fs::remove_dir_all(&pages).expect("removed");
    }
    assert!(run(&folder, "build --template pages").contains("pages: cannot be read"));
    fs::write(&pages, "").expect("written");
    assert!(run(&folder, "build --template pages").contains("pages: is not a folder"));
    fs::remove_file(&pages).expect("removed");
    fs::create_dir(&pages).expect("made");
    fs::create_dir(pages.join("drafts")).expect("made");
    fs::write(pages.join("print.css"), "@media print { nav { display: none } }").expect("written");
    fs::write(pages.join("style.css"), "{% include \"print.css\" %}").expect("written");
    assert!(run(&folder, "check --template pages").starts_with("exit 0\n"), "folders are nobody's business");
    std::os::unix::fs::symlink(folder.path().join("releases/catalog.yaml"), pages.join("catalog.yaml")).expect("linked");
    assert!(run(&folder, "build --template pages").contains("pages/catalog.yaml: is a link that leaves the folder"));
}

#[test]
fn a_channel_that_nobody_knows_guards_nothing() {
    let folder = published();
    assert!(run(&folder, "plan --fail-on stable").starts_with("exit 0\n"));
    let output = run(&folder, "plan --fail-on stabel");
    assert!(output.starts_with("exit 2\n") && output.contains("there is no channel `stabel`; there are "), "{output}");
}

#[test]
fn a_page_that_is_too_long_is_refused_by_check_as_well() {
    let folder = published();
    fs::write(folder.path().join("releases/1.0.0.md"), "- `a`\n".repeat(100_000)).expect("written");
    for command in ["check", "build"] {
        let output = run(&folder, command);
        assert!(
            output.starts_with("exit 1\n") && output.contains("/releases/1.0.0/: would be longer than 1 MiB"),
            "{command}: {output}"
        );
    }
}

#[test]
fn the_logo_and_an_asset_of_the_template_may_share_a_name() {
    let folder = published();
    let (releases, pages) = (folder.path().join("releases"), folder.path().join("pages"));
    let catalog = fs::read_to_string(releases.join("catalog.yaml")).expect("text");
    fs::write(releases.join("catalog.yaml"), format!("{catalog}page: {{ logo: logo.svg }}\n")).expect("written");
    fs::write(releases.join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").expect("written");
    fs::create_dir(&pages).expect("made");
    fs::write(pages.join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\"/>").expect("written");
    fs::write(pages.join("style.css"), "a { background: url({{ asset(\"logo.svg\") }}) }").expect("written");
    compiler_ok(folder.path(), &["build", "--template", "pages", "--out", "site"]);
    let assets: Vec<_> =
        fs::read_dir(folder.path().join("site/public/assets")).expect("assets").map(|entry| entry.expect("one").path()).collect();
    let logos: Vec<String> =
        assets.iter().filter_map(|path| path.to_str()?.split_once("assets/logo.")).map(|(_, name)| name.to_owned()).collect();
    assert_eq!(logos.len(), 2, "{logos:?}");
    let style = assets.iter().find(|path| path.extension().is_some_and(|ending| ending == "css")).expect("the style");
    let style = fs::read_to_string(style).expect("text");
    let page = fs::read_to_string(folder.path().join("site/public/index.html")).expect("text");
    let named =
        |text: &str| logos.iter().filter(|name| text.contains(&format!("/assets/logo.{name}"))).cloned().collect::<Vec<_>>();
    assert_eq!((named(&style).len(), named(&page).len()), (1, 1));
    assert_ne!(named(&style), named(&page));
}

#[test]
fn an_index_of_before_an_exchange_is_read_again() {
    let folder = published();
    let out = folder.path().join("dist");
    let old = agent_releases::snapshot::read_index(&out).expect("an index");
    let (id, catalog) = (old.id.clone(), folder.path().join("releases/catalog.yaml"));
    let text = fs::read_to_string(&catalog).expect("text");
    let kept = text.lines().filter(|line| !line.starts_with("product:")).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(&catalog, format!("{kept}product: Renamed\n")).expect("written");
    compiler_ok(folder.path(), &["build"]);
    let (new, files) = Default::default();
    let site = agent_releases::publish::against::site_in_folder(&out, Some(old), &new, &files).expect("a site");
    assert_ne!(site.id(), id);
    assert_eq!(site.product(), "Renamed");
}

#[test]
fn of_a_template_nothing_is_published_that_no_page_asks_for() {
    let folder = published();
    let pages = folder.path().join("pages");
    fs::create_dir(&pages).expect("made");
    for (name, text) in [
        ("deploy.sh", "secret"),
        ("own.png", "picture"),
        ("style.css", "@media print{#history{background:url({{ asset(\"own.png\") }})}}"),
    ] {
        fs::write(pages.join(name), text).expect("written");
    }
    compiler_ok(folder.path(), &["build", "--template", "pages", "--out", "site"]);
    let assets = fs::read_dir(folder.path().join("site/public/assets")).expect("assets");
    let mut names: Vec<String> = assets.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| !name.ends_with(".br") && !name.ends_with(".gz"));
    let mut stems: Vec<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
    stems.sort_unstable();
    assert_eq!(stems, ["agent-downloads", "docs", "history", "icon", "own", "style"]);
    let style = names.iter().find(|name| name.starts_with("style.")).expect("the style");
    let own = names.iter().find(|name| name.starts_with("own.")).expect("the picture");
    let style = read(folder.path(), &format!("site/public/assets/{style}"));
    assert_eq!(style, format!("@media print{{#history{{background:url(/assets/{own})}}}}"));
}
