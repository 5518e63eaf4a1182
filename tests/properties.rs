//! What must hold of every collection and every request, tried on many.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::answer::{Request, Secrets, Site, answer, questions};
use agent_releases::compile::{Baseline, Options, compile};
use agent_releases::plan::plan;
use agent_releases::words::{Version, Word};
use common::{compiler, compiler_ok, copy_files, data};
use http::header::LOCATION;
use http::{HeaderMap, Method};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn runner(cases: u32) -> TestRunner {
    // The same cases on every run: a failure that comes and goes helps nobody.
    TestRunner::new_with_rng(
        Config { cases, failure_persistence: None, ..Config::default() },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    )
}

fn built(collection: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy_files(&data().join("good").join(collection), &folder.path().join("releases"));
    compiler_ok(folder.path(), &["build"]);
    folder
}

/// Versions in text, valid and not, built from the pieces where parsers go wrong.
fn version_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("0".to_owned()),
        Just("00".to_owned()),
        Just("01".to_owned()),
        "[1-9][0-9]{0,3}",
        Just("18446744073709551615".to_owned())
    ];
    let word =
        prop_oneof![number.clone(), "[a-z]{1,3}", "[A-Z-]{1,2}", Just("rc".to_owned()), Just(String::new()), "[0-9]{1,2}[a-z]"];
    let core = proptest::collection::vec(number, 2..5).prop_map(|parts| parts.join("."));
    let tail = proptest::option::of(proptest::collection::vec(word, 1..4).prop_map(|parts| parts.join(".")));
    (core, tail, proptest::option::of("[a-z0-9.]{0,3}")).prop_map(|(core, tail, build)| {
        format!(
            "{core}{}{}",
            tail.map_or(String::new(), |tail| format!("-{tail}")),
            build.map_or(String::new(), |build| format!("+{build}"))
        )
    })
}

#[test]
fn versions_are_those_of_the_semver_crate_and_in_its_order() {
    let check = |a: String, b: String| {
        let theirs = |text: &str| {
            semver::Version::parse(text).ok().filter(|version| {
                version.build.is_empty() && text.len() <= 64 && ![".json", ".gz", ".br"].iter().any(|e| text.ends_with(e))
            })
        };
        prop_assert_eq!(Version::parse(&a).is_ok(), theirs(&a).is_some(), "{}", a);
        if let (Ok(ours), Ok(other), Some(their), Some(their_other)) =
            (Version::parse(&a), Version::parse(&b), theirs(&a), theirs(&b))
        {
            prop_assert_eq!(ours.cmp(&other), their.cmp_precedence(&their_other), "{} {}", a, b);
        }
        Ok(())
    };
    runner(20_000).run(&(version_text(), version_text()), |(a, b)| check(a, b)).expect("the property holds");
    let ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "99999999999999999999.0.0",
    ];
    let versions: Vec<Version> = ordered.iter().map(|text| Version::parse(text).expect(text)).collect();
    assert!(versions.is_sorted(), "the example of SemVer 2.0.0, rule 11");
}

/// The locations that the compiler planned, with the version that each belongs to.
fn compiled_locations(site: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let map: serde_json::Value = serde_json::from_slice(&fs::read(site.join("redirects.json")).expect("readable")).expect("JSON");
    let mut locations: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in map["rows"].as_array().expect("rows") {
        let text = |name: &str| row[name].as_str().expect(name).to_owned();
        locations.entry(text("location")).or_default().insert(text("version"));
    }
    locations
}

