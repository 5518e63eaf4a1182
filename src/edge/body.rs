//! The bytes of a response: from memory at once, or from a file piece by piece.

use super::conversation::Conversation;
use super::limits::{PART, PIECE};
use super::serve::Place;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_blocking};

/// A response's body.
pub(super) enum EdgeBody {
    /// Nothing, or nothing more.
    Empty,
    /// All of it.
    Full(Bytes),
    /// All of it, in pieces that others share.
    Pieces(PiecesBody),
    /// A part of a file.
    File(Box<FileBody>),
}

impl EdgeBody {
    /// The body of an answer that needs no file.
    pub(super) fn of(body: crate::answer::Body, conversation: &Rc<Conversation>) -> Self {
        use crate::answer::Body;
        let left = u64::try_from(body.length().unwrap_or_default()).unwrap_or(u64::MAX);
        match body {
            Body::Empty | Body::Artifact(_) => EdgeBody::Empty,
            Body::Bytes(bytes) => EdgeBody::Full(bytes),
            Body::Pieces(pieces) => {
                let conversation = Rc::clone(conversation);
                EdgeBody::Pieces(PiecesBody { pieces: pieces.into_iter(), left, conversation })
            }
        }
    }

    /// How its bytes come.
    pub(super) fn bytes(&self) -> super::conversation::Bytes {
        use super::conversation::Bytes;
        match self {
            EdgeBody::Empty | EdgeBody::Full(_) => Bytes::Together,
            EdgeBody::Pieces(_) => Bytes::InParts,
            EdgeBody::File(_) => Bytes::OfFile,
        }
    }
}

/// Pieces that others share, put together part by part.
pub(super) struct PiecesBody {
    pieces: std::vec::IntoIter<Bytes>,
    /// The sum of what is left.
    left: u64,
    conversation: Rc<Conversation>,
}

impl PiecesBody {
    fn next(&mut self) -> Option<Bytes> {
        let part = together(&mut self.pieces);
        self.left = self.left.saturating_sub(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if self.pieces.len() == 0 {
            self.conversation.finish_stream();
        }
        (!part.is_empty()).then_some(part)
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

/// Bytes that stand in for a file's in what hyper is given: the socket sends the file's own in their place, straight from
/// the system's memory. Nobody reads or writes them, so they take none.
static STAND_IN: LazyLock<Bytes> = LazyLock::new(|| vec![0; PIECE].into());

/// Whether these bytes stand in for a file's.
pub(super) fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// A part of a file, handed to hyper a piece when the one before has been taken.
pub(super) struct FileBody {
    file: Arc<File>,
    rest: Range<u64>,
    /// The piece is being read from a disk, off the core's thread.
    reading: Option<JoinHandle<io::Result<()>>>,
    conversation: Rc<Conversation>,
}

impl FileBody {
    pub(super) fn new(file: File, range: Range<u64>, conversation: Rc<Conversation>, place: Place) -> Self {
        let file = Arc::new(file);
        conversation.begin_file(Arc::clone(&file), range.start, place);
        Self { file, rest: range, reading: None, conversation }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let left = usize::try_from(self.rest.end.saturating_sub(self.rest.start)).unwrap_or(usize::MAX);
        let piece = STAND_IN.slice(..PIECE.min(left));
        let Some(last) = piece.len().checked_sub(1) else { return Poll::Ready(None) };
        let end = self.rest.start.saturating_add(u64::try_from(last).unwrap_or(u64::MAX));
        if self.reading.is_none() && !(is_at_hand(&self.file, self.rest.start) && is_at_hand(&self.file, end)) {
            let (file, start) = (Arc::clone(&self.file), self.rest.start);
            self.reading = Some(spawn_blocking(move || fetch(&file, start..=end)));
        }
        if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other).flatten();
            self.reading = None;
            if let Err(error) = read {
                return Poll::Ready(Some(Err(error)));
            }
        }
        self.rest.start = end.saturating_add(1);
        if self.rest.is_empty() {
            self.conversation.finish_stream();
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

/// Whether the system has a byte of a file in its memory. A file system that can't say is as good as one that has not.
fn is_at_hand(file: &File, place: u64) -> bool {
    preadv2(file, &mut [IoSliceMut::new(&mut [0])], place, ReadWriteFlags::NOWAIT) == Ok(1)
}

/// Reads a part of a file into the system's memory.
fn fetch(file: &File, mut part: RangeInclusive<u64>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    while let Some(place) = part.next() {
        let left = usize::try_from(part.end().saturating_sub(place).saturating_add(1)).unwrap_or(usize::MAX);
        let read = file.read_at(buffer.get_mut(..left.min(16 * 1024)).unwrap_or_default(), place)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        part = place.saturating_add(u64::try_from(read).unwrap_or(u64::MAX))..=*part.end();
    }
    Ok(())
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
            EdgeBody::Pieces(pieces) => Poll::Ready(pieces.next().map(|part| Ok(Frame::data(part)))),
            EdgeBody::File(file) => file.poll_piece(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            EdgeBody::Empty => true,
            EdgeBody::Full(_) => false,
            EdgeBody::Pieces(pieces) => pieces.pieces.len() == 0,
            EdgeBody::File(file) => file.rest.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            EdgeBody::Empty => 0,
            EdgeBody::Full(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            EdgeBody::Pieces(pieces) => pieces.left,
            EdgeBody::File(file) => file.rest.end.saturating_sub(file.rest.start),
        })
    }
}
