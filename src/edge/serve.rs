//! Listeners and connections: one core's share of them, from being accepted to their end.

use super::clock::Clock;
use super::conversation::Conversation;
use super::limits::{self, Caps};
use super::reload::{Reloads, Serving};
use super::respond::Answering;
use super::socket::Socket;
use super::tally::{Overdue, Tally};
use super::{EdgeError, Event, Tell};
use crate::answer::{Body, Refusal, refuse};
use crate::store::Store;
use arc_swap::{ArcSwap, ArcSwapOption};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_local};

/// What all connections share.
pub(super) struct Shared {
    pub(super) serving: ArcSwap<Serving>,
    pub(super) reloads: Reloads,
    pub(super) store: ArcSwapOption<Store>,
    pub(super) hosts: Vec<String>,
    pub(super) idle_timeout: Duration,
    pub(super) access_log: bool,
    /// Digits that tell this run of the edge from others.
    pub(super) boot: String,
    pub(super) started: Instant,
    pub(super) connections: Places,
    pub(super) streams: Places,
    pub(super) lingering: Places,
    /// The numbers of each core.
    pub(super) tallies: Vec<Arc<Tally>>,
    pub(super) draining: AtomicBool,
    pub(super) tell: Tell,
}

impl Shared {
    /// Whether the edge is about to end.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// So many of something, and no more.
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    pub(super) most: usize,
}

/// One of them, given back when dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    pub(super) fn take(&self) -> Option<Place> {
        let more = |taken: usize| (taken < self.most).then(|| taken.saturating_add(1));
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(&self.taken)))
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One core.
pub(super) struct Worker {
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    http: http1::Builder,
    /// Which core, and how many there are: connections are numbered in steps of that.
    place: u64,
    accepted: Cell<u64>,
    pub(super) clock: Clock,
    /// Where short answers are put together.
    pub(super) scratch: RefCell<Vec<u8>>,
}

impl Worker {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Tells an event; one that nobody takes is counted.
    pub(super) fn tell(&self, event: &Event<'_>) {
        if !(self.shared.tell)(event) {
            self.tally.lines_dropped.add(1);
        }
    }

    fn next_number(&self) -> u64 {
        let count = self.accepted.get();
        self.accepted.set(count.saturating_add(1));
        let cores = u64::try_from(self.shared.tallies.len()).unwrap_or(1);
        count.saturating_mul(cores).saturating_add(self.place)
    }
}

/// A listener for each core, all on one port, which nobody else may have.
pub(super) fn listen(address: SocketAddr, cores: usize) -> Result<Vec<TcpListener>, EdgeError> {
    let bind = |address: SocketAddr, shared: bool| -> io::Result<RawSocket> {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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
            socket.listen(limits::BACKLOG)?;
            prepare(&SockRef::from(&socket))?;
            listeners.push(socket.into());
        }
        Ok(listeners)
    };
    listen().map_err(|source| EdgeError::Listen { address, source })
}

/// Sockets that are handed over, made as ours are.
pub(super) fn prepared(listeners: Vec<TcpListener>) -> io::Result<Vec<TcpListener>> {
    for listener in &listeners {
        listener.set_nonblocking(true)?;
        prepare(&SockRef::from(listener))?;
    }
    Ok(listeners)
}

/// What connections inherit: answers are written whole, and progress is seen in small steps.
fn prepare(socket: &RawSocket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(limits::UNSENT)
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Serving.
    Open,
    /// No new connections; idle ones are closed, running answers are finished.
    Closing,
    /// Only artifacts that make progress are finished.
    Late,
    /// Nothing is finished.
    Gone,
}

/// One core's share, until it is told to end and everything is finished.
pub(super) fn worker(
    listener: TcpListener,
    shared: Arc<Shared>,
    place: usize,
    mut stage: watch::Receiver<Stage>,
    ready: &SyncSender<io::Result<()>>,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.half_close(true).max_buf_size(limits::BUFFER);
    let tally = shared.tallies.get(place).map(Arc::clone).unwrap_or_default();
    let place = u64::try_from(place).unwrap_or_default();
    let worker =
        Rc::new(Worker { shared, tally, http, place, accepted: Cell::new(0), clock: Clock::new(), scratch: RefCell::default() });
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(limits::READERS);
    let made = builder.build_local(tokio::runtime::LocalOptions::default()).and_then(|runtime| {
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) })?;
        Ok((runtime, listener))
    });
    let (runtime, listener) = match made {
        Ok(made) => made,
        Err(error) => return ready.send(Err(error)).map_err(io::Error::other),
    };
    // Nobody else has to know whether somebody listens.
    let _ = ready.send(Ok(()));
    let result = runtime.block_on(async {
        let mut connections = Connections::default();
        let mut rounds = tokio::time::interval(limits::ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while *stage.borrow_and_update() == Stage::Open {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, client)) => connections.start(&worker, stream, client),
                    Err(_) => tokio::time::sleep(limits::SHORTAGE).await,
                },
                _ = stage.changed() => {}
                _ = rounds.tick(), if !connections.0.is_empty() => connections.round(&worker, Stage::Open),
            }
        }
        // What the system has accepted already is a promise.
        let listener = listener.into_std()?;
        while let Ok((stream, client)) = listener.accept() {
            stream.set_nonblocking(true)?;
            connections.start(&worker, TcpStream::from_std(stream)?, client);
        }
        drop(listener);
        rounds.reset();
        while !connections.0.is_empty() {
            rounds.tick().await;
            let stage = *stage.borrow();
            connections.round(&worker, stage);
        }
        Ok(())
    });
    // A read that hangs on a disk must not keep the process.
    runtime.shutdown_background();
    result
}

