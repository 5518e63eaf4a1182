//! Before anybody else is answered from a site, a real edge on loopback is: every address, and every answer compared.

#![allow(clippy::disallowed_methods, reason = "this starts a process and speaks to it")]

use super::Failed;
use crate::answer::{Answer, Body, Request, Secrets, Site, answer, questions};
use crate::redirects::LOCAL_BASE;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::net::TcpStream;

/// Connections that ask at the same time.
const CONNECTIONS: usize = 4;
/// The hidden command that serves a folder until its input ends.
pub const COMMAND: &str = "staged-edge";

/// An edge of this very program, which ends when this process does.
struct Edge {
    child: Child,
    address: SocketAddr,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Edge {
    fn start(site: &Path, artifacts: Option<&Path>) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        // What this process may sign with is nothing that the answers depend on.
        command.env_clear();
        command.arg(COMMAND).arg(site).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.args(artifacts);
        let mut child = command.spawn().map_err(|error| format!("an edge could not be started: {error}"))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        match address {
            Some(address) => Ok(Self { child, address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err("the edge did not start on it".to_owned())
            }
        }
    }
}

/// Serves the folder with a real edge, asks every address that the site knows, and compares each answer with what the site
/// itself says; returns how many were asked.
pub async fn ask(folder: &Path, artifacts: Option<&Path>) -> Result<usize, Failed> {
    let site = Site::open(folder, artifacts.is_some()).map_err(|error| Failed::Staged(error.to_string()))?;
    let mut addresses = questions(&site);
    // Artifacts are read back from the store itself.
    addresses.retain(|address| !address.starts_with(LOCAL_BASE));
    let edge = Edge::start(folder, artifacts).map_err(Failed::Staged)?;
    let share = addresses.len().div_ceil(CONNECTIONS).max(1);
    try_join_all(addresses.chunks(share).map(|chunk| ask_all(&site, edge.address, chunk))).await.map_err(Failed::Staged)?;
    Ok(addresses.len())
}

async fn ask_all(site: &Site, edge: SocketAddr, addresses: &[String]) -> Result<(), String> {
    let mut sender = connect(edge).await?;
    for address in addresses {
        // An edge closes a connection after a thousand requests.
        if sender.ready().await.is_err() {
            sender = connect(edge).await?;
        }
        let request = http::Request::get(address).header("host", "localhost").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| format!("{address}: {error}"))?;
        let got = sender.send_request(request).await.map_err(|error| format!("{address}: {error}"))?;
        let (head, body) = got.into_parts();
        let body = body.collect().await.map_err(|error| format!("{address}: {error}"))?.to_bytes();
        let expected = expected(site, address);
        if let Some(difference) = difference(&expected, head.status, &head.headers, &body) {
            return Err(format!("{address}: {difference}"));
        }
    }
    Ok(())
}

async fn connect(edge: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(edge).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

/// What a site answers to somebody without credentials.
pub(super) fn expected(site: &Site, address: &str) -> Answer {
    let headers = HeaderMap::new();
    answer(site, &Request::new(&Method::GET, address, &headers).knowing(Secrets::none(), || 0))
}

/// What of an answer is not as it should be.
pub(super) fn difference(expected: &Answer, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if status != expected.status {
        return Some(format!("is answered {}, and should be {}", status.as_u16(), expected.status.as_u16()));
    }
    for name in expected.headers.keys() {
        let (should, is) = (expected.headers.get(name), headers.get(name));
        if should != is {
            let shown = |value: Option<&http::HeaderValue>| {
                value.map_or("nothing".to_owned(), |value| format!("`{}`", value.to_str().unwrap_or_default()))
            };
            return Some(format!("its header {name} is {}, and should be {}", shown(is), shown(should)));
        }
    }
    let same = matches!(expected.body, Body::Artifact(_)) || expected.body.to_bytes() == body;
    (!same).then(|| format!("its {} bytes are not the right ones", body.len()))
}
