use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use crate::trace;

pin_project! {
    /// Holds a source's body to the length it promised.
    ///
    /// The last piece is kept back until the source has said that nothing follows, so a body that
    /// is too long ends with an error before it looks complete.
    pub(crate) struct Exact<B> {
        #[pin]
        body: B,
        left: u64,
        last: Option<Bytes>,
        failed: bool,
    }
}

/// A source's body broke the promise of its length.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongLength {
    #[error("the source's body ended {0} bytes early")]
    TooShort(u64),
    #[error("the source's body is longer than the source said")]
    TooLong,
}

impl<B> Exact<B> {
    pub(crate) fn new(body: B, length: u64) -> Self {
        Self {
            body,
            left: length,
            last: None,
            failed: false,
        }
    }
}

impl<B> Exact<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    fn next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut this = self.project();
        if *this.left == 0 && this.last.is_none() {
            return Poll::Ready(None);
        }
        loop {
            let piece = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if piece.is_empty() => continue,
                    Ok(piece) => piece,
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None if *this.left == 0 => return Poll::Ready(this.last.take().map(Ok)),
                None => return Poll::Ready(Some(Err(WrongLength::TooShort(*this.left).into()))),
            };
            match this.left.checked_sub(piece.len() as u64) {
                // Whatever follows the last piece is too much too: it is not empty.
                None => return Poll::Ready(Some(Err(WrongLength::TooLong.into()))),
                Some(0) => {
                    *this.left = 0;
                    if this.body.is_end_stream() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    *this.last = Some(piece);
                }
                Some(left) => {
                    *this.left = left;
                    return Poll::Ready(Some(Ok(piece)));
                }
            }
        }
    }
}

impl<B> Body for Exact<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let piece = ready!(self.as_mut().next(cx));
        if let Some(Err(error)) = &piece {
            *self.project().failed = true;
            trace::body_failed(&**error);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || (self.left == 0 && self.last.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.last.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(self.left + kept)
    }
}
