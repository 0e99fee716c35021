//! Connections from which bodies are read in large pieces.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::lingering::Sending;

/// How much of a body is read at once that arrives faster than it is taken.
const LARGE: usize = 256 << 10;

/// A connection that reads more than it is asked for while its client sends a body.
///
/// Each read lets TCP take a little more, and wakes the client up for it. hyper reads no more at a
/// time than it would hold for a client that reads slowly, which is little. So a body is read in
/// pieces of 256 KiB, and handed on in hyper's. Nothing is held for a client that is slower than the
/// server.
pub(crate) struct ReadAhead<S> {
    stream: S,
    sending: Sending,
    ahead: BytesMut,
}

impl<S> ReadAhead<S> {
    pub(crate) fn new(stream: S, sending: Sending) -> Self {
        Self {
            stream,
            sending,
            ahead: BytesMut::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
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
            this.ahead.reserve(LARGE);
            let read = poll_read_buf(Pin::new(&mut this.stream), cx, &mut this.ahead);
            if read.is_pending() {
                this.ahead = BytesMut::new();
            }
            ready!(read)?;
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..length]);
        this.ahead.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
