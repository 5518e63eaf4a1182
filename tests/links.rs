//! Signed links: nothing is accepted whose values were not signed, however a link is changed.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::answer::{Keys, Links, Request, Secrets, Site, Tokens, answer};
use common::{compiler_ok, copy_files, data};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use std::cell::Cell;

const KEY: &str = "test-secret-key-at-least-32-chars-long";
const NOW: u64 = 1_706_832_000;
const BASE: &str = "/api/agent/v1/releases/";

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(NOW) };
}

/// A site with active releases, and what signs its links.
struct Desk {
    site: Site,
    secrets: Secrets,
    links: Links,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_files(&data().join("good/active"), &folder.path().join("releases"));
        compiler_ok(folder.path(), &["build"]);
        let site = Site::open(&folder.path().join("dist"), false).expect("a site");
        let links = || Links::new(&Keys::parse(KEY).expect("a key"), 3_600);
        Self { site, secrets: Secrets::new(Tokens::default(), None, Some(links()), None), links: links() }
    }

    fn status(&self, target: &str) -> u16 {
        let headers = HeaderMap::new();
        let request = Request::new(&Method::GET, target, &headers).knowing(&self.secrets, || CLOCK.get());
        answer(&self.site, &request).status.as_u16()
    }

    /// The links of the active release, as its document shows them.
    fn shown(&self) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer of-the-test".parse().expect("a value"));
        let tokens = format!("t {}\n", agent_releases::words::Sha256::of(b"of-the-test"));
        let links = Links::new(&Keys::parse(KEY).expect("a key"), 3_600);
        let secrets = Secrets::new(Tokens::parse(&tokens).expect("a token"), None, Some(links), None);
        let request = Request::new(&Method::GET, "/api/agent/v1/releases/active", &headers).knowing(&secrets, || CLOCK.get());
        let document: serde_json::Value = serde_json::from_slice(&answer(&self.site, &request).body.to_bytes()).expect("JSON");
        let artifacts = document["artifacts"].as_array().expect("artifacts").iter();
        artifacts.map(|artifact| artifact["signed_url"].as_str().expect("a link").to_owned()).collect()
    }

    /// Links of every kind: those that are shown, and some with other ends.
    fn all(&self) -> Vec<String> {
        let shown = self.shown();
        let (address, _) = shown[0].split_once('?').expect("a query");
        let (guid, platform) = address.strip_prefix(BASE).and_then(|rest| rest.split_once("/download/")).expect("a link");
        let ends = [
            0, 1, 2, 30, 59, 60, 61, 599, 3_599, 3_601, 7_777, 10_000, 43_200, 80_000, 86_399, 86_400, 86_401, 86_500, 86_699,
            86_700,
        ];
        let more = ends.map(|end| self.link(guid, platform, &(NOW + end).to_string()));
        shown.into_iter().chain(more).collect()
    }

    fn link(&self, guid: &str, platform: &str, expires: &str) -> String {
        let signature = self.links.sign(guid, platform, expires);
        format!("{BASE}{guid}/download/{platform}?expires={expires}&signature={signature}")
    }

    /// Whether a target carries, each exactly once, values that were signed for just its artifact.
    fn was_signed(&self, target: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some((guid, platform)) = path.strip_prefix(BASE).and_then(|rest| rest.split_once("/download/")) else { return false };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs: Vec<(String, String)> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let all = |wanted: &str| pairs.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect::<Vec<_>>();
        match (&all("expires")[..], &all("signature")[..]) {
            ([expires], [signature]) => self.links.sign(guid, platform, expires) == **signature,
            _ => false,
        }
    }
}

#[test]
fn the_vectors_of_the_contract() {
    let links = Links::new(&Keys::parse(KEY).expect("a key"), 3_600);
    assert_eq!(
        links.sign("rel_01hgw2bbg00000000000000001", "darwin-arm64", "1706832000"),
        "c35eb59a4429151ae0acf5319f878615f0d9fc11aa3eff54127301b47b6eb40c"
    );
    assert_eq!(
        links.sign("rel_01hnkhtx00e4hr28t5cy4tqkff", "linux-amd64", "1706832000"),
        "fc3dc046d93a8eb4cab003818efd05bdda33ece58e75b00c88c30a2590396cbf"
    );
}

#[test]
fn a_changed_link_opens_nothing() {
    let desk = Desk::new();
    let (mut asked, mut still_good) = (0u32, 0u32);
    let mut try_one = |target: &str| {
        asked += 1;
        // The first page is no download.
        let opened = [200, 302].contains(&desk.status(target)) && !target.starts_with("/?");
        assert!(!opened || desk.was_signed(target), "opened: {target}");
        still_good += u32::from(opened);
    };
    for link in desk.all() {
        assert_eq!(desk.status(&link), 302, "{link}");
        let bytes = link.as_bytes();
        let mut change = |changed: Vec<u8>| {
            if let Ok(target) = String::from_utf8(changed) {
                try_one(&target);
            }
        };
        for place in 0..bytes.len() {
            // What an address can hold: the rest never comes through the parser.
            for byte in (0x21..0x7f).filter(|byte| *byte != bytes[place]) {
                change([&bytes[..place], &[byte], &bytes[place + 1..]].concat());
                change([&bytes[..place], &[byte], &bytes[place..]].concat());
            }
            change([&bytes[..place], &bytes[place + 1..]].concat());
            if place + 1 < bytes.len() {
                let mut swapped = bytes.to_vec();
                swapped.swap(place, place + 1);
                change(swapped);
            }
            for end in place + 1..bytes.len() {
                change([&bytes[..place], &bytes[end..]].concat());
            }
        }
        let (address, query) = link.split_once('?').expect("a query");
        for name in ["expires", "signature"] {
            for more in [
                format!("{name}="),
                name.to_owned(),
                format!("{name}=0"),
                query.to_owned(),
                format!("%{:02x}{}=1", name.as_bytes()[0], &name[1..]),
            ] {
                try_one(&format!("{address}?{query}&{more}"));
                try_one(&format!("{address}?{more}&{query}"));
            }
        }
    }
    assert!(asked > 1_000_000, "{asked} links");
    // Other names, and escapes that mean the same, leave what was signed as it was.
    assert!(still_good > 0, "the test finds nothing that is good");
}

#[test]
fn a_link_is_good_until_its_last_second() {
    let desk = Desk::new();
    let link = desk.shown().remove(0);
    for (moment, status) in [(NOW, 302), (NOW + 3_599, 302), (NOW + 3_600, 302), (NOW + 3_601, 401), (NOW + 90_000, 401)] {
        CLOCK.set(moment);
        assert_eq!(desk.status(&link), status, "at {moment}");
    }
    // Signed by nobody's clock but in a far future: as good as forged.
    let (address, _) = link.split_once('?').expect("a query");
    let (guid, platform) = address.strip_prefix(BASE).and_then(|rest| rest.split_once("/download/")).expect("a link");
    let far = desk.link(guid, platform, &(NOW + 86_701).to_string());
    for (moment, status) in [(NOW, 401), (NOW + 1, 302)] {
        CLOCK.set(moment);
        assert_eq!(desk.status(&far), status, "at {moment}");
    }
    CLOCK.set(NOW);
}