/// Targets made of the pieces of real ones, and of what attackers put between them.
fn target() -> impl Strategy<Value = String> {
    let version =
        prop_oneof![Just("1.8.3"), Just("1.8.2"), Just("1.7.41"), Just("1.7.42"), Just("latest"), Just("9.9.9"), Just("..")];
    let piece = prop_oneof![
        Just("/download"),
        Just("/windows"),
        Just("/macos/arm64"),
        Just("/files"),
        Just("/ScalepadAgent-1.8.3.msi"),
        Just("//evil.example"),
        Just("/%2f%2fevil.example"),
        Just("/\\evil"),
        Just("/..")
    ];
    let pair = prop_oneof![
        Just("platform=windows"),
        Just("platform=macos"),
        Just("arch=arm64"),
        Just("arch=x86_64"),
        Just("channel=beta"),
        Just("channel=canary"),
        Just("url=https://evil.example/"),
        Just("next=//evil.example"),
        Just("Location=https://evil.example/"),
        Just("platform=%0d%0aLocation:%20https://evil.example/"),
        Just("filename=x")
    ];
    let wanted = prop_oneof![
        Just("platform=windows"),
        Just("arch=arm64&platform=macos"),
        Just("platform=macos&arch=x86_64"),
        Just("channel=canary&platform=windows")
    ];
    let tail = proptest::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&"));
    let near = (version.clone(), wanted.clone(), tail.clone())
        .prop_map(|(version, wanted, tail)| format!("/v2/agent-releases/{version}/download?{wanted}&{tail}"));
    let legacy = (version.clone(), wanted, tail.clone())
        .prop_map(|(version, wanted, tail)| format!("/internal/v1/agent/downloads/{version}?{wanted}&{tail}"));
    let guid = prop_oneof![
        Just("rel_01hgw2bbg00000000000000001"),
        Just("REL_01HGW2BBG00000000000000001"),
        Just("rel_01HGW2BBG00000000000000001"),
        Just("rel_01hnkhtx00e4hr28t5cy4tqkff"),
        Just("//evil.example")
    ];
    let platform = prop_oneof![Just("windows-amd64"), Just("darwin-arm64"), Just("linux-arm64"), Just("/evil"), Just("..")];
    let active = (guid, platform, tail.clone())
        .prop_map(|(guid, platform, tail)| format!("/api/agent/v1/releases/{guid}/download/{platform}?{tail}"));
    let far = (version, proptest::collection::vec(piece, 0..4), tail)
        .prop_map(|(version, pieces, tail)| format!("/v2/agent-releases/{version}{}?{tail}", pieces.concat()));
    prop_oneof![near, legacy, active, far]
}

#[test]
fn a_location_is_always_a_compiled_one() {
    let folder = built("v1");
    let site = Site::open(&folder.path().join("dist"), false).expect("a site");
    let locations = compiled_locations(&folder.path().join("dist"));
    let headers = HeaderMap::new();
    let asked = std::cell::Cell::new((0u32, 0u32));
    let check = |target: &str| {
        let answer = answer(&site, &Request::new(&Method::GET, target, &headers).knowing(Secrets::trusting(), || 0));
        let location = answer.headers.get(LOCATION).map(|location| location.to_str().expect("ASCII"));
        let (count, redirects) = asked.get();
        asked.set((count + 1, redirects + u32::from(location.is_some())));
        location.is_none_or(|location| locations.contains_key(location))
    };
    for question in questions(&site) {
        assert!(check(&question), "{question}");
    }
    runner(1_000_000)
        .run(&target(), |target| {
            prop_assert!(check(&target), "{}", target);
            Ok(())
        })
        .expect("the property holds");
    let (count, redirects) = asked.get();
    assert!(
        count > 1_000_000 && redirects > 10_000,
        "{redirects} of {count} were redirects: the requests are not what they should be"
    );
}

