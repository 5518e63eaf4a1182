//! One thin wrapper around a connection's socket: it tells the conversation what comes and goes, and nothing else.

use super::body::is_stand_in;
use super::conversation::Conversation;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Answers up to this long are copied together and written at once, which costs the system less than two pieces.
const SMALL: usize = 4096;

/// A connection's socket.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    conversation: Rc<Conversation>,
    /// The system waits for full packets: a file is being sent.
    is_corked: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, conversation: Rc<Conversation>) -> Self {
        Self { stream, conversation, is_corked: false }
    }

    /// Has the system send full packets, or what there is.
    fn cork(&mut self, is_corked: bool) {
        if self.is_corked != is_corked {
            self.is_corked = is_corked;
            let _ = SockRef::from(&self.stream).set_tcp_cork(is_corked);
        }
    }

    fn poll_send_file(&mut self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        self.cork(true);
        loop {
            match self.stream.try_io(Interest::WRITABLE, || self.conversation.send_file(&self.stream, most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.stream.poll_write_ready(context))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending => self.conversation.stall(),
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
        // hyper would wait for an end that can't come in time.
        Poll::Ready(if this.conversation.is_endless() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) })
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
        // A file's bytes are sent by themselves.
        let files = pieces.iter().position(|piece| is_stand_in(piece)).unwrap_or(pieces.len());
        let (pieces, files) = pieces.split_at_checked(files).unwrap_or((pieces, &[]));
        let length = pieces.iter().map(|piece| piece.len()).fold(0, usize::saturating_add);
        let result = match pieces {
            [] => match files.first() {
                Some(file) => this.poll_send_file(context, file.len()),
                None => Poll::Ready(Ok(0)),
            },
            [piece] => Pin::new(&mut this.stream).poll_write(context, piece),
            pieces if length <= SMALL => {
                let mut whole = this.conversation.worker().scratch.borrow_mut();
                whole.clear();
                pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
                Pin::new(&mut this.stream).poll_write(context, &whole)
            }
            pieces => Pin::new(&mut this.stream).poll_write_vectored(context, pieces),
        };
        this.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper asks for this when it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.conversation.wrote_everything();
        if !this.conversation.is_streaming() {
            this.cork(false);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
