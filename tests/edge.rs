//! The edge as a process: artifacts, what it refuses to call a request, new snapshots, and its end.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::words::Sha256;
use common::{Edge, Reply, compiler_ok, copy_files};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
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
fn a_family_that_requires_access_answers_nobody() {
    let folder = example();
    let catalog = folder.path().join("releases/catalog.yaml");
    let text = fs::read_to_string(&catalog).expect("readable");
    fs::write(&catalog, format!("{text}\naccess: {{ v2: required }}\n")).expect("written");
    compiler_ok(folder.path(), &["build"]);
    assert!(!folder.path().join("dist/public").exists(), "nothing is public");
    let edge = start(folder.path());
    for target in [
        "/v2/agent-releases",
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
        assert_eq!(edge.ask("GET", "/openapi.json", &with("Host", host)).status, status, "{host}");
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
    until("it takes no new connections", || std::net::TcpStream::connect(&edge.address).is_err());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the rest");
    assert!(rest.ends_with(&bytes[bytes.len() - 1000..]) && first.len() + rest.len() > bytes.len(), "the whole download");
    assert!(edge.child.wait().expect("it ends").success());
}
