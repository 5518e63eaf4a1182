//! Publishing to a folder: what lies there afterwards, what is refused, and that one step back is one step.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use common::{Edge, both, compiler, compiler_ok};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A folder with sources, and the target beside them.
struct Desk {
    folder: tempfile::TempDir,
    target: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("releases")).expect("a folder");
        let catalog = "product: Agent\nchannels:\n  stable: {}\n  beta: {}\nv1: { deprecated_on: 2026-03-01 }\n";
        fs::write(folder.path().join("releases/catalog.yaml"), catalog).expect("written");
        let target = format!("file://{}/live", folder.path().display());
        Self { folder, target }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a release whose one installer holds its version.
    fn add(&self, version: &str, more: &[&str]) {
        let name = format!("Agent-{version}.msi");
        fs::write(self.path().join(&name), [&[0xd0, 0xcf, 0x11, 0xe0], version.as_bytes()].concat()).expect("written");
        compiler_ok(self.path(), &[&["add", version, &name, "--published-at", "2026-01-02T03:04:05Z"], more].concat());
    }

    fn ok(&self, arguments: &[&str]) -> String {
        compiler_ok(self.path(), &self.with_target(arguments))
    }

    /// What a command prints that does not end well.
    fn refused(&self, arguments: &[&str]) -> String {
        both(&compiler(self.path(), &self.with_target(arguments)))
    }

    fn with_target<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        arguments.iter().map(|argument| if *argument == "TARGET" { self.target.as_str() } else { argument }).collect()
    }

    /// Publishes without time for edges that nobody runs here.
    fn publish(&self) -> String {
        self.ok(&["publish", "TARGET", "--settle", "0", "--by", "ci"])
    }

    fn json(&self, path: &str) -> serde_json::Value {
        let bytes = fs::read(self.path().join("live").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Every file below a part of the target, with its bytes.
    fn files(&self, below: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path().join("live").join(below);
        let files = walkdir::WalkDir::new(&root).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
        files
            .map(|entry| {
                let path = entry.path().strip_prefix(&root).expect("below").display().to_string();
                (path, fs::read(entry.path()).expect("readable"))
            })
            .collect()
    }
}

#[test]
fn a_target_holds_what_the_contract_says_and_nothing_else() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    let top: Vec<String> = fs::read_dir(desk.path().join("live"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let expected = ["artifacts", "current", "objects", "private", "public", "snapshots"];
    assert_eq!(top.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), expected.into());
    let current = desk.json("current");
    assert_eq!((&current["generation"], &current["by"]), (&1.into(), &"ci".into()));
    assert_eq!(desk.json("snapshots/1.json")["id"], current["id"]);
    assert_eq!(desk.json("private/redirects.json")["rows"][0]["version"], "1.0.0");
    let built: serde_json::Value =
        serde_json::from_slice(&fs::read(desk.path().join("dist/snapshot.json")).expect("built")).expect("an index");
    assert_eq!((&built["generation"], &built["id"]), (&1.into(), &current["id"]));
    // Whatever can move lies below objects/ as well.
    let objects = desk.files("objects");
    for (path, bytes) in desk.files("public").iter().chain(&desk.files("private")) {
        let is_hashed = agent_releases::snapshot::is_hashed(&format!("public/{path}"));
        let sha256 = agent_releases::words::Sha256::of(bytes).hex();
        // What moves may have the bytes of what does not: the component lies at two addresses.
        let is_kept = objects.contains_key(&sha256);
        assert!(if is_hashed { path.starts_with("assets/") || !is_kept } else { is_kept }, "{path}");
    }
}

#[test]
fn the_same_again_sends_nothing_and_stays_the_same_generation() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    let before = desk.files("");
    assert!(desk.publish().contains("generation 1, snapshot"), "still the first");
    assert_eq!(desk.files(""), before);
}