/// The open connections of a core.
#[derive(Default)]
struct Connections(Vec<(Rc<Conversation>, AbortHandle)>);

impl Connections {
    fn start(&mut self, worker: &Rc<Worker>, stream: TcpStream, client: SocketAddr) {
        worker.clock.look();
        let Some(place) = worker.shared.connections.take() else {
            worker.tally.refused.add(1);
            worker.tally.answered("/", StatusCode::SERVICE_UNAVAILABLE);
            turn_away(worker, stream);
            return;
        };
        worker.tally.accepted.add(1);
        let conversation = Rc::new(Conversation::new(Rc::clone(worker), worker.next_number(), client));
        let task = spawn_local(connection(stream, Rc::clone(&conversation), place));
        self.0.push((conversation, task.abort_handle()));
    }

    /// Ends the connections that are over their time, or that nothing is left to do for; forgets those that are gone.
    fn round(&mut self, worker: &Worker, stage: Stage) {
        let now = Instant::now();
        worker.clock.look();
        self.0.retain(|(conversation, task)| {
            if task.is_finished() {
                return false;
            }
            if let Some(why) = conversation.overdue(now) {
                conversation.worker().tally.overdue(why);
                if why == Overdue::Write {
                    conversation.reset();
                }
                task.abort();
            }
            let has_to_go = match stage {
                Stage::Open => false,
                Stage::Closing => conversation.is_idle(now),
                Stage::Late => !conversation.is_streaming(),
                Stage::Gone => true,
            };
            if has_to_go {
                task.abort();
            }
            true
        });
    }
}

/// Tells a conversation that its connection is gone, however it went.
struct Going(Rc<Conversation>);

impl Drop for Going {
    fn drop(&mut self) {
        self.0.lose();
    }
}

async fn connection(stream: TcpStream, conversation: Rc<Conversation>, place: Place) {
    let _going = Going(Rc::clone(&conversation));
    let socket = TokioIo::new(Socket::new(stream, Rc::clone(&conversation)));
    let mut http = conversation.worker().http.serve_connection(socket, Answering(Rc::clone(&conversation)));
    let end = poll_fn(|context| http.poll_without_shutdown(context)).await;
    let refused = end.err().and_then(|error| conversation.refused(error.is_parse(), error.is_parse_too_large()));
    if refused.is_none() && !conversation.is_to_be_listened_to() {
        return;
    }
    let stream = http.into_parts().io.into_inner();
    if let Some((status, refusal)) = refused {
        let said = refusal.map_or(0, |refusal| say(conversation.worker(), &stream.stream, &refusal));
        conversation.count_refused(status, said);
    }
    if let Some(_lingering) = conversation.worker().shared.lingering.take() {
        drop(place);
        linger(&stream.stream).await;
    }
}

/// Says that nothing more comes, and listens for a moment: closing a socket with unread bytes would take the answer back.
async fn linger(stream: &TcpStream) {
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
    let _ = tokio::time::timeout(limits::LINGER_TIME, async {
        let (mut left, mut buffer) = (limits::LINGER_BYTES, [0; 4096]);
        while left > 0 && stream.readable().await.is_ok() {
            match stream.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(bytes) => left = left.saturating_sub(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    })
    .await;
}

/// There is no room: says so at once, without reading what was asked.
fn turn_away(worker: &Rc<Worker>, stream: TcpStream) {
    let _ = say(worker, &stream, &Refusal::overloaded());
    if let Some(place) = worker.shared.lingering.take() {
        spawn_local(async move {
            linger(&stream).await;
            drop(place);
        });
    }
}

/// Writes a refusal to a connection that has nothing else to say; how many bytes. It is shorter than any socket's buffer.
fn say(worker: &Worker, stream: &TcpStream, refusal: &Refusal) -> usize {
    let answer = refuse(&worker.shared.serving.load().site, "/", refusal);
    let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", answer.status).into_bytes();
    for (name, value) in &answer.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let length = answer.content_length().unwrap_or_default();
    text.extend(format!("content-length: {length}\r\ndate: {date}\r\n\r\n").bytes());
    if let Body::Bytes(body) = &answer.body {
        text.extend_from_slice(body);
    }
    SockRef::from(stream).send(&text).unwrap_or_default()
}

/// What the edge may have at a time.
pub(super) fn places(caps: Caps) -> [Places; 3] {
    [Places::new(caps.connections), Places::new(caps.streams), Places::new(caps.lingering)]
}
