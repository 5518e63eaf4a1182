//! The edge as a process: artifacts, what it refuses to call a request, new snapshots, and its end.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::words::Sha256;
use common::{Edge, Reply, both, compiler_ok, copy_files, files_below};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The example collection of the repository, with its artifacts, built.
fn example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy_files(&root.join("releases"), &folder.path().join("releases"));
    for entry in fs::read_dir(root.join("artifacts")).expect("the example's artifacts") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy_files(&entry.path(), &folder.path().join("artifacts").join(entry.file_name()));
        }
    }
    compiler_ok(folder.path(), &["check", "--complete"]);
    compiler_ok(folder.path(), &["build"]);
    folder
}

fn start(folder: &Path) -> Edge {
    Edge::start(&folder.join("dist"), &["--artifacts", folder.join("artifacts").to_str().expect("UTF-8")])
}

fn with(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

/// Where the stable Windows installer lies, and its bytes.
fn installer(edge: &Edge, folder: &Path) -> (String, Vec<u8>) {
    let location =
        edge.get("/v2/agent-releases/latest/download?platform=windows").header("location").expect("a location").to_owned();
    let key = location.strip_prefix("/artifacts/").expect("a local artifact");
    (location.clone(), fs::read(folder.join("artifacts").join(key)).expect("readable"))
}

#[test]
fn artifacts_are_sent_whole_and_in_parts() {
    let folder = example();
    let edge = start(folder.path());
    let (location, bytes) = installer(&edge, folder.path());
    let whole = edge.get(&location);
    let digest = Sha256::of(&bytes).hex();
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    let header = |name| whole.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("x-checksum-sha256"), digest);
    assert_eq!(header("content-length"), bytes.len().to_string());
    assert_eq!(header("content-type"), "application/octet-stream");
    assert_eq!(header("content-disposition"), "attachment; filename=\"ExampleAgent-1.8.3.msi\"");
    assert_eq!(header("accept-ranges"), "bytes");
    assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
    assert!(header("repr-digest").starts_with("sha-256=:") && header("etag") == format!("\"{}\"", &digest[..32]));
    let size = bytes.len();
    let cases: &[(&str, u16, std::ops::Range<usize>)] = &[
        ("bytes=0-0", 206, 0..1),
        ("bytes=10-19", 206, 10..20),
        ("bytes=10000-", 206, 10_000..size),
        ("bytes=-5", 206, size - 5..size),
        ("bytes=-999999999", 206, 0..size),
        ("bytes=0-999999999999999999999999", 206, 0..size),
        ("bytes=999999-", 416, 0..0),
        (&format!("bytes={}-", size - 1), 206, size - 1..size),
        (&format!("bytes={size}-"), 416, 0..0),
        ("bytes=7-7", 206, 7..8),
        ("bytes=-0", 416, 0..0),
        ("bytes=0-1,5-6", 200, 0..size),
        ("bytes=5-1", 200, 0..size),
        ("bytes=a-b", 200, 0..size),
        ("lines=1-2", 200, 0..size),
    ];
    for (range, status, part) in cases {
        let reply = edge.ask("GET", &location, &with("Range", range));
        assert_eq!((reply.status, &reply.body[..]), (*status, &bytes[part.clone()]), "{range}");
        let content_range = match status {
            206 => Some(format!("bytes {}-{}/{size}", part.start, part.end - 1)),
            416 => Some(format!("bytes */{size}")),
            _ => None,
        };
        assert_eq!(reply.header("content-range").map(str::to_owned), content_range, "{range}");
        if *status == 416 {
            let said = ["cache-control", "x-content-type-options", "content-length"].map(|name| reply.header(name));
            assert_eq!(said, [Some("no-store"), Some("nosniff"), Some("0")], "{range}");
        }
    }
    let head = edge.ask("HEAD", &location, &with("Range", "bytes=10-19"));
    assert_eq!((head.status, head.header("content-length")), (206, Some("10")), "HEAD has GET's headers");
    let conditional = |name: &str, value: &str| {
        let headers = [with("Range", "bytes=0-3"), with(name, value)].concat();
        edge.ask("GET", &location, &headers).status
    };
    assert_eq!(conditional("If-Range", &header("etag")), 206);
    assert_eq!(conditional("If-Range", "\"other\""), 200);
    assert_eq!(conditional("If-Range", &format!("W/{}", header("etag"))), 200, "a weak tag proves nothing");
    assert_eq!(conditional("If-None-Match", &header("etag")), 304);
    let head = edge.ask("HEAD", &location, &[]);
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some(size.to_string().as_str()), 0));
}