#[test]
fn one_more_release_writes_few_documents_and_says_what_to_purge() {
    let desk = Desk::new();
    for patch in 0..12 {
        desk.add(&format!("1.0.{patch}"), &["--channel", "stable"]);
    }
    desk.publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    let said = desk.publish();
    let written: usize = said.split("sent: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a count");
    assert!(written <= 30, "{said}");
    for address in
        ["/", "/v2/agent-releases/latest.json", "/v2/agent-releases/index.json", "/internal/v1/agent/downloads/links.json"]
    {
        assert!(said.contains(&format!("purge {address}\n")), "{address} in {said}");
    }
    assert!(!said.contains("1.0.3.json") && !said.contains("1.1.0.json"), "what did not change, or is new: {said}");
}

#[test]
fn what_is_live_decides_what_may_change() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    // Another machine, which has no dist/ of its own.
    fs::remove_dir_all(desk.path().join("dist")).expect("removed");
    fs::remove_file(desk.path().join("releases/1.0.0.yaml")).expect("removed");
    let before = desk.files("");
    let said = desk.refused(&["publish", "TARGET"]);
    assert!(said.starts_with("exit 3") && said.contains("releases/1.0.0.yaml"), "{said}");
    assert_eq!(desk.files(""), before);
}

#[test]
fn a_rollback_brings_the_bytes_back_and_is_a_generation_of_its_own() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    let before = desk.files("public");
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    assert_ne!(desk.files("public"), before);
    let said = desk.ok(&["rollback", "TARGET", "--reason", "crashes on start", "--by", "oncall"]);
    assert!(said.contains("generation 3"), "{said}");
    let tiles = |path: &String| path.contains("/history/") && !path.ends_with("index.json");
    let mut after = desk.files("public");
    // Tiles of the generation before stay for whoever still reads its index.
    after.retain(|path, _| before.contains_key(path) || !tiles(path));
    assert_eq!(after, before);
    let history = desk.ok(&["history", "TARGET"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 3, "{history}");
    assert!(lines[0].contains("rollback to 1 by oncall") && lines[0].ends_with("stable is 1.0.0: crashes on start"), "{history}");
    // The newest ledger stays: 1.1.0 was published, and may not vanish from the sources.
    fs::remove_file(desk.path().join("releases/1.1.0.yaml")).expect("removed");
    assert!(desk.refused(&["publish", "TARGET"]).starts_with("exit 3"));
}

#[test]
fn a_rollback_does_not_offer_again_what_is_withdrawn() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    let installer = desk.files("artifacts").into_keys().find(|path| path.ends_with("Agent-1.1.0.msi")).expect("sent");
    compiler_ok(desk.path(), &["recall", "1.1.0", "--reason", "bad signature"]);
    let said = desk.publish();
    assert!(said.contains(&format!("purge /artifacts/{installer}\n")), "{said}");
    assert!(!desk.files("artifacts").contains_key(&installer), "recalled bytes are gone");
    let said = desk.refused(&["rollback", "TARGET", "--reason", "?"]);
    assert!(said.starts_with("exit 3") && said.contains("1.1.0 (recalled: bad signature)"), "{said}");
    assert_eq!(desk.json("current")["generation"], 2);
    // Named, it comes back, and its bytes with it.
    desk.ok(&["rollback", "TARGET", "--reason", "it was fine", "--restore", "1.1.0", "--settle", "0"]);
    assert!(desk.files("artifacts").contains_key(&installer));
    assert_eq!(desk.json("public/v2/agent-releases/latest.json")["version"], "1.1.0");
}

#[test]
fn somebody_who_came_first_is_named() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    let said = desk.refused(&["publish", "TARGET", "--on", "0"]);
    assert!(said.starts_with("exit 4") && said.contains("ci published first (generation 1, 20"), "{said}");
    desk.ok(&["publish", "TARGET", "--on", "1"]);
}

