//! The bytes of a response: from memory at once, or from a file piece by piece.

use super::conversation::Conversation;
use super::limits::{PART, PIECE};
use super::serve::Place;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_blocking};

/// A response's body.
pub(super) enum EdgeBody {
    /// Nothing, or nothing more.
    Empty,
    /// All of it.
    Full(Bytes),
    /// All of it, in pieces that others share; what is left of their sum.
    Pieces(std::vec::IntoIter<Bytes>, u64),
    /// A part of a file.
    File(Box<FileBody>),
}

impl From<crate::answer::Body> for EdgeBody {
    fn from(body: crate::answer::Body) -> Self {
        use crate::answer::Body;
        let length = u64::try_from(body.length().unwrap_or_default()).unwrap_or(u64::MAX);
        match body {
            Body::Empty | Body::Artifact(_) => EdgeBody::Empty,
            Body::Bytes(bytes) => EdgeBody::Full(bytes),
            Body::Pieces(pieces) => EdgeBody::Pieces(pieces.into_iter(), length),
        }
    }
}

/// The next pieces, put together: a client that takes nothing holds no more than that.
fn together(pieces: &mut std::vec::IntoIter<Bytes>) -> Bytes {
    let mut whole = BytesMut::with_capacity(PART);
    while let Some(piece) = pieces.as_slice().first()
        && (whole.is_empty() || whole.len().saturating_add(piece.len()) <= PART)
    {
        whole.extend_from_slice(piece);
        pieces.next();
    }
    whole.freeze()
}

/// A part of a file, read a piece when the one before has been taken: at once when the system has it in memory, else off
/// the core's thread.
pub(super) struct FileBody {
    source: Source,
    rest: Range<u64>,
    buffer: BytesMut,
    conversation: Rc<Conversation>,
    /// One of the places for artifacts being sent, held until the end.
    _place: Place,
}

enum Source {
    File(File),
    Reading(JoinHandle<(File, io::Result<BytesMut>)>),
    Gone,
}

impl FileBody {
    pub(super) fn new(file: File, range: Range<u64>, conversation: Rc<Conversation>, place: Place) -> Self {
        Self { source: Source::File(file), rest: range, buffer: BytesMut::new(), conversation, _place: place }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.poll_read(context)) {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        self.rest.start = self.rest.start.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.rest.is_empty() {
            self.conversation.stream_is_whole();
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if let Source::File(file) = &self.source {
            let left = usize::try_from(self.rest.end.saturating_sub(self.rest.start)).unwrap_or(usize::MAX);
            // hyper has written the piece before, so its memory is taken again.
            self.buffer.resize(PIECE.min(left), 0);
            match read_cached(file, &mut self.buffer, self.rest.start) {
                Some(bytes) => {
                    self.buffer.truncate(bytes);
                    return Poll::Ready(Ok(self.buffer.split().freeze()));
                }
                None => self.read_elsewhere(),
            }
        }
        let Source::Reading(reading) = &mut self.source else {
            return Poll::Ready(Err(io::Error::other("the file is gone")));
        };
        let (file, piece) = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other)?;
        self.source = Source::File(file);
        Poll::Ready(piece.map(BytesMut::freeze))
    }

    fn read_elsewhere(&mut self) {
        let (mut piece, start) = (self.buffer.split(), self.rest.start);
        if let Source::File(file) = std::mem::replace(&mut self.source, Source::Gone) {
            self.source = Source::Reading(spawn_blocking(move || {
                let result = file.read_exact_at(&mut piece, start);
                (file, result.map(|()| piece))
            }));
        }
    }
}

/// Reads what is in the system's memory; `None` when that is nothing, or the file system can't say.
fn read_cached(file: &File, piece: &mut [u8], start: u64) -> Option<usize> {
    match preadv2(file, &mut [IoSliceMut::new(piece)], start, ReadWriteFlags::NOWAIT) {
        Ok(bytes) if bytes > 0 => Some(bytes),
        // The other way of reading waits, or gives the error its words.
        Ok(_) | Err(_) => None,
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        match this {
            EdgeBody::Empty => Poll::Ready(None),
            EdgeBody::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = EdgeBody::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            EdgeBody::Pieces(pieces, left) => {
                let piece = together(pieces);
                *left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
            }
            EdgeBody::File(file) => file.poll_piece(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            EdgeBody::Empty => true,
            EdgeBody::Full(_) => false,
            EdgeBody::Pieces(pieces, _) => pieces.len() == 0,
            EdgeBody::File(file) => file.rest.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            EdgeBody::Empty => 0,
            EdgeBody::Full(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            EdgeBody::Pieces(_, left) => *left,
            EdgeBody::File(file) => file.rest.end.saturating_sub(file.rest.start),
        })
    }
}