#[test]
fn only_compiled_keys_and_whole_files_are_served() {
    let folder = example();
    let edge = start(folder.path());
    let (location, bytes) = installer(&edge, folder.path());
    let file = folder.path().join(location.trim_start_matches('/'));
    fs::write(folder.path().join("artifacts/secret.txt"), "secret").expect("written");
    fs::write(folder.path().join("secret.txt"), "secret").expect("written");
    for target in [
        "/artifacts/secret.txt",
        "/artifacts/../secret.txt",
        "/artifacts/",
        "/artifacts/.hashes.json",
        "/private/ledger.json",
        "/snapshot.json",
        "/redirects.json",
        "/dist/snapshot.json",
    ] {
        assert_eq!(edge.get(target).status, 404, "{target}");
    }
    fs::write(&file, &bytes[1..]).expect("written");
    assert_eq!(edge.get(&location).status, 404, "a file of another size");
    fs::remove_file(&file).expect("removed");
    assert_eq!(
        edge.get(&location).text(),
        format!(
            "{{\"error\":{{\"code\":\"not_found\",\"message\":\"Resource not found\",\"details\":{{\"path\":\"{location}\"}}}}}}\n"
        )
    );
    fs::write(folder.path().join("outside"), &bytes).expect("written");
    symlink("../../outside", &file).expect("a link");
    assert_eq!(edge.get(&location).status, 404, "a link out of the folder");
    fs::remove_file(&file).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    assert_eq!(edge.get(&location).status, 404, "a pipe");
}

#[test]
fn without_a_store_downloads_are_unavailable() {
    let folder = example();
    let edge = Edge::start(&folder.path().join("dist"), &[]);
    let reply = edge.get("/v2/agent-releases/latest/download?platform=windows");
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true));
    assert_eq!(edge.get("/v2/agent-releases/latest.json").status, 200);
}

#[test]
fn strangers_do_not_learn_which_artifacts_there_are() {
    let folder = example();
    let catalog = folder.path().join("releases/catalog.yaml");
    let text = fs::read_to_string(&catalog).expect("readable");
    fs::write(&catalog, format!("{text}\naccess: {{ v2: required, v1: required }}\n")).expect("written");
    compiler_ok(folder.path(), &["build"]);
    let edge = start(folder.path());
    let there = fs::read_dir(folder.path().join("artifacts")).expect("artifacts").next().expect("one").expect("readable").path();
    let file = fs::read_dir(&there).expect("a folder").next().expect("one").expect("readable").path();
    let key = file.strip_prefix(folder.path()).expect("inside").to_str().expect("UTF-8").to_owned();
    for target in [format!("/{key}"), format!("/{key}x"), "/artifacts/1.8.4/A.msi".to_owned()] {
        assert_eq!(edge.get(&target).status, 401, "{target}");
        assert_eq!(edge.ask("OPTIONS", &target, &[]).status, 204, "{target}");
    }
    assert_eq!(edge.get("/artifacts/../x").status, 404);
}

