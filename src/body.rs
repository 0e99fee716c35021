//! Bodies: what sources hand out, and what the service answers with.

use std::{
    any::Any,
    fmt,
    future::poll_fn,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

mod exact;
mod multipart;

pub(crate) use exact::Exact;
pub(crate) use multipart::{Multipart, Part};

/// An error of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of bytes that are in memory already.
///
/// What a [`BlobSource`](crate::BlobSource) uses that has its content at hand; see
/// [`Blob::from_bytes`](crate::Blob::from_bytes).
#[derive(Clone, Debug, Default)]
pub struct BytesBody(Bytes);

impl BytesBody {
    /// A body that yields `bytes` in one piece.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }
}

impl<T: Into<Bytes>> From<T> for BytesBody {
    fn from(bytes: T) -> Self {
        Self::new(bytes)
    }
}

impl Body for BytesBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// A body of any type, behind one pointer.
pub struct DynBody(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>);

impl DynBody {
    /// Hides the type of `body`. Data that is no [`Bytes`] is copied. A body whose type is hidden
    /// already stays as it is.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let mut body = Some(body);
        let hidden = (&mut body as &mut dyn Any)
            .downcast_mut()
            .and_then(Option::take);
        match (hidden, body) {
            (Some(hidden), _) => hidden,
            (None, Some(body)) => Self(Box::pin(Boxed { body })),
            // What was not taken is there.
            (None, None) => Self::new(BytesBody::default()),
        }
    }
}

impl fmt::Debug for DynBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynBody").finish_non_exhaustive()
    }
}

impl Body for DynBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

pin_project! {
    /// A body with its error boxed, and its data as [`Bytes`].
    struct Boxed<B> {
        #[pin]
        body: B,
    }
}

impl<B> Body for Boxed<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        let in_bytes =
            |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        Poll::Ready(frame.map(|frame| frame.map(in_bytes).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The body of every response of [`OciRegistryService`](crate::OciRegistryService).
    ///
    /// Its size is always known before the first byte, and it yields exactly that many bytes or
    /// ends with an error: a download that was cut short never looks complete.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Bytes { #[pin] body: BytesBody },
        Blob { #[pin] body: Exact<B> },
        Multipart { #[pin] body: Multipart },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    pub(crate) fn bytes(bytes: impl Into<BytesBody>) -> Self {
        let body = bytes.into();
        Self {
            kind: Kind::Bytes { body },
        }
    }

    pub(crate) fn blob(body: B, length: u64) -> Self {
        let body = Exact::new(body, length);
        Self {
            kind: Kind::Blob { body },
        }
    }

    pub(crate) fn multipart(body: Multipart) -> Self {
        Self {
            kind: Kind::Multipart { body },
        }
    }
}

impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Bytes { body } => body.poll_frame(cx).map_err(|never| match never {}),
            KindProjection::Blob { body } => body.poll_frame(cx),
            KindProjection::Multipart { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Bytes { body } => body.is_end_stream(),
            Kind::Blob { body } => body.is_end_stream(),
            Kind::Multipart { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Bytes { body } => body.size_hint(),
            Kind::Blob { body } => body.size_hint(),
            Kind::Multipart { body } => body.size_hint(),
        }
    }
}

/// The part of `bytes` at `range`, which lies within them; nothing if it does not.
pub(crate) fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let within = |position: u64| usize::try_from(position).ok();
    match (within(range.start), within(range.end)) {
        (Some(start), Some(end)) if start <= end && end <= bytes.len() => bytes.slice(start..end),
        _ => Bytes::new(),
    }
}

/// How much of a request's body is read before an answer that does not need it.
const MOST_DRAINED: usize = 256 << 10;

/// Reads and drops a request's body, to its end or to [`MOST_DRAINED`].
///
/// A client that is still sending may read no answer, and report a broken pipe instead of the error
/// if the connection is closed on it. What is longer is left to the server, which closes the
/// connection. Nothing but the whole answer is sent after it: curl stops sending when it sees the
/// head of an error, and waits for the rest.
// protocol 88
pub(crate) async fn drain(request: &mut DynBody) {
    let mut left = MOST_DRAINED;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut *request).poll_frame(cx)).await {
        // An empty frame counts too, so that there is an end of them.
        let length = frame.data_ref().map_or(0, Buf::remaining).max(1);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