#[test]
fn a_versions_redirect_never_leads_to_another_version() {
    for collection in ["http", "kitchen-sink", "no-storage", "plain", "v1", "active"] {
        let folder = built(collection);
        // With artifacts of its own, the edge sends those of the Active API.
        let site = Site::open(&folder.path().join("dist"), collection == "no-storage").expect("a site");
        let locations = compiled_locations(&folder.path().join("dist"));
        let headers = HeaderMap::new();
        let text = std::fs::read(folder.path().join("dist/private/active.json")).expect("the table");
        let active: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let of_guid = |guid: &str| {
            let entry = active["releases"].as_array().expect("releases").iter().find(|entry| entry["guid"] == guid);
            entry.expect("an active release")["version"].as_str().expect("a version").to_owned()
        };
        let mut redirects = 0;
        for question in questions(&site) {
            let path = question.split('?').next().unwrap_or_default();
            let segments: Vec<&str> = path.split('/').skip(1).collect();
            let version = match segments[..] {
                ["v2", _, version, "download", ..] | ["internal", _, _, "downloads", version] => version.to_owned(),
                ["api", _, _, _, guid, ..] if guid != "active" => of_guid(guid),
                _ => continue,
            };
            let request = Request::new(&Method::GET, &question, &headers).knowing(Secrets::trusting(), || 0);
            let answer = answer(&site, &request);
            let Some(location) = answer.headers.get(LOCATION).filter(|_| version != "latest") else { continue };
            assert!(locations[location.to_str().expect("ASCII")].contains(&version), "{question} leads to {location:?}");
            redirects += 1;
        }
        assert!(redirects > 0, "{collection}: no redirects");
    }
}

/// One page of a list: its versions, and where the next begins.
fn page(site: &Site, target: &str) -> (Vec<String>, Option<String>, u64) {
    let headers = HeaderMap::new();
    let answer = answer(site, &Request::new(&Method::GET, target, &headers));
    assert_eq!(answer.status, 200, "{target}");
    let page: serde_json::Value = serde_json::from_slice(&answer.body.to_bytes()).expect("JSON");
    let versions = page["data"]
        .as_array()
        .expect("data")
        .iter()
        .map(|release| release["version"].as_str().expect("a version").to_owned())
        .collect();
    (versions, page["next_cursor"].as_str().map(str::to_owned), page["total_count"].as_u64().expect("a count"))
}

