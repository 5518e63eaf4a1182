//! What the parts of one connection know of it together: its heads, its answer under way, and how long it may wait.

use super::heads::{Heads, RawHead};
use super::serve::{Place, Worker};
use super::tally::Overdue;
use super::{Event, Exchange, limits};
use crate::answer::Refusal;
use http::StatusCode;
use rustix::fs::sendfile;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// A connection, as its socket, its service and its bodies see it; all of them live on one core.
pub(super) struct Conversation {
    worker: Rc<Worker>,
    number: u64,
    client: SocketAddr,
    born: Instant,
    requests: Cell<u32>,
    heads: RefCell<Heads>,
    /// When the edge began to wait for what it waits for now: a request, or the rest of one.
    waits_since: Cell<Instant>,
    within_head: Cell<bool>,
    /// When the client stopped taking its answer.
    stalled_since: Cell<Option<Instant>>,
    answer: RefCell<Option<Running>>,
    /// A request has come, and its answer has not gone.
    is_asked: Cell<bool>,
    file: RefCell<Option<Sending>>,
    /// Bytes that belong to no answer: hyper's own words.
    bare: Cell<u64>,
    /// Nothing more will be read from it.
    is_last: Cell<bool>,
    ended_by_client: Cell<bool>,
    reset: Cell<bool>,
}

/// An answer under way.
struct Running {
    began: Instant,
    status: StatusCode,
    written: u64,
    /// Everything that is to be sent has been handed over.
    is_whole: bool,
    is_stream: bool,
    asked: Option<Box<Asked>>,
}

/// A file on its way.
struct Sending {
    file: Arc<File>,
    /// How far it has been sent.
    place: u64,
    /// One of the places for artifacts being sent: held as long as the file.
    _held: Place,
}

/// How an answer's bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// All at once.
    Together,
    /// In parts that are put together when the one before has been taken.
    InParts,
    /// From a file.
    OfFile,
}

/// What the access log says of a request.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) request_id: Option<String>,
}

impl Conversation {
    pub(super) fn new(worker: Rc<Worker>, number: u64, client: SocketAddr) -> Self {
        let now = Instant::now();
        Self {
            worker,
            number,
            client,
            born: now,
            requests: Cell::new(0),
            heads: RefCell::default(),
            waits_since: Cell::new(now),
            within_head: Cell::new(false),
            stalled_since: Cell::new(None),
            answer: RefCell::new(None),
            is_asked: Cell::new(false),
            file: RefCell::default(),
            bare: Cell::new(0),
            is_last: Cell::new(false),
            ended_by_client: Cell::new(false),
            reset: Cell::new(false),
        }
    }

    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// `boot-connection-request`: unique among all requests of all edges.
    pub(super) fn request_id(&self) -> String {
        format!("{}-{:x}-{}", self.worker.shared().boot, self.number, self.requests.get())
    }