#[test]
fn a_claim_that_was_given_up_is_taken_over() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    let clean = desk.files("public");
    // As if the second publisher had been killed in the middle of its documents.
    let mut current = desk.json("current");
    let first = desk.files("snapshots").remove("1.json").expect("kept");
    let record = agent_releases::words::Sha256::of(&first).hex();
    current["next"] = serde_json::json!({
        "generation": 2, "id": current["id"], "record": current["record"], "by": "gone", "at": "2026-01-01T00:00:00.000Z",
        "early": true, "beat": 0,
    });
    (current["generation"], current["record"]) = (1.into(), record.into());
    current["id"] = desk.json("snapshots/1.json")["id"].clone();
    fs::write(desk.path().join("live/current"), format!("{current}\n")).expect("written");
    fs::write(desk.path().join("live/public/v2/agent-releases/latest.json"), "{}\n").expect("written");
    // First by one that is refused: it puts back what is live, and lets go; but what was given up stays known.
    assert!(desk.refused(&["publish", "TARGET", "--on", "7"]).starts_with("exit 4"));
    assert!(desk.json("current").get("next").is_none());
    assert_eq!(desk.json("public/v2/agent-releases/latest.json")["version"], "1.0.0");
    assert_eq!(desk.json("current")["given_up"][0]["generation"], 2);
    let said = desk.publish();
    assert!(said.contains("generation 3"), "{said}");
    assert!(desk.json("current").get("given_up").is_none(), "a new generation has none");
    assert_eq!(desk.files("public"), clean);
    assert!(desk.json("current").get("next").is_none());
}

#[test]
fn whoever_fails_after_a_take_over_lets_go() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    // As if the second publisher had been killed before the pointer, and its release were lost on this machine.
    let (second, first) = (desk.json("current"), fs::read(desk.path().join("live/snapshots/1.json")).expect("kept"));
    let record = agent_releases::words::Sha256::of(&first).hex();
    let next = serde_json::json!({
        "generation": 2, "id": second["id"], "record": second["record"], "by": "gone", "at": "2026-01-01T00:00:00.000Z",
        "early": true, "beat": 0,
    });
    let current = serde_json::json!({
        "generation": 1, "id": desk.json("snapshots/1.json")["id"], "record": record, "at": second["at"], "by": "ci", "next": next,
    });
    fs::write(desk.path().join("live/current"), format!("{current}\n")).expect("written");
    fs::remove_dir_all(desk.path().join("live/artifacts")).expect("removed");
    fs::remove_dir_all(desk.path().join("artifacts")).expect("removed");
    let said = desk.refused(&["publish", "TARGET", "--settle", "0"]);
    assert!(said.starts_with("exit 1"), "{said}");
    assert!(desk.json("current").get("next").is_none(), "{said}");
    assert_eq!(desk.json("current")["given_up"][0]["generation"], 2);
    // What was given up is not swept away: the next publisher reads it.
    desk.ok(&["prune", "TARGET", "--keep", "1", "--grace", "0"]);
    let given_up = desk.json("current")["given_up"][0]["record"].as_str().expect("a record").to_owned();
    assert!(desk.files("objects").contains_key(&given_up));
}

#[test]
fn a_purge_that_fails_is_exit_code_5_and_the_site_is_live() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    let said = desk.refused(&["publish", "TARGET", "--settle", "0", "--purge", "cat >purged; exit 7"]);
    assert!(said.starts_with("exit 5") && said.contains("pending: the purge `cat >purged; exit 7` ended with"), "{said}");
    assert_eq!(desk.json("current")["generation"], 2);
    let purged = fs::read_to_string(desk.path().join("purged")).expect("the command ran");
    assert!(purged.lines().any(|line| line == "/v2/agent-releases/latest.json"), "{purged}");
}

#[test]
fn an_edge_that_follows_serves_what_is_live() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    let mirror = desk.path().join("mirror");
    desk.ok(&["follow", "TARGET", "--once", "--out", "mirror", "--artifacts", "copies"]);
    let copies = desk.path().join("copies");
    let edge = Edge::start(&mirror, &["--artifacts", copies.to_str().expect("UTF-8")]);
    assert!(edge.get("/v2/agent-releases/latest").text().contains("\"version\":\"1.0.0\""));
    let location = edge.get("/v2/agent-releases/1.0.0/download?platform=windows").header("location").expect("one").to_owned();
    assert_eq!(edge.get(&location).body, [&[0xd0, 0xcf, 0x11, 0xe0][..], b"1.0.0"].concat());
    let base = format!("http://{}", edge.address);
    let audit = |more: &[&str]| both(&compiler(desk.path(), &[&["audit", &base, "--out", "mirror"], more].concat()));
    assert!(audit(&["--deep"]).starts_with("exit 0"), "{}", audit(&["--deep"]));
    assert!(both(&compiler(desk.path(), &["plan", "--against", &base])).starts_with("exit 0"));
    // One changed byte of an installer is drift, and so is a site that is not the live one.
    let copy = copies.join(location.trim_start_matches("/artifacts/"));
    fs::write(&copy, b"\xd0\xcf\x11\xe01.0.1").expect("written");
    assert!(audit(&[]).starts_with("exit 0"), "its size and type are right");
    assert!(audit(&["--deep"]).contains("its SHA-256 is"), "{}", audit(&["--deep"]));
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    desk.ok(&["follow", "TARGET", "--once", "--out", "newer"]);
    let said = both(&compiler(desk.path(), &["audit", &base, "--out", "newer"]));
    assert!(said.starts_with("exit 1") && said.contains("/v2/agent-releases/latest.json: its "), "{said}");
}

