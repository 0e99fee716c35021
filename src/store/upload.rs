use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    body::{BoxError, DynBody, drain},
    digest::Algorithm,
    limits::UploadLimits,
    name::UploadId,
    source::SourceError,
};

/// How an upload session is begun.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BeginUpload {
    /// What the client will verify the blob with; SHA-256 if it does not say.
    ///
    /// This is a hint what to hash with while bytes arrive. The digest that ends the session may
    /// still be of another algorithm.
    pub algorithm: Option<Algorithm>,
    /// What holds for this session, and for how many there may be.
    pub limits: UploadLimits,
}

impl BeginUpload {
    /// A session with these limits.
    pub fn new(limits: UploadLimits) -> Self {
        Self {
            algorithm: None,
            limits,
        }
    }

    /// The same, for a blob that will be verified with `algorithm`.
    #[must_use]
    pub fn algorithm(self, algorithm: impl Into<Option<Algorithm>>) -> Self {
        Self {
            algorithm: algorithm.into(),
            ..self
        }
    }
}

/// An upload session that was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// What the session is asked for by. It cannot be guessed.
    pub id: UploadId,
    /// How many bytes every append but the last has to have, if there is a minimum.
    pub min_chunk: Option<u64>,
}

impl Session {
    /// The session with this id, which takes pieces of any size.
    pub fn new(id: UploadId) -> Self {
        Self {
            id,
            min_chunk: None,
        }
    }

    /// The same, where every append but the last has to have so many bytes.
    #[must_use]
    pub fn min_chunk(self, min_chunk: impl Into<Option<u64>>) -> Self {
        Self {
            min_chunk: min_chunk.into(),
            ..self
        }
    }
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadStatus {
    /// How many bytes were acknowledged.
    pub offset: u64,
}

impl UploadStatus {
    /// An upload of which `offset` bytes were acknowledged.
    pub fn new(offset: u64) -> Self {
        Self { offset }
    }
}

/// The body of a request, as a store reads it: piece by piece, held to the length that was
/// announced for it.
///
/// ```
/// # use tower_oci::{BytesBody, SourceError, UploadBody};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), SourceError> {
/// let mut body = UploadBody::new(BytesBody::new("hello")).announced(5);
/// let mut received = Vec::new();
/// while let Some(piece) = body.next().await {
///     received.extend_from_slice(&piece?);
/// }
/// assert_eq!(received, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct UploadBody {
    state: State,
    announced: Option<u64>,
    received: u64,
    is_polled: bool,
}

enum State {
    Open(DynBody),
    Ended,
    Failed,
}

impl UploadBody {
    /// The body of a request.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        Self::of(State::Open(DynBody::new(body)))
    }

    /// A body without a byte.
    pub fn empty() -> Self {
        Self::of(State::Ended)
    }

    fn of(state: State) -> Self {
        Self {
            state,
            announced: None,
            received: 0,
            is_polled: false,
        }
    }

    /// The same, which fails unless it has exactly `length` bytes.
    #[must_use]
    pub fn announced(mut self, length: u64) -> Self {
        self.announce(length);
        self
    }

    pub(crate) fn announce(&mut self, length: u64) {
        self.announced = Some(length);
    }

    /// How many bytes it has as a whole, if that is known before its end.
    pub fn length(&self) -> Option<u64> {
        self.announced.or_else(|| match &self.state {
            State::Open(body) => body.size_hint().exact().map(|left| self.received + left),
            State::Ended => Some(self.received),
            State::Failed => None,
        })
    }

    /// The next piece, which is not empty; nothing after the last.
    ///
    /// The future may be dropped without losing a piece.
    ///
    /// # Errors
    ///
    /// - [`RequestBody`](SourceError::RequestBody): it could not be read. A body that has failed
    ///   fails for ever: it never looks complete.
    /// - [`SizeMismatch`](SourceError::SizeMismatch): it has not the length that was announced.
    pub async fn next(&mut self) -> Option<Result<Bytes, SourceError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SourceError>>> {
        let polled = ready!(self.poll_piece(cx));
        if let Some(Err(_)) = polled {
            self.state = State::Failed;
        }
        Poll::Ready(polled)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SourceError>>> {
        loop {
            let body = match &mut self.state {
                State::Open(body) => Pin::new(body),
                State::Ended => return Poll::Ready(self.end()),
                State::Failed => {
                    let error = SourceError::RequestBody("it has failed before".into());
                    return Poll::Ready(Some(Err(error)));
                }
            };
            self.is_polled = true;
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    let piece = frame.into_data().unwrap_or_default();
                    if !piece.is_empty() {
                        return Poll::Ready(Some(self.count(piece)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(request_body(error)))),
                None => self.state = State::Ended,
            }
        }
    }

    fn count(&mut self, piece: Bytes) -> Result<Bytes, SourceError> {
        self.received += piece.len() as u64;
        match self.announced {
            Some(announced) if self.received > announced => {
                Err(SourceError::SizeMismatch { announced })
            }
            _ => Ok(piece),
        }
    }

    fn end(&self) -> Option<Result<Bytes, SourceError>> {
        let announced = self.announced.filter(|&length| length != self.received)?;
        Some(Err(SourceError::SizeMismatch { announced }))
    }

    /// Reads and drops what is left, to its end or to a limit. With `only_if_polled` a body that
    /// nobody has asked for yet stays where it is: the client holds it back.
    pub(crate) async fn drain(&mut self, only_if_polled: bool) {
        if let State::Open(body) = &mut self.state
            && (self.is_polled || !only_if_polled)
        {
            drain(body).await;
        }
    }
}

/// An upload body that another is made of has said already what is wrong.
fn request_body(error: BoxError) -> SourceError {
    error
        .downcast()
        .map_or_else(SourceError::RequestBody, |error| *error)
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = SourceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        let piece = ready!(self.poll_next(cx));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended) && self.end().is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.length().and_then(|all| all.checked_sub(self.received));
        left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Default for UploadBody {
    /// A body without a byte: what is left where a store takes the body away.
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for UploadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadBody")
            .field("announced", &self.announced)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
