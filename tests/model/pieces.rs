//! The body of a request as a slow client sends it.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};

/// Yields its pieces one by one, and then ends or breaks.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    left: VecDeque<Bytes>,
    breaks: bool,
    /// Whether it is pending once before each piece and before its end.
    is_slow: bool,
    has_waited: bool,
}

impl Pieces {
    pub(crate) fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let left = pieces.into_iter().collect();
        Self {
            left,
            ..Self::default()
        }
    }

    /// The same, which ends with an error.
    pub(crate) fn breaking(self, breaks: bool) -> Self {
        Self { breaks, ..self }
    }

    /// The same, which lets others run before each piece.
    pub(crate) fn slow(self) -> Self {
        let is_slow = true;
        Self { is_slow, ..self }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_slow && !std::mem::replace(&mut self.has_waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_waited = false;
        let piece = self.left.pop_front().map(|piece| Ok(Frame::data(piece)));
        let broken = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        Poll::Ready(piece.or_else(|| self.breaks.then(broken)))
    }
}