#[test]
fn active_artifacts_are_sent_counted_and_missed() {
    let folder = example();
    let secret = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path.to_str().expect("UTF-8").to_owned()
    };
    let tokens = secret("tokens", &format!("ci {}\n", Sha256::of(b"a token")));
    let keys = secret("keys", "test-secret-key-at-least-32-chars-long\n");
    let artifacts = folder.path().join("artifacts");
    let edge = Edge::start_with_admin(
        &folder.path().join("dist"),
        &["--artifacts", artifacts.to_str().expect("UTF-8"), "--tokens", &tokens, "--signing-keys", &keys],
    );
    let bearer = with("Authorization", "Bearer a token");
    let document: serde_json::Value =
        serde_json::from_str(&edge.ask("GET", "/api/agent/v1/releases/active", &bearer).text()).expect("JSON");
    let shown = document["artifacts"].as_array().expect("artifacts");
    let windows = shown.iter().find(|artifact| artifact["platform"] == "windows-amd64").expect("for Windows");
    let link = windows["signed_url"].as_str().expect("a link");
    let checksum = windows["checksum"].as_str().and_then(|checksum| checksum.strip_prefix("sha256:")).expect("a hash");
    let whole = edge.get(link);
    assert_eq!((whole.status, Sha256::of(&whole.body).hex().as_str()), (200, checksum));
    assert_eq!(whole.header("cache-control"), Some("private, no-store, no-transform"));
    assert_eq!(whole.header("vary"), Some("Authorization, Cookie"));
    assert_eq!(whole.header("access-control-allow-origin"), None);
    let part = edge.ask("GET", link, &with("Range", "bytes=5-9"));
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[5..10]));
    let again = edge.ask("GET", link, &with("If-None-Match", whole.header("etag").expect("a tag")));
    assert_eq!(again.status, 304);
    let count = "agent_releases_downloads_total{version=\"1.8.3\",platform=\"windows-x86_64\"} 1";
    let text = metrics(edge.admin.as_ref().expect("an admin listener"));
    assert!(text.lines().any(|line| line == count), "{count} is not in\n{text}");
    // Whether it is gone or not the one that was recorded: there is no other to send to.
    let file = artifacts.join(checksum).join(windows["filename"].as_str().expect("a name"));
    fs::write(&file, b"something else").expect("written");
    let missing = "{\"detail\":\"The file of this artifact is missing on the server\"}\n";
    assert_eq!((edge.get(link).status, edge.get(link).text().as_str()), (404, missing));
    fs::remove_file(&file).expect("removed");
    assert_eq!((edge.get(link).status, edge.get(link).text().as_str()), (404, missing));
}

#[test]
fn a_token_that_could_not_be_read_for_a_moment_is_still_revoked() {
    let folder = example();
    let tokens = folder.path().join("tokens");
    let put = |text: &str, mode: u32| {
        let new = folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("its mode");
        fs::rename(&new, &tokens).expect("renamed");
    };
    put(&format!("ci {}\n", Sha256::of(b"a token")), 0o600);
    let edge = Edge::start_with_admin(&folder.path().join("dist"), &["--tokens", tokens.to_str().expect("UTF-8")]);
    let admin = edge.admin.clone().expect("an admin listener");
    let status = || edge.ask("GET", "/api/agent/v1/releases/active", &with("Authorization", "Bearer a token")).status;
    let refused = |expected: &str| {
        let line = format!("agent_releases_secrets_refused {expected}");
        until("the gauge follows", || metrics(&admin).lines().any(|other| other == line));
    };
    assert_eq!(status(), 200);
    put("", 0o644);
    refused("1");
    assert_eq!(status(), 200, "what it held before is kept");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("its mode");
    refused("0");
    assert_eq!(status(), 401);
}

#[test]
fn a_family_that_requires_access_answers_nobody() {
    let folder = example();
    let catalog = folder.path().join("releases/catalog.yaml");
    let text = fs::read_to_string(&catalog).expect("readable");
    fs::write(&catalog, format!("{text}\naccess: {{ v2: required, v1: required }}\n")).expect("written");
    compiler_ok(folder.path(), &["build"]);
    let public: Vec<String> = files_below(&folder.path().join("dist/public"));
    let tells_nothing = |name: &str| name.starts_with("assets/") || name.starts_with("404.html") || name.starts_with("agent-");
    assert!(public.iter().all(|name| tells_nothing(name)), "public: {public:?}");
    let edge = start(folder.path());
    for target in [
        "/v2/agent-releases",
        "/",
        "/docs/",
        "/releases/",
        "/releases/1.8.3/",
        "/releases/1.8.3/SHA256SUMS",
        "/releases/9.9.9/",
        "/feeds/stable.atom",
        "/v2/agent-releases/latest.json",
        "/v2/agent-releases/1.8.3",
        "/v2/agent-releases/history/index.json",
        "/openapi.json",
        "/v2/agent-releases/latest/download?platform=windows",
    ] {
        for headers in [Vec::new(), with("Authorization", "Bearer x"), with("Cookie", "session=x")] {
            let reply = edge.ask("GET", target, &headers);
            assert_eq!(
                reply.text(),
                "{\"error\":{\"code\":\"unauthorized\",\"message\":\"Authentication required\",\"details\":{}}}\n",
                "{target}"
            );
            assert_eq!(
                (reply.status, reply.header("www-authenticate")),
                (401, Some("Bearer realm=\"agent-releases\"")),
                "{target}"
            );
            assert_eq!(reply.header("access-control-allow-origin"), None, "{target}");
        }
    }
}