#[test]
fn plan_compares_with_what_is_live_and_fails_on_a_channel_alone() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    desk.add("1.1.0", &["--channel", "beta"]);
    let all = desk.refused(&["plan", "--against", "TARGET"]);
    assert!(all.starts_with("exit 6") && all.contains("generation 1 is live") && all.contains("latest?channel=beta"), "{all}");
    assert!(desk.refused(&["plan", "--against", "TARGET", "--fail-on", "stable"]).starts_with("exit 0"));
    assert!(desk.refused(&["plan", "--against", "TARGET", "--fail-on", "beta"]).starts_with("exit 6"));
}

#[test]
fn prune_keeps_what_a_kept_generation_reaches() {
    let desk = Desk::new();
    for patch in 0..5 {
        desk.add(&format!("1.0.{patch}"), &["--channel", "stable"]);
        desk.publish();
    }
    let said = desk.ok(&["prune", "TARGET", "--keep", "2", "--grace", "0"]);
    assert!(said.starts_with("3 generations and "), "{said}");
    assert_eq!(desk.files("snapshots").into_keys().collect::<Vec<_>>(), ["4.json", "5.json"]);
    desk.ok(&["rollback", "TARGET", "--reason", "still there"]);
    assert_eq!(desk.json("public/v2/agent-releases/latest.json")["version"], "1.0.3");
    assert!(desk.refused(&["rollback", "TARGET", "2", "--reason", "?"]).contains("generation 2 is not kept"));
}

#[test]
fn a_tile_outlives_its_time_for_those_generations_that_need_it() {
    let desk = Desk::new();
    let publish = || desk.ok(&["publish", "TARGET", "--settle", "0", "--retention", "0"]);
    for patch in 0..4 {
        desk.add(&format!("1.0.{patch}"), &["--channel", "stable"]);
        publish();
    }
    let tiles = desk.files("public/v2/agent-releases/history").len();
    assert_eq!(tiles, 3, "the index, the tile, and that of the generation before");
    desk.ok(&["rollback", "TARGET", "1", "--reason", "far back", "--retention", "0"]);
    let index = desk.json("public/v2/agent-releases/history/index.json");
    let tile = index["tiles"][0]["file"].as_str().expect("a tile").to_owned();
    assert!(desk.files("public/v2/agent-releases/history").contains_key(&tile), "{tile}");
}

#[test]
fn fragments_of_one_release_join_without_losing_one() {
    let desk = Desk::new();
    fs::write(desk.path().join("Agent.msi"), b"\xd0\xcf\x11\xe01").expect("written");
    fs::write(desk.path().join("Agent-arm64.pkg"), b"xar!1").expect("written");
    let folder = desk.path();
    compiler_ok(folder, &["add", "1.0.0", "Agent.msi", "--into", "windows", "--channel", "beta", "--releases", "nowhere"]);
    compiler_ok(folder, &["add", "1.0.0", "Agent-arm64.pkg", "--into", "mac", "--notes", "Hello", "--releases", "nowhere"]);
    compiler_ok(folder, &["add", "--join", "windows", "mac"]);
    let manifest = fs::read_to_string(folder.join("releases/1.0.0.yaml")).expect("written");
    for part in ["channels: [beta]", "notes: Hello", "windows-x86_64:", "macos-arm64:"] {
        assert!(manifest.contains(part), "{part} in {manifest}");
    }
    assert!(compiler_ok(folder, &["add", "--join", "windows", "mac"]).starts_with("nothing to do"));
    fs::write(folder.join("windows/files/windows-x86_64/Agent.msi"), b"\xd0\xcf\x11\xe02").expect("written");
    let said = both(&compiler(folder, &["add", "--join", "windows", "mac"]));
    assert!(said.starts_with("exit 1") && said.contains("but its fragment says"), "{said}");
}