#[test]
fn walking_with_cursors_gives_the_sorted_list_even_when_releases_come_and_go() {
    let folder = built("http");
    let releases = folder.path().join("releases");
    let site = || Site::open(&folder.path().join("dist"), false).expect("a site");
    let before = site();
    // Between two pages: one release is added at each end and in the middle, another is yanked.
    for (version, time) in [
        ("0.0.1", "2001-01-01T00:00:00Z"),
        ("1.8.4", "2026-02-25T00:00:00Z"),
        ("99.0.0", "2030-01-01T00:00:00Z"),
        ("1.5.5", "2025-10-10T10:10:10Z"),
    ] {
        fs::write(
            releases.join(format!("{version}.yaml")),
            format!("version: {version}\nchannels: [stable]\npublished_at: {time}\n"),
        )
        .expect("written");
    }
    compiler_ok(folder.path(), &["yank", "1.8.3", "--reason", "gone between two pages"]);
    compiler_ok(folder.path(), &["build"]);
    let after = site();
    for sort_by in ["published_at", "version"] {
        for order in ["asc", "desc"] {
            let list = format!("/v2/agent-releases?sort_by={sort_by}&sort_order={order}");
            let whole = |site: &Site| page(site, &format!("{list}&page_size=200")).0;
            let (all, then) = (whole(&before), whole(&after));
            assert!(all.len() > 3, "{all:?}");
            for size in 1..=all.len() + 1 {
                let mut walked = Vec::new();
                let mut cursor = None;
                loop {
                    let target = format!(
                        "{list}&page_size={size}{}",
                        cursor.map_or(String::new(), |cursor: String| format!("&cursor={cursor}"))
                    );
                    let (versions, next, total) = page(&before, &target);
                    assert_eq!(total, all.len() as u64);
                    walked.extend(versions);
                    // The rest of the walk on the changed site is the rest of the changed list.
                    if let Some(next) = &next {
                        let last = walked.last().expect("a release");
                        let (rest, _, _) = page(&after, &format!("{list}&page_size=200&cursor={next}"));
                        let place = then.iter().position(|version| version == last);
                        let expected: Vec<String> = match place {
                            Some(place) => then[place + 1..].to_vec(),
                            // It was yanked: what comes after it in the old list, and what was added behind it.
                            None => then
                                .iter()
                                .filter(|version| !walked.contains(version) && rest.contains(version))
                                .cloned()
                                .collect(),
                        };
                        assert_eq!(rest, expected, "{target}");
                        assert!(
                            all.iter()
                                .filter(|version| !walked.contains(version) && then.contains(version))
                                .all(|version| rest.contains(version)),
                            "{target}: a release was lost"
                        );
                    }
                    cursor = next;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(walked, all, "{list} in pages of {size}");
            }
        }
    }
}

#[test]
fn the_same_sources_make_the_same_bytes_however_they_are_built() {
    let source = data().join("good/kitchen-sink");
    let mut ids = BTreeSet::new();
    for round in 0..100u32 {
        let folder = tempfile::Builder::new()
            .prefix(&format!("varied-{}", "x".repeat(round as usize % 7)))
            .tempdir()
            .expect("a temporary folder");
        let releases = folder.path().join("releases");
        fs::create_dir_all(&releases).expect("a folder");
        // Another order of files in the folder, and other times.
        let mut names: Vec<_> =
            fs::read_dir(&source).expect("readable").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort_by_key(|name| agent_releases::words::Sha256::of(format!("{round}{}", name.display()).as_bytes()));
        for name in names {
            fs::copy(source.join(&name), releases.join(&name)).expect("copied");
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(round) * 86_400_000 / 7);
            fs::File::options().append(true).open(releases.join(&name)).expect("open").set_modified(time).expect("a time");
        }
        let umask = ["022", "077", "002"][round as usize % 3];
        let script = format!("umask {umask}; exec \"$0\" build --out \"out {round}\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_agent-releases")])
            .current_dir(folder.path())
            .env("TZ", ["UTC", "Asia/Kathmandu", "America/St_Johns"][round as usize % 3])
            .env("LANG", ["C", "tr_TR.UTF-8", "de_DE.UTF-8"][round as usize % 3])
            .env("RAYON_NUM_THREADS", (round % 5 + 1).to_string())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let index = fs::read(folder.path().join(format!("out {round}/snapshot.json"))).expect("readable");
        ids.insert(index);
    }
    assert_eq!(ids.len(), 1, "one snapshot.json");
}

#[test]
fn random_bytes_never_make_the_compiler_panic() {
    let base = fs::read(data().join("bad/_base/1.8.3.yaml")).expect("readable");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let releases = folder.path().join("releases");
    copy_files(&data().join("bad/_base"), &releases);
    let strategy = (proptest::collection::vec((0..base.len(), any::<u8>()), 1..6), proptest::option::of(0..base.len()));
    runner(300)
        .run(&strategy, |(changes, cut)| {
            let mut bytes = base.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            fs::write(releases.join("1.8.3.yaml"), &bytes).expect("written");
            let code = compiler(folder.path(), &["check"]).status.code();
            prop_assert!(matches!(code, Some(0 | 1)), "{:?}", code);
            Ok(())
        })
        .expect("the property holds");
}

/// The site of a collection with its manifests edited, as if nothing had been published before; `None` when a rule refuses it.
fn edited(collection: &str, is_local: bool, edit: &mut dyn FnMut(&str, String) -> String) -> Option<Site> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let releases = folder.path().join("releases");
    copy_files(&data().join("good").join(collection), &releases);
    for entry in fs::read_dir(&releases).expect("readable") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.ends_with(".yaml") && name != "catalog.yaml" {
            let text = fs::read_to_string(&path).expect("text");
            fs::write(&path, edit(&name, text)).expect("written");
        }
        if name == "catalog.yaml" && is_local {
            let text = fs::read_to_string(&path).expect("text");
            let kept = text.lines().filter(|line| !line.contains("base_url:") && !line.starts_with("storage:"));
            fs::write(&path, kept.map(|line| format!("{line}\n")).collect::<String>()).expect("written");
        }
    }
    let (artifacts, out) = (folder.path().join("artifacts"), folder.path().join("dist"));
    let options = Options {
        releases,
        artifacts,
        out,
        template: None,
        previous: Baseline::None,
        thoroughness: Default::default(),
        strict: false,
    };
    let built = compile(&options).ok()?.answers();
    Some(Site::new(&built.index, &built.files(), true).expect("a site"))
}

