//! What operators ask: whether the edge lives, whether it wants requests, and what it has counted.

use super::serve::{Place, Places, Shared};
use super::{EdgeError, limits, metrics};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::net::TcpStream;

/// Listens on the control thread, which has little else to do: on the sockets that are handed over, else at the address if
/// there is one. Gives the addresses.
pub(super) fn listen(
    address: Option<SocketAddr>,
    mut sockets: Vec<TcpListener>,
    shared: &Arc<Shared>,
) -> Result<Vec<SocketAddr>, EdgeError> {
    if let (Some(address), true) = (address, sockets.is_empty()) {
        sockets.push(TcpListener::bind(address).map_err(|source| EdgeError::Listen { address, source })?);
    }
    let listen = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(tokio::net::TcpListener::from_std(listener)?, Arc::clone(shared)));
        Ok(address)
    };
    sockets.into_iter().map(listen).collect()
}

async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let places = Places::new(limits::ADMIN_CONNECTIONS);
    loop {
        match listener.accept().await {
            // Past the limit the connection is closed: whoever watches asks again.
            Ok((stream, _)) => _ = places.take().map(|place| tokio::spawn(connection(stream, Arc::clone(&shared), place))),
            Err(_) => tokio::time::sleep(limits::SHORTAGE).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, _place: Place) {
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let response = answer(&shared, request.method(), request.uri().path());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::ADMIN_TIME).max_buf_size(limits::HEAD);
    // What whoever watches does to its connection is its own business.
    let _ = tokio::time::timeout(limits::ADMIN_LIFE, http.serve_connection(TokioIo::new(stream), service)).await;
}

fn answer(shared: &Shared, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let (status, kind, text) = match path {
        _ if !matches!(*method, Method::GET | Method::HEAD) => {
            (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET or HEAD\n".to_owned())
        }
        "/healthz" => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        "/ready" if shared.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "draining\n".to_owned()),
        "/ready" => (StatusCode::OK, PLAIN, "ready\n".to_owned()),
        "/metrics" => (StatusCode::OK, EXPOSITION, metrics::exposition(shared)),
        _ => (StatusCode::NOT_FOUND, PLAIN, "there are /healthz, /ready and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
