//! The bytes of a response: from memory at once, or from a file piece by piece.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes read from a file at a time.
const PIECE: u64 = 256 * 1024;

/// A response's body.
pub(super) enum EdgeBody {
    /// Nothing, or nothing more.
    Empty,
    /// All of it.
    Full(Bytes),
    /// A part of a file.
    File(FileBody),
}

/// A part of a file, read off the runtime's thread, a piece when the one before has been taken.
pub(super) struct FileBody {
    file: Option<File>,
    rest: Range<u64>,
    reading: Option<JoinHandle<(File, io::Result<Vec<u8>>)>>,
}

impl FileBody {
    pub(super) fn new(file: File, range: Range<u64>) -> Self {
        Self { file: Some(file), rest: range, reading: None }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(file) = self.file.take() {
            let (start, length) = (self.rest.start, PIECE.min(self.rest.end.saturating_sub(self.rest.start)));
            self.reading = Some(spawn_blocking(move || {
                let piece = read(&file, start, length);
                (file, piece)
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let (file, piece) = match ready!(Pin::new(reading).poll(context)) {
            Ok(done) => done,
            Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
        };
        self.reading = None;
        let piece = piece?;
        self.rest.start = self.rest.start.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        self.file = Some(file);
        Poll::Ready(Some(Ok(piece.into())))
    }
}

fn read(file: &File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut piece, start)?;
    Ok(piece)
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        match this {
            EdgeBody::Empty => Poll::Ready(None),
            EdgeBody::Full(_) => match std::mem::replace(this, EdgeBody::Empty) {
                EdgeBody::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                EdgeBody::Empty | EdgeBody::File(_) => Poll::Ready(None),
            },
            EdgeBody::File(file) => file.poll_piece(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            EdgeBody::Empty => true,
            EdgeBody::Full(_) => false,
            EdgeBody::File(file) => file.rest.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            EdgeBody::Empty => 0,
            EdgeBody::Full(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            EdgeBody::File(file) => file.rest.end.saturating_sub(file.rest.start),
        })
    }
}
