//! What the exports refuse, and that they are the same on every build; what they answer is `scripts/prove conformance`.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::words::Sha256;
use common::{both, compiler, compiler_ok, copy_files, data};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Attachments of one manifest, which may hold 20,000 values.
const MOST_IN_ONE: usize = 2_500;

/// A folder with a catalog that asks for one export, and releases with attachments of these names.
fn site(export: &str, attachments: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let releases = folder.path().join("releases");
    fs::create_dir(&releases).expect("a folder");
    let catalog = "product: Many\nstorage: { base_url: 'https://downloads.example.com/' }\nchannels: { stable: {} }\n";
    fs::write(releases.join("catalog.yaml"), format!("{catalog}exports: [{export}]\n")).expect("written");
    for (major, names) in attachments.chunks(MOST_IN_ONE).enumerate() {
        let version = format!("{major}.0.0");
        let mut manifest = format!("version: {version}\nchannels: [stable]\npublished_at: null\nattachments:\n");
        for name in names {
            let hash = Sha256::of(name.as_bytes());
            writeln!(manifest, "  {name}: {{ size_bytes: 1, sha256: \"{hash}\" }}").expect("a line");
        }
        fs::write(releases.join(format!("{version}.yaml")), manifest).expect("written");
    }
    folder
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("file-{number}")).collect()
}

fn refusal(folder: &Path) -> String {
    let said = both(&compiler(folder, &["build"]));
    let error = said.lines().find(|line| line.contains("exports: "));
    format!("{} {}", said.lines().next().unwrap_or_default(), error.unwrap_or(&said))
}

#[test]
fn nginx_refuses_more_than_its_maps_hold() {
    let folder = site("nginx", &numbered(20_001));
    let said = refusal(folder.path());
    assert!(said.starts_with("exit 1 ") && said.contains("exports: nginx: there are 20001 artifacts and attachments"), "{said}");
    assert!(!folder.path().join("dist").exists());
}

#[test]
fn nginx_refuses_what_its_maps_mix_up() {
    let folder = site("nginx", &["Readme.txt", "README.txt"].map(str::to_owned));
    let said = refusal(folder.path());
    assert!(said.starts_with("exit 1 ") && said.contains("by letter case alone"), "{said}");
}

#[test]
fn pages_refuses_what_cloudflare_does() {
    let folder = site("pages", &numbered(2_001));
    let said = refusal(folder.path());
    assert!(said.contains("exports: pages: 2001 redirects, and Cloudflare Pages takes 2000"), "{said}");
    let folder = site("pages", &numbered(2_000));
    compiler_ok(folder.path(), &["build"]);
    let lines = fs::read_to_string(folder.path().join("dist/exports/pages/_redirects")).expect("written");
    assert_eq!(lines.lines().filter(|line| line.ends_with(" 302")).count(), 2_000);
}

#[test]
fn exports_are_the_same_each_time() {
    let built = || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_files(&data().join("good/v1"), &folder.path().join("releases"));
        let catalog = folder.path().join("releases/catalog.yaml");
        let text = fs::read_to_string(&catalog).expect("readable");
        fs::write(&catalog, format!("{text}exports: [nginx, pages]\n")).expect("written");
        compiler_ok(folder.path(), &["build"]);
        ["nginx/agent-releases.conf", "nginx/agent-releases-http.conf", "pages/_redirects", "pages/_headers"]
            .map(|name| fs::read_to_string(folder.path().join("dist/exports").join(name)).expect("written"))
    };
    assert_eq!(built(), built());
}

#[test]
fn no_location_is_made_from_a_request() {
    let folder = site("nginx", &["a.deb".to_owned()]);
    compiler_ok(folder.path(), &["build"]);
    let http = fs::read_to_string(folder.path().join("dist/exports/nginx/agent-releases-http.conf")).expect("written");
    let (_, map) = http.split_once("map $ar_artifact $ar_location {").expect("the map");
    let (map, _) = map.split_once('}').expect("its end");
    let values: Vec<&str> = map.lines().filter_map(|line| line.trim().split_once(' ')).map(|(_, value)| value).collect();
    let location = format!("\"https://downloads.example.com/{}/a.deb\";", Sha256::of(b"a.deb"));
    assert_eq!(values, ["\"\";", location.as_str()]);
    let server = fs::read_to_string(folder.path().join("dist/exports/nginx/agent-releases.conf")).expect("written");
    assert_eq!(
        server.matches("Location ").count(),
        server.matches("Location $ar_location always").count() + server.matches("every `Location").count()
    );
}