/// One of the things that are done to a release.
fn change(text: String, what: usize) -> String {
    let without =
        |key: &str| text.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect::<String>();
    let with = |key: &str, value: &str| format!("{}{key} {value}\n", without(key));
    match what {
        0 => with("active:", "true"),
        1 => with("active:", "false"),
        2 => with("yanked:", "broken"),
        3 => with("recalled:", "broken"),
        4 => without("yanked:"),
        5 => without("guid:"),
        6 => match text.split_once("sha256: ") {
            Some((head, tail)) => format!("{head}sha256: {}{}", if tail.starts_with('0') { '1' } else { '0' }, &tail[1..]),
            None => text,
        },
        7 => with("channels:", "[beta]"),
        8 => with("channels:", "[stable, beta]"),
        9 => with("published_at:", "2020-02-02T02:02:02Z"),
        10 => with("draft:", "true"),
        _ => text,
    }
}

#[test]
fn a_plan_lists_the_answers_that_differ_and_no_others() {
    let headers = HeaderMap::new();
    let given = |site: &Site, question: &str| {
        let request = Request::new(&Method::GET, question, &headers).knowing(Secrets::trusting(), || 0);
        let answer = answer(site, &request);
        let mut headers = answer.headers;
        headers.remove("x-release-snapshot");
        (answer.status, headers, answer.body.to_bytes())
    };
    let (mut refused, mut differences) = (0, 0);
    let remote = ["active", "v1", "kitchen-sink", "mixed", "no-storage", "required"].map(|collection| (collection, false));
    // Without a storage the edge serves artifacts itself, and releases share some.
    for (collection, is_local) in remote.into_iter().chain([("active", true)]) {
        let before = edited(collection, is_local, &mut |_, text| text).expect("a good collection");
        let strategy = proptest::collection::vec((any::<proptest::sample::Index>(), 0..11usize), 1..4);
        let property = |edits: Vec<(proptest::sample::Index, usize)>| {
            let names: Vec<String> = manifests_of(collection);
            let edits: Vec<(&String, usize)> = edits.iter().map(|(at, what)| (at.get(&names), *what)).collect();
            let mut edit = |name: &str, text: String| {
                edits.iter().filter(|(edited, _)| *edited == name).fold(text, |text, (_, what)| change(text, *what))
            };
            let after = edited(collection, is_local, &mut edit)?;
            let all: BTreeSet<String> = questions(&before).into_iter().chain(questions(&after)).collect();
            let differing: Vec<&String> =
                all.iter().filter(|question| given(&before, question) != given(&after, question)).collect();
            let plan = plan(Some(&before), &after);
            let listed: Vec<&String> = plan.changes.iter().map(|change| &change.address).collect();
            assert_eq!(listed, differing, "{collection}: {edits:?}");
            assert_eq!(plan.questions, all.len(), "{collection}: {edits:?}");
            Some(listed.len())
        };
        let run = std::cell::RefCell::new((0, 0));
        runner(60)
            .run(&strategy, |edits| {
                match property(edits) {
                    Some(count) => run.borrow_mut().1 += count,
                    None => run.borrow_mut().0 += 1,
                }
                Ok(())
            })
            .expect("the property holds");
        let (not, changed) = run.into_inner();
        (refused, differences) = (refused + not, differences + changed);
    }
    assert!(refused < 210 && differences > 2_000, "{refused} of 420 refused, {differences} differences");
}

/// The names of a collection's manifests.
fn manifests_of(collection: &str) -> Vec<String> {
    let entries = fs::read_dir(data().join("good").join(collection)).expect("readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml") && name != "catalog.yaml").collect();
    names.sort();
    names
}
