//! One request: through the gate, answered by [`crate::answer`], and made into what hyper sends.

use super::body::{EdgeBody, FileBody};
use super::conversation::Conversation;
use super::heads::RawHead;
use super::reload::Serving;
use super::serve::Shared;
use super::{Event, clock, gate, log};
use crate::answer::{Answer, Body, Refusal, Request, Stored, answer, artifact, refuse, without_body};
use crate::store::Store;
use http::header::{CONNECTION, DATE, HeaderValue};
use http::{Method, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::task::{JoinHandle, spawn_blocking};

/// The service of one connection.
pub(super) struct Answering(pub(super) Rc<Conversation>);

/// A response that is there, or waits for a disk.
pub(super) enum Answered {
    /// It is taken once.
    Now(Option<Response<EdgeBody>>),
    /// The file of an artifact is being opened.
    Opening(JoinHandle<io::Result<(File, u64)>>, Option<Box<Wanted>>),
}

/// An artifact that somebody asked for.
pub(super) struct Wanted {
    conversation: Rc<Conversation>,
    request: hyper::Request<Incoming>,
    began: Instant,
    serving: Arc<Serving>,
    stored: Arc<Stored>,
}

/// A request on its way to an answer.
struct Asking<'a> {
    conversation: &'a Rc<Conversation>,
    request: &'a hyper::Request<Incoming>,
    serving: &'a Serving,
    began: Instant,
}

impl Service<hyper::Request<Incoming>> for Answering {
    type Response = Response<EdgeBody>;
    type Error = Infallible;
    type Future = Answered;

    fn call(&self, request: hyper::Request<Incoming>) -> Answered {
        let (conversation, began) = (&self.0, Instant::now());
        let raw = conversation.take_head();
        let serving = conversation.worker().shared().serving.load();
        let asking = Asking { conversation, request: &request, serving: &serving, began };
        match guarded(|| asking.answer(&raw)) {
            Some(Ok(response)) => Answered::now(response),
            Some(Err(stored)) => {
                let (conversation, serving) = (Rc::clone(conversation), Arc::clone(&serving));
                Wanted { conversation, request, began, serving, stored }.open()
            }
            None => Answered::now(asking.panicked()),
        }
    }
}

/// Runs what must not take the connection with it; `None` when it panicked. The process's hook tells where.
fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

impl Answered {
    fn now(response: Response<EdgeBody>) -> Self {
        Answered::Now(Some(response))
    }
}

impl Future for Answered {
    type Output = Result<Response<EdgeBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.get_mut() {
            Answered::Now(response) => response.take(),
            Answered::Opening(file, wanted) => {
                let opened = ready!(Pin::new(file).poll(context)).unwrap_or_else(|gone| Err(io::Error::other(gone)));
                wanted.take().map(|wanted| wanted.opened(opened))
            }
        };
        // hyper asks once.
        response.map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
    }
}