/// Raw heads, the status that they get, and whether the connection is closed behind it.
const RAW: &[(&str, u16)] = &[
    ("GET /openapi.json HTTP/1.1\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
    ("GET http://b/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("POST /openapi.json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 405),
    ("GET /openapi.json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400),
    ("GET /openapi.json HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", 417),
    ("GET /openapi.json?a=%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
];

#[test]
fn what_is_not_a_request_is_refused_and_the_connection_closed() {
    let folder = example();
    let edge = start(folder.path());
    for (head, status) in RAW {
        // A second request behind it must not be executed: the connection is closed.
        let answer = edge.raw(format!("{head}GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{head:?}: {text}");
    }
    let long = |length: usize| {
        edge.raw(format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "x".repeat(length - 1)).as_bytes())
    };
    assert!(long(2048).starts_with(b"HTTP/1.1 404"));
    assert!(long(2049).starts_with(b"HTTP/1.1 414"));
    let good = edge.raw(b"GET http://a/openapi.json HTTP/1.1\r\nHost: A\r\nConnection: close\r\n\r\n");
    assert!(good.starts_with(b"HTTP/1.1 200"), "an absolute target for the same host");
}

#[test]
fn a_host_that_is_not_ours_is_misdirected() {
    let folder = example();
    let edge = Edge::start(&folder.path().join("dist"), &["--host", "api.example.com"]);
    for (host, status) in
        [("api.example.com", 200), ("API.example.com:8080", 200), ("evil.example", 421), ("api.example.com.evil", 421)]
    {
        let reply = edge.ask("GET", "/openapi.json", &with("Host", host));
        assert_eq!(
            (reply.status, reply.text().starts_with("{\"error\":{\"code\":\"misdirected_request\"")),
            (status, status == 421),
            "{host}"
        );
    }
}

#[test]
fn a_hundred_pipelined_requests_are_answered_in_order() {
    let folder = example();
    let edge = start(folder.path());
    let mut stream = edge.connect();
    let requests: String = (0..100).map(|n| format!("GET /nothing/{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    stream.write_all(requests.as_bytes()).expect("sent");
    let mut reader = BufReader::new(stream);
    for n in 0..100 {
        let reply = Reply::read(&mut reader, false).expect("an answer");
        assert!(reply.text().contains(&format!("\"/nothing/{n}\"")), "{}", reply.text());
    }
}

/// Waits until a condition holds; fails after ten seconds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_new_snapshot_is_served_whole_and_a_damaged_one_never() {
    let folder = example();
    let edge = start(folder.path());
    let version = || edge.get("/v2/agent-releases/latest").text();
    let snapshot = || edge.get("/v2/agent-releases/latest").header("x-release-snapshot").expect("a snapshot").to_owned();
    assert!(version().contains("\"version\":\"1.8.3\""));
    let first = snapshot();
    compiler_ok(folder.path(), &["yank", "1.8.3", "--reason", "broken"]);
    compiler_ok(folder.path(), &["build"]);
    until("the new snapshot is served", || version().contains("\"version\":\"1.8.2\""));
    assert_ne!(snapshot(), first);
    assert_eq!(edge.get("/v2/agent-releases/1.8.3").header("x-release-yanked"), Some("broken"));
    let second = snapshot();
    // Damaged in the middle of a document: refused, said so, and the good one stays.
    let latest = folder.path().join("dist/public/v2/agent-releases/latest.json");
    let index = folder.path().join("dist/snapshot.json");
    let good = fs::read(&latest).expect("readable");
    fs::write(&latest, "{}").expect("written");
    fs::write(&index, fs::read(&index).expect("readable")).expect("touched");
    let mut edge = edge;
    let mut line = String::new();
    let mut log = BufReader::new(edge.child.stderr.take().expect("a pipe"));
    while !line.contains("refused") {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "the log ended");
    }
    assert!(
        serde_json::from_str::<serde_json::Value>(&line)
            .is_ok_and(|line| line["error"].as_str().is_some_and(|error| error.contains("latest.json"))),
        "{line}"
    );
    assert_eq!(edge.get("/v2/agent-releases/latest").header("x-release-snapshot"), Some(second.as_str()));
    fs::write(&latest, good).expect("written");
    compiler_ok(folder.path(), &["yank", "1.8.3", "--undo"]);
    compiler_ok(folder.path(), &["build"]);
    until("the mended snapshot is served", || edge.get("/v2/agent-releases/latest").text().contains("\"version\":\"1.8.3\""));
}

#[test]
fn a_tile_of_the_snapshot_before_is_still_served() {
    let folder = example();
    let edge = start(folder.path());
    let tile = |edge: &Edge| {
        let index: serde_json::Value =
            serde_json::from_slice(&edge.get("/v2/agent-releases/history/index.json").body).expect("JSON");
        format!("/v2/agent-releases/history/{}", index["tiles"][0]["file"].as_str().expect("a tile"))
    };
    let old = tile(&edge);
    compiler_ok(folder.path(), &["yank", "1.8.3", "--reason", "broken"]);
    compiler_ok(folder.path(), &["build"]);
    until("the new snapshot is served", || tile(&edge) != old);
    assert_eq!(edge.get(&old).status, 200, "for one generation");
    compiler_ok(folder.path(), &["yank", "1.8.3", "--reason", "still broken"]);
    compiler_ok(folder.path(), &["build"]);
    until("the old tile is gone", || edge.get(&old).status == 404);
}

#[test]
fn a_running_download_is_finished_before_the_end() {
    let folder = example();
    let bytes: Vec<u8> = [&[0xd0, 0xcf, 0x11, 0xe0][..], &vec![7; 32 << 20]].concat();
    fs::write(folder.path().join("Big.msi"), &bytes).expect("written");
    compiler_ok(folder.path(), &["add", "2.0.0", "Big.msi", "--channel", "stable"]);
    compiler_ok(folder.path(), &["build"]);
    let mut edge = start(folder.path());
    let (location, _) = installer(&edge, folder.path());
    let mut stream = edge.connect();
    stream.write_all(format!("GET {location} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("sent");
    let mut first = [0; 1000];
    stream.read_exact(&mut first).expect("it has begun");
    rustix::process::kill_process(rustix::process::Pid::from_child(&edge.child), rustix::process::Signal::TERM)
        .expect("a signal");
    until("it takes no new connections", || TcpStream::connect(&edge.address).is_err());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the rest");
    assert!(rest.ends_with(&bytes[bytes.len() - 1000..]) && first.len() + rest.len() > bytes.len(), "the whole download");
    assert!(edge.child.wait().expect("it ends").success());
}

/// What the admin listener says of itself.
fn metrics(admin: &str) -> String {
    let mut stream = TcpStream::connect(admin).expect("the admin listener accepts");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
    Reply::read(&mut BufReader::new(stream), false).expect("an answer").text()
}

#[test]
fn what_is_answered_is_counted() {
    let folder = example();
    let edge = Edge::start_with_admin(
        &folder.path().join("dist"),
        &["--artifacts", folder.path().join("artifacts").to_str().expect("UTF-8")],
    );
    let admin = edge.admin.clone().expect("an admin listener");
    let (location, _) = installer(&edge, folder.path());
    edge.get(&location);
    edge.get("/nothing");
    edge.get("/internal/v1/agent/releases/latest");
    edge.ask("HEAD", "/v2/agent-releases/latest/download?platform=windows", &[]);
    edge.raw(b"nonsense\r\n\r\n");
    let text = metrics(&admin);
    for line in [
        "agent_releases_requests_total{family=\"v2\",status=\"302\"} 2",
        "agent_releases_requests_total{family=\"artifacts\",status=\"200\"} 1",
        "agent_releases_requests_total{family=\"other\",status=\"404\"} 1",
        "agent_releases_requests_total{family=\"other\",status=\"400\"} 1",
        "agent_releases_requests_total{family=\"v1\",status=\"200\"} 1",
        "agent_releases_v1_requests_total{address=\"releases/latest\"} 1",
        "agent_releases_downloads_total{version=\"1.8.3\",platform=\"windows-x86_64\"} 1",
        "agent_releases_snapshot_refused 0",
        "agent_releases_panics_total 0",
        "agent_releases_connections_limit 1024",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

#[test]
fn while_draining_the_edge_is_not_ready_and_each_answer_is_the_last() {
    let folder = example();
    let mut edge = Edge::start_with_admin(&folder.path().join("dist"), &[]);
    let admin = edge.admin.clone().expect("an admin listener");
    let ready = || {
        let mut stream = TcpStream::connect(&admin).expect("the admin listener accepts");
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
        Reply::read(&mut BufReader::new(stream), false).expect("an answer").status
    };
    assert_eq!(ready(), 200);
    let mut stream = edge.connect();
    let ask = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(ask).expect("sent");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let reply = Reply::read(&mut reader, false).expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (200, None));
    rustix::process::kill_process(rustix::process::Pid::from_child(&edge.child), rustix::process::Signal::TERM)
        .expect("a signal");
    until("it is not ready", || ready() == 503);
    stream.write_all(ask).expect("sent");
    let reply = Reply::read(&mut reader, false).expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "an idle connection is still answered");
    assert_eq!(edge.get("/openapi.json").status, 200, "and so is a new one");
    assert!(edge.child.wait().expect("it ends").success());
}

#[test]
fn the_thousandth_answer_of_a_connection_is_its_last() {
    let folder = example();
    let edge = start(folder.path());
    let mut stream = edge.connect();
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    for n in 1..=1000 {
        stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        let reply = Reply::read(&mut reader, false).expect("an answer");
        assert_eq!(reply.header("connection"), (n == 1000).then_some("close"), "{n}");
    }
    assert_eq!(reader.read(&mut [0; 1]).expect("the end"), 0);
}

#[test]
fn each_request_is_a_line_of_the_log() {
    let folder = example();
    let mut edge = Edge::start(&folder.path().join("dist"), &["--access-log"]);
    edge.get("/v2/agent-releases/latest?channel=beta&token=canary");
    edge.ask("GET", "/x%0a{\"event\":1}", &with("X-Request-Id", "proxy-17"));
    edge.raw(b"nonsense\r\n\r\n");
    let log = BufReader::new(edge.child.stderr.take().expect("a pipe")).lines();
    let lines = log.map(|line| serde_json::from_str::<serde_json::Value>(&line.expect("text")).expect("JSON"));
    let mut lines: Vec<_> = lines.filter(|line| line["event"] == "request").take(3).collect();
    // Each core writes its own.
    lines.sort_by_key(|line| line["target"].to_string());
    let [query, path, bare] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&query["target"], &query["status"]), (&"/v2/agent-releases/latest?channel=beta".into(), &200.into()));
    assert_eq!((&path["target"], &path["request_id"]), (&"/x%0a{\"event\":1}".into(), &"proxy-17".into()));
    assert_eq!((&bare["method"], &bare["status"]), (&serde_json::Value::Null, &400.into()));
    assert!(bare["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "hyper's own words are counted: {bare}");
}

/// Descriptors that outlive an exec, with numbers that no program gets by chance.
fn to_hand_over(sockets: &[&dyn AsFd]) -> Vec<OwnedFd> {
    let high = |socket: &&dyn AsFd| {
        let copy = rustix::io::fcntl_dupfd_cloexec(socket.as_fd(), 100).expect("a copy");
        rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).expect("it stays open");
        copy
    };
    sockets.iter().map(high).collect()
}

/// A command that becomes an edge with these descriptors from 3 on, as a service manager would start it.
fn activated(site: &Path, descriptors: &[OwnedFd], variables: &str) -> Command {
    let places = descriptors.iter().zip(3..).map(|(descriptor, place)| format!("{place}<&{}", descriptor.as_raw_fd()));
    let script = format!("exec {}; export LISTEN_PID=$$ {variables}; exec \"$@\"", places.collect::<Vec<_>>().join(" "));
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_agent-releases-edge"), "--listen", "127.0.0.1:0", "--site"]);
    command.arg(site);
    command
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

#[test]
fn sockets_that_are_handed_over_are_served() {
    let folder = example();
    let (clients, admin) = (free_port(), free_port());
    let address = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
    let descriptors = to_hand_over(&[&clients, &admin]);
    let mut command = activated(&folder.path().join("dist"), &descriptors, "LISTEN_FDS=2 LISTEN_FDNAMES=clients:admin");
    let edge = Edge::start_by(&mut command, true);
    assert_eq!((&edge.address, edge.admin.as_ref()), (&address(&clients), Some(&address(&admin))));
    // More at once than a core alone is sure to get.
    let streams: Vec<TcpStream> = (0..64).map(|_| edge.connect()).collect();
    for mut stream in streams {
        stream.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        assert_eq!(Reply::read(&mut BufReader::new(stream), false).expect("an answer").status, 200);
    }
    let text = metrics(&address(&admin));
    assert!(text.lines().any(|line| line == "agent_releases_requests_total{family=\"other\",status=\"200\"} 64"), "{text}");
}

#[test]
fn who_comes_between_two_edges_is_answered_by_the_next() {
    let folder = example();
    let clients = free_port();
    let descriptors = to_hand_over(&[&clients]);
    let start = || Edge::start_by(&mut activated(&folder.path().join("dist"), &descriptors, "LISTEN_FDS=1"), false);
    let mut edge = start();
    assert_eq!(edge.get("/openapi.json").status, 200);
    let process = rustix::process::Pid::from_child(&edge.child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("a signal");
    assert!(edge.child.wait().expect("it ends").success());
    let mut waiting = edge.connect();
    waiting.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let _next = start();
    assert_eq!(Reply::read(&mut BufReader::new(waiting), false).expect("an answer").status, 200);
}

#[test]
fn what_is_handed_over_has_to_be_listening_sockets() {
    let folder = example();
    let site = folder.path().join("dist");
    let clients = free_port();
    let connected = TcpStream::connect(clients.local_addr().expect("an address")).expect("connected");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let file = fs::File::open("/dev/null").expect("readable");
    let refused = |sockets: &[&dyn AsFd], variables: &str| {
        both(&activated(&site, &to_hand_over(sockets), variables).output().expect("it ends"))
    };
    let second = "exit 1\nagent-releases-edge: LISTEN_FDS: descriptor 4 is not a listening TCP socket\n";
    for other in [&connected as &dyn AsFd, &datagrams, &file] {
        assert_eq!(refused(&[&clients, other], "LISTEN_FDS=2"), second);
    }
    assert_eq!(refused(&[&clients], "LISTEN_FDS=2"), second, "there is none");
    for count in ["x", "-1", "65", "18446744073709551616", "''"] {
        let said = format!(
            "exit 1\nagent-releases-edge: LISTEN_FDS: expected a number up to 64, found `{}`\n",
            count.trim_matches('\'')
        );
        assert_eq!(refused(&[&clients], &format!("LISTEN_FDS={count}")), said);
    }
    // What was meant for another process is none of its business.
    let other = Edge::start_by(&mut activated(&site, &to_hand_over(&[&file]), "LISTEN_FDS=1 LISTEN_PID=1"), false);
    assert_eq!(other.get("/openapi.json").status, 200);
}

#[test]
fn systemd_activates_an_edge() {
    if Command::new("systemd-socket-activate").arg("--version").output().is_err() {
        return;
    }
    let folder = example();
    let address = free_port().local_addr().expect("an address").to_string();
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", &address, env!("CARGO_BIN_EXE_agent-releases-edge"), "--site"]).arg(folder.path().join("dist"));
    let caller = std::thread::spawn({
        let address = address.clone();
        move || {
            let mut stream = None;
            until("it is listened for", || {
                stream = TcpStream::connect(&address).ok();
                stream.is_some()
            });
            let mut stream = stream.expect("a connection");
            stream.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
            Reply::read(&mut BufReader::new(stream), false).expect("an answer").status
        }
    });
    let edge = Edge::start_by(&mut command, false);
    assert_eq!((&edge.address, caller.join().expect("an answer")), (&address, 200));
}
