//! Connections: accepted, read by hyper, answered, and brought to an end.

use super::body::{EdgeBody, FileBody};
use super::{EdgeError, Shared, gate};
use crate::answer::{Answer, Body, Refusal, Request, Site, Stored, answer, artifact, refuse};
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes of the longest request head.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
const BACKLOG: i32 = 1024;

/// A listener for each core, all on one port, which nobody else may have.
pub(super) fn listen(address: SocketAddr, cores: usize) -> Result<Vec<TcpListener>, EdgeError> {
    let bind = |address: SocketAddr, shared: bool| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    let listen = || -> io::Result<Vec<TcpListener>> {
        // Sharing a port also lets another edge share it; alone, the system says whether somebody has it.
        if address.port() != 0 {
            drop(bind(address, false)?);
        }
        let mut listeners: Vec<TcpListener> = Vec::with_capacity(cores);
        for _ in 0..cores {
            let address = listeners.first().map_or(Ok(address), TcpListener::local_addr)?;
            let socket = bind(address, true)?;
            socket.listen(BACKLOG)?;
            listeners.push(socket.into());
        }
        Ok(listeners)
    };
    listen().map_err(|source| EdgeError::Listen { address, source })
}

/// One core's share of the connections, until told to stop; then running answers are finished.
pub(super) fn worker(
    listener: TcpListener,
    shared: &Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    drain: Duration,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(64).build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => _ = connections.spawn(connection(stream, Arc::clone(shared), stopped.clone())),
                    // No descriptors left, most likely: give running connections a moment to end.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                _ = stopped.changed() => break,
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    })
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(shared.idle_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&shared, request).await) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // What a client does to its connection is its own business.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn respond(shared: &Shared, request: hyper::Request<Incoming>) -> Response<EdgeBody> {
    let site = shared.site.load_full();
    let (head, _body) = request.into_parts();
    if let Err(refusal) = gate::check(&head, &shared.hosts) {
        let mut response = plain(refuse(&site, head.uri.path(), &refusal));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if head.method == Method::HEAD {
            *response.body_mut() = EdgeBody::Empty;
        }
        return response;
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::new(&head.method, target, &head.headers);
    let answered = answer(&site, &request);
    let closes = answered.why.closes;
    let mut response = match &answered.body {
        Body::Artifact(stored) => streamed(shared, &site, &request, Arc::clone(stored)).await,
        Body::Empty | Body::Bytes(_) => plain(answered),
    };
    if closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn plain(answer: Answer) -> Response<EdgeBody> {
    with_body(
        answer.status,
        answer.headers,
        match answer.body {
            Body::Bytes(bytes) => EdgeBody::Full(bytes),
            Body::Empty | Body::Artifact(_) => EdgeBody::Empty,
        },
    )
}

fn with_body(status: http::StatusCode, headers: http::HeaderMap, body: EdgeBody) -> Response<EdgeBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Looks at the artifact's file, and sends what of it was asked for.
async fn streamed(shared: &Shared, site: &Arc<Site>, request: &Request<'_>, stored: Arc<Stored>) -> Response<EdgeBody> {
    let Ok(file) = open(shared, &stored) else { return plain(refuse(site, request.path, &Refusal::internal())) };
    let size = file.as_ref().map(|(_, size)| *size);
    let (answer, range): (Answer, Range<u64>) = artifact(site, request, &stored, size);
    match file {
        Some((file, _)) if !range.is_empty() && *request.method == Method::GET => {
            with_body(answer.status, answer.headers, EdgeBody::File(FileBody::new(file, range)))
        }
        _ => plain(answer),
    }
}

/// The artifact's file; `None` when there is none that may be sent. Any other trouble, such as no descriptors left, is
/// the edge's own. Opening is a few microseconds of a local disk; a slow one holds up its own core only.
fn open(shared: &Shared, stored: &Stored) -> io::Result<Option<(File, u64)>> {
    let store = shared.store.load();
    let Some(store) = store.as_deref() else { return Ok(None) };
    match store.artifact(&stored.key) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nothing there, not a file, or a link that leads out of the folder.
fn is_absence(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_none()
        || [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::XDEV, Errno::NXIO].map(Some).contains(&errno)
}