impl Asking<'_> {
    fn shared(&self) -> &Shared {
        self.conversation.worker().shared()
    }

    fn question(&self) -> Request<'_> {
        let target = self.request.uri().path_and_query().map_or("/", |target| target.as_str());
        Request::new(self.request.method(), target, self.request.headers()).knowing(&self.serving.secrets, clock::unix_seconds)
    }

    /// The response, or the artifact whose file has to be looked at first.
    fn answer(&self, raw: &RawHead) -> Result<Response<EdgeBody>, Arc<Stored>> {
        if let Err(refusal) = gate::check(self.request, raw, &self.shared().hosts) {
            self.conversation.close_after_answer();
            return Ok(self.respond(self.refused(&refusal), None));
        }
        let answer = answer(&self.serving.site, &self.question());
        match &answer.body {
            Body::Artifact(stored) => Err(Arc::clone(stored)),
            Body::Empty | Body::Bytes(_) | Body::Pieces(_) => Ok(self.respond(answer, None)),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Answer {
        let target = self.request.uri().path_and_query().map_or("/", |target| target.as_str());
        let answer = refuse(&self.serving.site, target, refusal);
        if *self.request.method() == Method::HEAD { without_body(answer) } else { answer }
    }

    fn panicked(&self) -> Response<EdgeBody> {
        let worker = self.conversation.worker();
        worker.tally().panics.add(1);
        worker.tell(&Event::Panicked { request: &self.conversation.request_id() });
        self.respond(self.refused(&Refusal::internal()), None)
    }

    /// The answer with its part of the file, when there is one to send and a place to send it from.
    fn stream(&self, answer: Answer, file: File, range: Range<u64>) -> (Answer, Option<FileBody>) {
        if range.is_empty() || *self.request.method() != Method::GET {
            return (answer, None);
        }
        let Some(place) = self.shared().streams.take() else {
            self.conversation.worker().tally().streams_refused.add(1);
            return (self.refused(&Refusal::overloaded()), None);
        };
        (answer, Some(FileBody::new(file, range, Rc::clone(self.conversation), place)))
    }

    /// Counts the answer, and makes what hyper sends of it; `file` is what of an artifact follows.
    fn respond(&self, answer: Answer, file: Option<FileBody>) -> Response<EdgeBody> {
        let conversation = self.conversation;
        conversation.worker().tally().answered(self.request.uri().path(), answer.status);
        if let Some(download) = answer.why.download.filter(|_| *self.request.method() == Method::GET) {
            self.serving.downloads.add(answer.why.release, download);
        }
        let asked = self.shared().access_log.then(|| Box::new(log::asked(self.request)));
        if answer.why.closes || conversation.is_worn_out(self.began) {
            conversation.close_after_answer();
        }
        let body = match file {
            Some(file) => EdgeBody::File(Box::new(file)),
            None => EdgeBody::of(answer.body, conversation),
        };
        conversation.begin_answer(self.began, answer.status, body.bytes(), asked);
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if let Some(date) = conversation.worker().clock.date() {
            response.headers_mut().insert(DATE, date);
        }
        if conversation.is_to_be_last() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl Wanted {
    /// Opens the file at once when the system can do so without asking a disk, else off the core's thread.
    fn open(self) -> Answered {
        let Some(store) = self.conversation.worker().shared().store.load_full() else {
            return Answered::now(self.opened(Err(io::ErrorKind::NotFound.into())));
        };
        match store.artifact_at_hand(&self.stored.key) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let stored = Arc::clone(&self.stored);
                let file = spawn_blocking(move || Store::artifact(&store, &stored.key));
                Answered::Opening(file, Some(Box::new(self)))
            }
            opened => Answered::now(self.opened(opened)),
        }
    }

    /// Answers with what of the file was asked for.
    fn opened(&self, opened: io::Result<(File, u64)>) -> Response<EdgeBody> {
        let Self { conversation, request, began, serving, stored } = self;
        let asking = Asking { conversation, request, serving, began: *began };
        let answered = guarded(|| match opened {
            Ok((file, size)) => {
                let (answer, range) = artifact(&serving.site, &asking.question(), stored, Some(size));
                asking.stream(answer, file, range)
            }
            Err(error) if is_absence(&error) => (artifact(&serving.site, &asking.question(), stored, None).0, None),
            Err(error) if is_shortage(&error) => (asking.refused(&Refusal::overloaded()), None),
            Err(_) => (asking.refused(&Refusal::internal()), None),
        });
        match answered {
            Some((answer, file)) => asking.respond(answer, file),
            None => asking.panicked(),
        }
    }
}

/// Nothing there, not a file, or a link that leads out of the folder.
fn is_absence(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_none()
        || [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::XDEV, Errno::NXIO].map(Some).contains(&errno)
}

/// No descriptors left, here or in the whole system.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught() {
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!(guarded(|| -> u8 { panic!("in a test") }), None);
    }
}
