//! Blobs as they flow: resumed where a connection broke, and verified before the last byte.

use std::{
    fmt,
    future::poll_fn,
    ops::Range,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use super::{
    ClientError, ClientErrorKind, RegistryClient,
    retry::Retries,
    transport::{Outgoing, before_deadline, unless_stalled},
};
use crate::{body::DynBody, digest::Digest, hash::Hashing, http::range::ascii_header};

/// The bytes of a whole blob. The last of them is yielded only if all of them have the digest that
/// was asked for.
///
/// A connection that breaks is replaced by one that goes on where it broke.
pub struct BlobBody(Flowing);

/// The bytes of a part of a blob. They cannot be verified: whoever needs to be sure reads the whole.
///
/// A connection that breaks is replaced by one that goes on where it broke.
pub struct RangeBody(Flowing);

struct Flowing {
    pieces: BoxStream<'static, Result<Bytes, ClientError>>,
    left: u64,
}

impl Flowing {
    fn new(download: Download) -> Self {
        let left = download.range.end - download.position;
        let pieces = stream::try_unfold(download, async |mut download| {
            let piece = download.next().await?;
            Ok(piece.map(|piece| (piece, download)))
        });
        Self {
            pieces: Box::pin(pieces),
            left,
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        let piece = ready!(self.pieces.poll_next_unpin(cx));
        if let Some(Ok(piece)) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

macro_rules! flowing_body {
    ($name:ident) => {
        impl Body for $name {
            type Data = Bytes;
            type Error = ClientError;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
                self.0.poll_frame(cx)
            }

            fn size_hint(&self) -> SizeHint {
                SizeHint::with_exact(self.0.left)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("left", &self.0.left)
                    .finish_non_exhaustive()
            }
        }
    };
}

flowing_body!(BlobBody);
flowing_body!(RangeBody);

impl BlobBody {
    pub(super) fn new(download: Download) -> Self {
        Self(Flowing::new(download))
    }
}

impl RangeBody {
    pub(super) fn new(download: Download) -> Self {
        Self(Flowing::new(download))
    }
}

/// One download, over as many connections as it takes.
pub(super) struct Download {
    client: RegistryClient,
    outgoing: Outgoing,
    retries: Retries,
    /// The size of the whole blob.
    total: u64,
    /// What is wanted of it.
    pub(super) range: Range<u64>,
    /// The next byte that is wanted.
    position: u64,
    /// What the answers have to have in common.
    etag: Option<HeaderValue>,
    verified: Option<(Hashing, Digest)>,
    answer: Option<Answering>,
    is_finished: bool,
}

/// The body of one answer.
struct Answering {
    body: DynBody,
    /// How many bytes come before the next that is wanted.
    skipped: u64,
    /// How many bytes it still has to have.
    left: u64,
    /// Whether it goes on after what is wanted.
    is_cut: bool,
}

impl Download {
    /// The download that `response` begins: the whole blob if it is to have the digest.
    pub(super) fn of(
        client: RegistryClient,
        outgoing: Outgoing,
        response: Response<DynBody>,
        answered: &Answered,
        range: Range<u64>,
        digest: Option<Digest>,
    ) -> Self {
        let etag = response.headers().get(header::ETAG).cloned();
        // A weak tag does not say that parts fit together (RFC 9110 §13.1.5).
        let etag = etag.filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        let retries = client.retrying().run();
        let mut download = Self {
            client,
            outgoing,
            retries,
            total: answered.total,
            position: range.start,
            range,
            etag,
            verified: digest.map(|digest| (Hashing::new(digest.algorithm().hasher()), digest)),
            answer: None,
            is_finished: false,
        };
        download.answer = Some(download.answering(answered, response.into_body()));
        download
    }

    fn answering(&self, answered: &Answered, body: DynBody) -> Answering {
        Answering {
            body,
            skipped: self.position - answered.range.start,
            left: answered.range.end - answered.range.start,
            is_cut: answered.range.end > self.range.end,
        }
    }

    /// The next piece; nothing after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while !self.is_finished {
            match self.advance().await {
                Ok(None) => {}
                Ok(piece) => return Ok(piece),
                Err(error) => {
                    self.answer = None;
                    self.retries.wait(error).await?;
                }
            }
        }
        Ok(None)
    }

    /// One step: a piece if there is one that may be handed on.
    async fn advance(&mut self) -> Result<Option<Bytes>, ClientError> {
        if self.answer.is_none() && self.position < self.range.end {
            self.answer = Some(self.reopen().await?);
        }
        if self.position == self.range.end {
            // Nothing was wanted, or an answer ended right where the last one did.
            self.finish()?;
            return Ok(None);
        }
        let Some(piece) = self.read().await? else {
            self.answer = None;
            return Ok(None);
        };
        if piece.is_empty() {
            return Ok(None);
        }
        self.position += piece.len() as u64;
        self.retries.progressed();
        if let Some((hashing, _)) = &mut self.verified {
            hashing.update(piece.clone()).await;
        }
        if self.position == self.range.end {
            self.expect_end().await?;
            self.finish()?;
        }
        Ok(Some(piece))
    }

    /// What comes next of what is wanted in the answer; empty if it is not; nothing at its end.
    async fn read(&mut self) -> Result<Option<Bytes>, ClientError> {
        let wanted = self.range.end - self.position;
        let frame = self.frame().await?;
        let Some(answer) = &mut self.answer else {
            return Ok(None);
        };
        let Some(mut piece) = frame else {
            return match answer.left {
                0 => Ok(None),
                left => {
                    let error = format!("it ended {left} bytes early").into();
                    Err(self.outgoing.failed(ClientErrorKind::Connection(error)))
                }
            };
        };
        let Some(left) = answer.left.checked_sub(piece.len() as u64) else {
            return Err(self.outgoing.broke_protocol("it is longer than it said"));
        };
        answer.left = left;
        let skipped = answer.skipped.min(piece.len() as u64);
        answer.skipped -= skipped;
        // Both are at most the length of the piece.
        let skipped = usize::try_from(skipped).unwrap_or(piece.len());
        let mut piece = piece.split_off(skipped);
        piece.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        Ok(Some(piece))
    }

    /// The next bytes of the answer, within the time that one may take.
    async fn frame(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(answer) = &mut self.answer else {
            return Ok(None);
        };
        let (outgoing, retrying) = (&self.outgoing, self.client.retrying());
        let mut body = pin!(&mut answer.body);
        let next = async {
            match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                None => Ok(None),
                Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
                Some(Err(error)) => Err(outgoing.failed(ClientErrorKind::Connection(error))),
            }
        };
        let next = unless_stalled(outgoing, &retrying, next);
        before_deadline(outgoing, &retrying, next).await
    }

    /// The answer ends where it said, unless it goes on after what is wanted.
    async fn expect_end(&mut self) -> Result<(), ClientError> {
        while self.answer.as_ref().is_some_and(|answer| !answer.is_cut) {
            match self.frame().await {
                Ok(None) => break,
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(Some(_)) => {
                    return Err(self.outgoing.broke_protocol("it is longer than it said"));
                }
                // All that is wanted is there.
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        self.is_finished = true;
        self.answer = None;
        let Some((hashing, digest)) = self.verified.take() else {
            return Ok(());
        };
        match hashing.into_hasher().finish() == digest {
            true => Ok(()),
            false => Err(self
                .outgoing
                .failed(ClientErrorKind::DigestMismatch(digest))),
        }
    }

    /// Asks for what is still wanted.
    async fn reopen(&mut self) -> Result<Answering, ClientError> {
        let (first, last) = (self.position, self.range.end - 1);
        let range = ascii_header(&format!("bytes={first}-{last}"));
        let mut outgoing = self.outgoing.clone();
        outgoing.headers.insert(header::RANGE, range);
        if let Some(etag) = &self.etag {
            outgoing.headers.insert(header::IF_RANGE, etag.clone());
        }
        let (transport, retrying) = (&self.client.shared.transport, self.client.retrying());
        let sent = transport.send_once(&outgoing, &retrying);
        let response = unless_stalled(&outgoing, &retrying, sent).await?;
        let answered = Answered::of(&outgoing, &response)?;
        let etag = response.headers().get(header::ETAG);
        let has_changed = self
            .etag
            .as_ref()
            .zip(etag)
            .is_some_and(|(one, now)| one != now);
        if has_changed && self.verified.is_none() {
            // Nothing else would tell that the parts do not fit together.
            return Err(outgoing.broke_protocol("the blob has changed meanwhile"));
        }
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let begins_right = answered.range.start == if is_part { first } else { 0 };
        if answered.total != self.total || !begins_right || answered.range.end <= first {
            return Err(outgoing.broke_protocol("it goes on with another part, or another blob"));
        }
        Ok(self.answering(&answered, response.into_body()))
    }
}

/// What an answer says that it holds.
pub(super) struct Answered {
    pub(super) total: u64,
    pub(super) range: Range<u64>,
    pub(super) seekable: bool,
}

impl Answered {
    /// What `response`, a 200 or 206, says.
    pub(super) fn of<B>(outgoing: &Outgoing, response: &Response<B>) -> Result<Self, ClientError> {
        let headers = response.headers();
        let length = content_length(headers);
        if response.status() != StatusCode::PARTIAL_CONTENT {
            let total =
                length.ok_or_else(|| outgoing.broke_protocol("it has no Content-Length"))?;
            return Ok(Self {
                total,
                range: 0..total,
                seekable: accepts_ranges(headers),
            });
        }
        let content_range = headers.get(header::CONTENT_RANGE);
        let (range, total) = content_range
            .and_then(|value| parse_content_range(value.to_str().ok()?))
            .ok_or_else(|| {
                outgoing.broke_protocol("it has no Content-Range that tells its part")
            })?;
        if length.is_some_and(|length| length != range.end - range.start) {
            let what = "its Content-Length is not that of its Content-Range";
            return Err(outgoing.broke_protocol(what));
        }
        Ok(Self {
            total,
            range,
            seekable: true,
        })
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

pub(super) fn accepts_ranges(headers: &HeaderMap) -> bool {
    let unit = headers.get(header::ACCEPT_RANGES);
    unit.is_some_and(|unit| unit.as_bytes().eq_ignore_ascii_case(b"bytes"))
}

/// `bytes 500-999/1234`, as `500..1000` and 1234.
// RFC 9110 §14.4
fn parse_content_range(value: &str) -> Option<(Range<u64>, u64)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = total.trim().parse().ok()?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last < total).then(|| (first..last + 1, total))
}

/// The size that a 416 gives.
pub(super) fn unsatisfied_size(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.trim().strip_prefix("bytes */")?.trim().parse().ok()
}
