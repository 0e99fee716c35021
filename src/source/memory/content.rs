//! The bytes of a blob in memory, in pieces: while they arrive, and when they are all there.

use std::{
    convert::Infallible,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::budget::Charge;

/// The smallest piece that bytes are collected in.
const SMALLEST: usize = 4 << 10;

/// The largest piece that bytes are collected in.
const LARGEST: usize = 1 << 20;

/// From this size on content is moved as it is, and not copied into the piece before it.
const WORTH_MOVING: u64 = 64 << 10;

/// Bytes that arrive.
///
/// They are copied out of the buffers of the connection, which may be much larger, into pieces that
/// grow with the whole.
#[derive(Debug)]
pub(super) struct Growing {
    full: Vec<Bytes>,
    last: BytesMut,
    length: u64,
    keeps: bool,
}

impl Growing {
    /// Nothing yet. What does not keep its bytes only counts them.
    pub(super) fn new(keeps: bool) -> Self {
        Self {
            full: Vec::new(),
            last: BytesMut::new(),
            length: 0,
            keeps,
        }
    }

    /// The same as this, without a byte.
    pub(super) fn empty(&self) -> Self {
        Self::new(self.keeps)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if !self.keeps {
            self.length += bytes.len() as u64;
            return;
        }
        while !bytes.is_empty() {
            if self.last.len() == self.last.capacity() {
                self.close_last();
                let size = usize::try_from(self.length).unwrap_or(LARGEST);
                self.last.reserve(size.clamp(SMALLEST, LARGEST));
            }
            let room = self.last.capacity() - self.last.len();
            let (fitting, rest) = bytes.split_at(room.min(bytes.len()));
            self.last.extend_from_slice(fitting);
            self.length += fitting.len() as u64;
            bytes = rest;
        }
    }

    /// Adds all of `other` at the end.
    pub(super) fn append(&mut self, mut other: Self) {
        if self.keeps && other.length < WORTH_MOVING {
            other.pieces().iter().for_each(|piece| self.push(piece));
            return;
        }
        self.close_last();
        self.full.append(&mut other.full);
        self.last = other.last;
        self.length += other.length;
    }

    /// All pieces so far; they are not copied. None of what does not keep them.
    pub(super) fn pieces(&mut self) -> Vec<Bytes> {
        self.close_last();
        self.full.clone()
    }

    /// Ends the last piece where it is, without the room that it does not need.
    fn close_last(&mut self) {
        let last = std::mem::take(&mut self.last);
        if last.len() < last.capacity() / 4 * 3 {
            self.full
                .extend((!last.is_empty()).then(|| Bytes::copy_from_slice(&last)));
        } else if !last.is_empty() {
            self.full.push(last.freeze());
        }
    }

    /// All of it, which does not grow any more, with what it costs.
    pub(super) fn finish(mut self, charge: Charge) -> Content {
        let mut end = 0;
        let pieces = self.pieces().into_iter().map(|piece| {
            end += piece.len() as u64;
            (end, piece)
        });
        Content {
            pieces: pieces.collect(),
            size: self.length,
            _charge: charge,
        }
    }
}

/// The bytes of a blob.
#[derive(Debug)]
pub(super) struct Content {
    /// Each piece with the position of its end. None are there of content that was discarded.
    pieces: Vec<(u64, Bytes)>,
    size: u64,
    _charge: Charge,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether its bytes were kept.
    pub(super) fn is_kept(&self) -> bool {
        self.pieces.last().map_or(0, |(end, _)| *end) == self.size
    }
}

/// Yields a part of some content, for as long as anybody reads it even if it is deleted.
#[derive(Debug)]
pub(super) struct ContentBody {
    content: Arc<Content>,
    /// The piece that comes next.
    index: usize,
    left: Range<u64>,
}

impl ContentBody {
    /// The part at `range`, which lies within the content.
    pub(super) fn new(content: Arc<Content>, range: Range<u64>) -> Self {
        let index = content
            .pieces
            .partition_point(|(end, _)| *end <= range.start);
        Self {
            content,
            index,
            left: range,
        }
    }
}

impl Body for ContentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let Some((end, piece)) = self.content.pieces.get(self.index) else {
            return Poll::Ready(None);
        };
        let start = end - piece.len() as u64;
        let part = self.left.start - start..self.left.end.min(*end) - start;
        let (end, bytes) = (*end, crate::body::slice(piece, &part));
        self.left.start = end.min(self.left.end);
        self.index += 1;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}
