//! Connections: downloads wait in the server and not in the system, uploads are read in large
//! pieces, and the end comes in a way that lets clients read why.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_util::io::poll_read_buf;

/// How much of a body is read at once that arrives faster than it is taken.
const LARGE: usize = 1 << 20;

/// How long a client that is still sending may take to read its answer.
const LONGEST: Duration = Duration::from_secs(5);

/// How many bytes of a connection the system holds that it cannot send yet.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// Lets small answers leave at once, and large ones wait here and not in the system.
///
/// Without a limit the system takes megabytes for a reader that is slow. They are memory that nobody
/// counts, and they are asked for in large pieces: where many slow readers get on at the same
/// moment, everybody else waits until all of them have theirs. What is on its way through the
/// network does not count, so a fast reader loses nothing.
pub(crate) fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// A connection, and what is done for a client that sends a body on it.
///
/// It **reads ahead**. Each read lets TCP take a little more, and wakes the client up for it. hyper
/// reads no more at a time than it would hold for a client that reads slowly, which is little. So a
/// body is read in pieces of 1 MiB, and handed on in hyper's. Nothing is held for a client that is
/// slower than the server; what it sends at once behind a body is held until that is asked for.
///
/// It **lingers**: after it was shut down, it takes and drops what still arrives, until the client
/// closes it too, or has had [`LONGEST`] to do so. To close a socket while bytes arrive resets the
/// connection. A client in the middle of an upload then reports a broken pipe, and not the answer
/// that it was too large (protocol 88).
pub(crate) struct Connection<S> {
    stream: S,
    sending: Sending,
    ahead: BytesMut,
    /// Set once it was shut down and lingers.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Whether the client of a connection may be sending a body.
#[derive(Clone, Default)]
pub(crate) struct Sending(Arc<AtomicBool>);

impl Sending {
    fn set(&self, is_sending: bool) {
        self.0.store(is_sending, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a request: its end says that the client has sent it.
pub(crate) struct Arriving {
    body: Incoming,
    sending: Sending,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, sending: Sending) -> Self {
        sending.set(!body.is_end_stream());
        Self { body, sending }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.sending.set(false);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S> Connection<S> {
    pub(crate) fn new(stream: S, sending: Sending) -> Self {
        Self {
            stream,
            sending,
            ahead: BytesMut::new(),
            deadline: None,
        }
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Reads a large piece, or as much of one as has arrived.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead.reserve(LARGE);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.ahead);
        if read.is_pending() {
            self.ahead = BytesMut::new();
        }
        ready!(read)?;
        Poll::Ready(Ok(()))
    }

    /// Drops what arrives, until there is no more or the deadline has passed.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep(LONGEST)));
        let mut dropped = [0; 4096];
        while deadline.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut dropped);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            if !this.sending.get() {
                this.ahead = BytesMut::new();
                return Pin::new(&mut this.stream).poll_read(cx, buffer);
            }
            ready!(this.poll_read_ahead(cx))?;
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..length]);
        this.ahead.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deadline.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.sending.get() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }
}
