use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, DynBody, Exact};
use crate::trace;

type Opening = BoxFuture<'static, Result<DynBody, BoxError>>;

/// One part of a [`Multipart`]: the text before it, and how its bytes are opened.
pub(crate) struct Part {
    pub(crate) head: Bytes,
    pub(crate) length: u64,
    /// Opened when the part before has been sent, so one source body exists at a time.
    pub(crate) open: Box<dyn FnOnce() -> Opening + Send>,
}

/// Several parts one after another, and a closing line.
// RFC 9110 §14.6
pub(crate) struct Multipart {
    parts: VecDeque<Part>,
    tail: Bytes,
    state: State,
    left: u64,
}

enum State {
    BetweenParts,
    Opening(Opening, u64),
    // A `DynBody` is a pinned box, so `Exact<DynBody>` can be moved.
    Sending(Exact<DynBody>),
    Ended,
}

impl Multipart {
    pub(crate) fn new(parts: VecDeque<Part>, tail: Bytes) -> Self {
        // A source may claim any size; one beyond 64 bits will fail when its body ends.
        let length = parts.iter().fold(tail.len() as u64, |sum, part| {
            let head = part.head.len() as u64;
            sum.saturating_add(head).saturating_add(part.length)
        });
        Self {
            left: length,
            parts,
            tail,
            state: State::BetweenParts,
        }
    }

    /// The number of bytes that are still to come.
    pub(crate) fn length(&self) -> u64 {
        self.left
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            match &mut self.state {
                State::BetweenParts => {
                    let Some(part) = self.parts.pop_front() else {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Ok(std::mem::take(&mut self.tail))));
                    };
                    self.state = State::Opening((part.open)(), part.length);
                    return Poll::Ready(Some(Ok(part.head)));
                }
                State::Opening(opening, length) => {
                    let length = *length;
                    match ready!(opening.as_mut().poll(cx)) {
                        Ok(body) => self.state = State::Sending(Exact::new(body, length)),
                        Err(error) => {
                            trace::body_failed(&*error);
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
                State::Sending(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        if let Ok(piece) = frame.into_data() {
                            return Poll::Ready(Some(Ok(piece)));
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => self.state = State::BetweenParts,
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Body for Multipart {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = ready!(self.next(cx));
        match &piece {
            Some(Ok(piece)) => self.left -= piece.len() as u64,
            Some(Err(_)) => self.state = State::Ended,
            None => {}
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