#[test]
fn what_is_withdrawn_stays_so_through_rollbacks_that_do_not_know_it() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    compiler_ok(desk.path(), &["yank", "1.1.0", "--reason", "loses its settings"]);
    desk.publish();
    desk.ok(&["rollback", "TARGET", "1", "--reason", "far back"]);
    let said = desk.refused(&["rollback", "TARGET", "2", "--reason", "forward"]);
    assert!(said.starts_with("exit 3") && said.contains("1.1.0 (yanked: loses its settings)"), "{said}");
}

#[test]
fn the_same_again_repeats_the_purge() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    assert!(desk.refused(&["publish", "TARGET", "--settle", "0", "--purge", "false"]).starts_with("exit 5"));
    desk.ok(&["publish", "TARGET", "--settle", "0", "--purge", "cat >purged"]);
    let purged = fs::read_to_string(desk.path().join("purged")).expect("the command ran");
    assert!(purged.lines().any(|line| line == "/v2/agent-releases/latest.json"), "{purged}");
}

#[test]
fn a_target_without_artifacts_stays_one_when_it_is_rolled_back() {
    let desk = Desk::new();
    let catalog = desk.path().join("releases/catalog.yaml");
    let text = fs::read_to_string(&catalog).expect("readable") + "storage: { base_url: https://downloads.example.com/ }\n";
    fs::write(&catalog, text).expect("written");
    let publish = || desk.ok(&["publish", "TARGET", "--settle", "0", "--no-artifacts"]);
    desk.add("1.0.0", &["--channel", "stable"]);
    publish();
    desk.add("1.1.0", &["--channel", "stable"]);
    publish();
    desk.ok(&["rollback", "TARGET", "--reason", "?"]);
    assert!(!desk.path().join("live/artifacts").exists());
}

#[test]
fn a_record_that_names_files_elsewhere_is_none() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    fs::write(desk.path().join("victim"), "precious").expect("written");
    for field in ["gone", "withdrawn"] {
        let mut record = desk.json("snapshots/1.json");
        record[field] = serde_json::json!(["../victim"]);
        let bytes = format!("{record}\n");
        fs::write(desk.path().join("live/snapshots/1.json"), &bytes).expect("written");
        let mut current = desk.json("current");
        current["record"] = agent_releases::words::Sha256::of(bytes.as_bytes()).hex().into();
        fs::write(desk.path().join("live/current"), current.to_string()).expect("written");
        let said = desk.refused(&["publish", "TARGET"]);
        assert!(said.starts_with("exit 1") && said.contains("leads out of its place"), "{said}");
        assert!(desk.path().join("victim").exists());
    }
}

#[test]
fn what_was_cut_off_before_it_went_live_is_not_history() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.publish();
    let record = desk.path().join("live/snapshots/1.json");
    // As if a publisher had been killed between its record and the pointer.
    fs::copy(&record, desk.path().join("live/snapshots/2.json")).expect("copied");
    assert_eq!(desk.ok(&["history", "TARGET"]).lines().count(), 1);
}

#[test]
fn a_document_whose_headers_alone_differ_comes_back_whole() {
    let desk = Desk::new();
    desk.add("1.0.0", &["--channel", "stable"]);
    desk.add("1.1.0", &["--channel", "stable"]);
    desk.publish();
    let before = desk.files("public");
    compiler_ok(desk.path(), &["yank", "1.1.0", "--reason", "loses its settings"]);
    desk.publish();
    desk.ok(&["rollback", "TARGET", "--reason", "it was fine", "--restore", "1.1.0", "--settle", "0"]);
    let after = desk.files("public");
    for (path, bytes) in &before {
        assert_eq!(after.get(path), Some(bytes), "{path}");
    }
}