    /// Bytes came from the client; none is its end.
    pub(super) fn received(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.ended_by_client.set(true);
            return;
        }
        let mut heads = self.heads.borrow_mut();
        heads.feed(bytes);
        let within_head = heads.is_within_head();
        if within_head && !self.within_head.get() {
            self.waits_since.set(Instant::now());
        }
        self.within_head.set(within_head);
    }

    /// A whole head has been parsed: what is known of it as it was sent.
    pub(super) fn take_head(&self) -> RawHead {
        // An answer that was still being written when the next was asked for is done as far as anybody can tell.
        self.end(false);
        self.is_asked.set(true);
        self.bare.set(0);
        self.requests.set(self.requests.get().saturating_add(1));
        self.heads.borrow_mut().next().unwrap_or_default()
    }

    /// Whether this request is the last one of the connection: it has carried enough, is old enough, or the edge is ending.
    pub(super) fn is_worn_out(&self, now: Instant) -> bool {
        self.requests.get() >= limits::REQUESTS
            || now.saturating_duration_since(self.born) >= limits::AGE
            || self.worker.shared().is_draining()
    }

    /// The answer under way says that it is the last.
    pub(super) fn close_after_answer(&self) {
        self.is_last.set(true);
    }

    pub(super) fn is_to_be_last(&self) -> bool {
        self.is_last.get()
    }

    /// Whether its client may still be sending although the edge is done with it.
    pub(super) fn is_to_be_listened_to(&self) -> bool {
        !self.ended_by_client.get()
    }

    /// An answer begins; one that does not come together says itself when it is whole.
    pub(super) fn begin_answer(&self, began: Instant, status: StatusCode, bytes: Bytes, asked: Option<Box<Asked>>) {
        let (is_whole, is_stream) = (bytes == Bytes::Together, bytes == Bytes::OfFile);
        *self.answer.borrow_mut() = Some(Running { began, status, written: 0, is_whole, is_stream, asked });
    }

    /// The next answer has bytes of a file, from this place on.
    pub(super) fn begin_file(&self, file: Arc<File>, place: u64, held: Place) {
        *self.file.borrow_mut() = Some(Sending { file, place, _held: held });
    }

    /// Sends the next bytes of the file, as many of these as the socket takes.
    pub(super) fn send_file(&self, stream: &TcpStream, most: usize) -> io::Result<usize> {
        let mut file = self.file.borrow_mut();
        let Sending { file, place, .. } = file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        // A file that has become shorter than it was: the answer can't be finished.
        match sendfile(stream, &**file, Some(place), most)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// The last byte of a stream has been handed over.
    pub(super) fn finish_stream(&self) {
        if let Some(answer) = &mut *self.answer.borrow_mut() {
            answer.is_whole = true;
        }
    }

    /// The client took bytes.
    pub(super) fn wrote(&self, bytes: usize) {
        self.stalled_since.set(None);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match &mut *self.answer.borrow_mut() {
            Some(answer) => answer.written = answer.written.saturating_add(bytes),
            None => self.bare.set(self.bare.get().saturating_add(bytes)),
        }
    }

    /// The client takes nothing at the moment.
    pub(super) fn stall(&self) {
        if self.stalled_since.get().is_none() {
            self.stalled_since.set(Some(Instant::now()));
        }
    }

    /// All that there was to write has been taken by the system.
    pub(super) fn wrote_everything(&self) {
        let is_over = self.answer.borrow().as_ref().is_some_and(|answer| answer.is_whole && answer.written > 0);
        if is_over {
            self.end(false);
        }
    }

    /// The connection is gone.
    pub(super) fn lose(&self) {
        self.end(true);
    }

    /// What was sent never became a request: its status, and the words when hyper has sent none of its own.
    pub(super) fn refused(&self, is_malformed: bool, is_too_large: bool) -> Option<(StatusCode, Option<Refusal>)> {
        let is_endless = self.is_endless();
        if !is_malformed && !is_endless {
            return None;
        }
        let said = self.bare.get();
        self.end(true);
        self.bare.set(said);
        self.close_after_answer();
        let (status, refusal) = match is_endless || is_too_large {
            true => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Refusal::gate(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
            false => (StatusCode::BAD_REQUEST, Refusal::malformed()),
        };
        Some((status, (said == 0).then_some(refusal)))
    }

    /// Counts and logs what never became a request; `said` are the bytes of the edge's own words.
    pub(super) fn count_refused(&self, status: StatusCode, said: usize) {
        self.requests.set(self.requests.get().saturating_add(1));
        self.worker.tally().answered("", status);
        if self.worker.shared().access_log {
            let written = self.bare.get().saturating_add(u64::try_from(said).unwrap_or(u64::MAX));
            let (began, is_whole, is_stream) = (Instant::now(), true, false);
            self.tell(&Running { began, status, written, is_whole, is_stream, asked: None }, false);
        }
    }

    /// Whether the head that is arriving can't become one.
    pub(super) fn is_endless(&self) -> bool {
        self.heads.borrow().is_endless()
    }

    /// Ends the answer under way, if there is one: counts how long it took, unless its client decided that, and logs it.
    fn end(&self, aborted: bool) {
        self.is_asked.set(false);
        self.bare.set(0);
        self.file.take();
        let Some(answer) = self.answer.borrow_mut().take() else { return };
        let now = Instant::now();
        self.waits_since.set(now);
        if !answer.is_stream {
            self.worker.tally().took(now.saturating_duration_since(answer.began));
        }
        if answer.asked.is_some() {
            self.tell(&answer, aborted);
        }
    }

    fn tell(&self, answer: &Running, aborted: bool) {
        let asked = answer.asked.as_deref();
        self.worker.tell(&Event::Request(&Exchange {
            id: &self.request_id(),
            client: self.client,
            method: asked.map(|asked| &*asked.method),
            target: asked.map(|asked| &*asked.target),
            request_id: asked.and_then(|asked| asked.request_id.as_deref()),
            status: answer.status.as_u16(),
            bytes: answer.written,
            duration: answer.began.elapsed(),
            aborted,
        }));
    }

    /// Why the connection is over its time, if it is.
    pub(super) fn overdue(&self, now: Instant) -> Option<Overdue> {
        let since = |start: Instant| now.saturating_duration_since(start);
        if let Some(stalled) = self.stalled_since.get() {
            return (since(stalled) >= limits::WRITE_TIME).then_some(Overdue::Write);
        }
        // The edge itself is at work, or is listening to the end of what it refused.
        if self.is_asked.get() || self.is_last.get() {
            return None;
        }
        let (limit, why) = if self.within_head.get() {
            (limits::HEAD_TIME, Overdue::Head)
        } else {
            (self.worker.shared().idle_timeout, Overdue::Idle)
        };
        (since(self.waits_since.get()) >= limit).then_some(why)
    }

    /// Whether nothing is being asked and nothing answered, and more might come. A new connection has a moment to ask.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_new = self.requests.get() == 0 && now.saturating_duration_since(self.born) < limits::QUIET;
        let is_busy = self.is_asked.get() || self.is_last.get() || self.stalled_since.get().is_some();
        !is_new && !is_busy && !self.within_head.get()
    }

    /// Whether an artifact is being sent.
    pub(super) fn is_streaming(&self) -> bool {
        self.answer.borrow().as_ref().is_some_and(|answer| answer.is_stream)
    }

    /// From now on, closing it drops what its client has not taken.
    pub(super) fn reset(&self) {
        self.reset.set(true);
    }

    pub(super) fn is_to_be_reset(&self) -> bool {
        self.reset.get()
    }
}
