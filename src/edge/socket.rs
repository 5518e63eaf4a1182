//! One thin wrapper around a connection's socket: it tells the conversation what comes and goes, and nothing else.

use super::conversation::Conversation;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Answers up to this long are copied together and written at once, which costs the system less than two pieces.
const SMALL: usize = 4096;

/// A connection's socket.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    conversation: Rc<Conversation>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, conversation: Rc<Conversation>) -> Self {
        Self { stream, conversation }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending => self.conversation.waits_for_its_client(),
            Poll::Ready(Ok(bytes)) => self.conversation.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.conversation.is_to_be_reset() {
            // What its client never took would be kept by the system for minutes.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.conversation.received(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(result)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        let mut small = [0; SMALL];
        let result = match pieces {
            [piece] => stream.poll_write(context, piece),
            pieces => match joined(pieces, &mut small) {
                Some(bytes) => stream.poll_write(context, bytes),
                None => stream.poll_write_vectored(context, pieces),
            },
        };
        this.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper asks for this when it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conversation.wrote_everything();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// The pieces in one, when they fit.
fn joined<'a>(pieces: &[IoSlice<'_>], whole: &'a mut [u8; SMALL]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    for piece in pieces {
        let end = length.checked_add(piece.len())?;
        whole.get_mut(length..end)?.copy_from_slice(piece);
        length = end;
    }
    whole.get(..length)
}
