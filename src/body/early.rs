use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};

/// How much of a request's body is read behind an answer that does not need it.
const MOST_DRAINED: usize = 256 << 10;

/// An answer to a client that is still sending.
///
/// Some clients read no answer before they have sent everything, and report a broken pipe if the
/// connection is closed before. So the answer is sent at once, all but its last byte, and that
/// follows when the request has been read and dropped: to its end, or to [`MOST_DRAINED`]. What is
/// longer is left to the server, which closes the connection. A client that stops sending keeps
/// nobody waiting but itself.
// protocol 88
pub(crate) struct Early {
    answer: Bytes,
    last: Bytes,
    draining: BoxFuture<'static, ()>,
}

impl Early {
    pub(crate) fn new<B>(answer: Bytes, request: B) -> Self
    where
        B: Body<Data: Send> + Send + 'static,
    {
        let mut answer = answer;
        let last = answer.split_off(answer.len().saturating_sub(1));
        Self {
            answer,
            last,
            draining: Box::pin(drain(request)),
        }
    }
}

async fn drain<B: Body>(request: B) {
    let mut request = pin!(request);
    let mut left = MOST_DRAINED;
    while let Some(Ok(frame)) = poll_fn(|cx| request.as_mut().poll_frame(cx)).await {
        // An empty frame counts too, so that there is an end of them.
        let length = frame.data_ref().map_or(0, Buf::remaining).max(1);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl Body for Early {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut piece = std::mem::take(&mut self.answer);
        if piece.is_empty() && !self.last.is_empty() {
            ready!(self.draining.as_mut().poll(cx));
            piece = std::mem::take(&mut self.last);
        }
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.answer.len() + self.last.len()) as u64)
    }
}
