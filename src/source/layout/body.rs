use std::{
    fmt,
    future::Future,
    io,
    num::NonZeroU64,
    ops::Range,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, yield_now},
};

use super::{file::Opened, position::PositionedFile};
use crate::digest::Digest;

/// How many bytes are read at a time for a reader that keeps up.
const PIECE: usize = 96 << 10;

/// The same for one that does not: it still has the piece before, or a part of it.
const SMALL_PIECE: usize = 16 << 10;

/// How many pieces are read without a wait before other tasks have their turn: with what it takes to
/// send them, a tenth of a millisecond.
const MOST_IN_TURN: usize = 3;

/// How much the system is asked to read beyond a piece that is not in the page cache, before that is
/// read: what comes while it is sent. It costs no memory of this process.
const AHEAD: u64 = 4 << 20;

/// The bytes of a blob's file, or a part of them, as [`LayoutSource`](super::LayoutSource) serves
/// them.
///
/// What the page cache has is read where the body is polled, which takes microseconds; anything else
/// is read off the async threads. The body and its reader together hold one piece of 96 KiB, and a
/// slow reader one or two of 16 KiB besides. If the file turns out shorter than it was, the body ends
/// with an error.
pub struct FileBody {
    file: Arc<PositionedFile>,
    digest: Digest,
    /// The places in the file that are not read yet, and not being read.
    unread: Range<u64>,
    next: Next,
    /// The last large piece, which is filled again once its reader has let go of it.
    lent: Option<Bytes>,
    /// How many pieces were read without a wait since others had their turn.
    in_turn: usize,
    runtime: Handle,
}

/// The piece that follows.
enum Next {
    Read(Bytes),
    Reading {
        piece: JoinHandle<io::Result<Bytes>>,
        length: usize,
    },
    Unread,
    /// The end, or an error was told.
    Nothing,
}

impl FileBody {
    /// A body of `range` of the content, with the first piece read. Blocks.
    pub(super) fn begin(
        content: &Opened,
        digest: Digest,
        range: Range<u64>,
        runtime: Handle,
    ) -> io::Result<Self> {
        let places = content.at + range.start..content.at + range.end;
        let mut body = Self::unread(content.file.clone(), digest, places, runtime);
        if let Some(buffer) = body.buffer() {
            let at = body.take(buffer.len());
            body.next = Next::Read(read(&body.file, at, buffer, &digest)?);
        }
        Ok(body)
    }

    /// The same of a whole file without blocking, if the first piece can be had like that.
    pub(super) fn begin_now(
        file: Arc<PositionedFile>,
        digest: Digest,
        range: Range<u64>,
        runtime: Handle,
    ) -> Option<Self> {
        let mut body = Self::unread(file, digest, range, runtime);
        if let Some(buffer) = body.buffer() {
            body.next = Next::Read(body.read_cached(buffer).ok()?);
        }
        Some(body)
    }

    /// A body of `bytes`, which are all of it.
    pub(super) fn of_bytes(
        file: Arc<PositionedFile>,
        digest: Digest,
        bytes: Bytes,
        runtime: Handle,
    ) -> Self {
        let mut body = Self::unread(file, digest, 0..0, runtime);
        if !bytes.is_empty() {
            body.next = Next::Read(bytes);
        }
        body
    }

    /// The next bytes, if they are read already.
    pub(super) fn at_hand(&self) -> Option<&Bytes> {
        match &self.next {
            Next::Read(piece) => Some(piece),
            _ => None,
        }
    }

    fn unread(
        file: Arc<PositionedFile>,
        digest: Digest,
        unread: Range<u64>,
        runtime: Handle,
    ) -> Self {
        Self {
            file,
            unread,
            digest,
            next: Next::Unread,
            lent: None,
            in_turn: 0,
            runtime,
        }
    }

    /// A buffer for the next piece; nothing at the end.
    fn buffer(&mut self) -> Option<BytesMut> {
        let left = self.unread.end - self.unread.start;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left == 0 {
            return None;
        }
        match self.lent.take().map(Bytes::try_into_mut) {
            None => Some(BytesMut::zeroed(left.min(PIECE))),
            Some(Ok(mut returned)) => {
                returned.resize(left.min(PIECE), 0);
                Some(returned)
            }
            Some(Err(lent)) => {
                self.lent = Some(lent);
                Some(BytesMut::zeroed(left.min(SMALL_PIECE)))
            }
        }
    }

    /// Takes the next `length` bytes from what is unread, and says where they are.
    fn take(&mut self, length: usize) -> u64 {
        let at = self.unread.start;
        self.unread.start += length as u64;
        at
    }

    /// The next piece, as far as the page cache has it; else the buffer is given back.
    fn read_cached(&mut self, mut buffer: BytesMut) -> Result<Bytes, BytesMut> {
        match self.file.read_cached_at(&mut buffer, self.unread.start) {
            0 => Err(buffer),
            length => {
                self.take(length);
                buffer.truncate(length);
                Ok(buffer.freeze())
            }
        }
    }

    /// Begins to fill `buffer` on another thread.
    fn read_elsewhere(&mut self, buffer: BytesMut) -> Next {
        let (length, file, digest) = (buffer.len(), self.file.clone(), self.digest);
        let at = self.take(length);
        let ahead = AHEAD.min(self.unread.end - self.unread.start);
        let read = move || {
            if let Some(ahead) = NonZeroU64::new(ahead) {
                file.read_ahead(at, ahead.saturating_add(length as u64));
            }
            read(&file, at, buffer, &digest)
        };
        let piece = self.runtime.spawn_blocking(read);
        Next::Reading { piece, length }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match &mut self.next {
                Next::Nothing => return Poll::Ready(None),
                Next::Read(piece) => return Poll::Ready(Some(Ok(std::mem::take(piece)))),
                Next::Reading { piece, .. } => {
                    let piece = ready!(Pin::new(piece).poll(cx));
                    return Poll::Ready(Some(piece.map_err(io::Error::other).flatten()));
                }
                Next::Unread => {
                    if self.in_turn >= MOST_IN_TURN {
                        self.in_turn = 0;
                        // Its first poll wakes this task once the others, and what waits for I/O,
                        // had their turn.
                        let _ = pin!(yield_now()).poll(cx);
                        return Poll::Pending;
                    }
                    let Some(buffer) = self.buffer() else {
                        return Poll::Ready(None);
                    };
                    match self.read_cached(buffer) {
                        Ok(piece) => {
                            self.in_turn += 1;
                            return Poll::Ready(Some(Ok(piece)));
                        }
                        Err(buffer) => self.next = self.read_elsewhere(buffer),
                    }
                }
            }
        }
    }

    /// What follows a piece that is handed out.
    fn lend(&mut self, piece: &Bytes) {
        self.next = match self.unread.is_empty() {
            true => Next::Nothing,
            false => Next::Unread,
        };
        if self.lent.is_none() && !self.unread.is_empty() {
            self.lent = Some(piece.clone());
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let piece = ready!(this.poll_piece(cx));
        match &piece {
            Some(Ok(piece)) => this.lend(piece),
            _ => this.next = Next::Nothing,
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        let next = match &self.next {
            Next::Read(piece) => piece.len(),
            Next::Reading { length, .. } => *length,
            Next::Unread => 0,
            Next::Nothing => return SizeHint::with_exact(0),
        };
        SizeHint::with_exact(next as u64 + (self.unread.end - self.unread.start))
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        // A read that has not begun need not begin; one that has ends by itself.
        if let Next::Reading { piece, .. } = &self.next {
            piece.abort();
        }
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody")
            .field("digest", &self.digest)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

/// Fills `buffer` from the place `at` of the file of `digest`.
fn read(
    file: &PositionedFile,
    at: u64,
    mut buffer: BytesMut,
    digest: &Digest,
) -> io::Result<Bytes> {
    file.read_exact_at(&mut buffer, at).map_err(|error| {
        let text = format!("the file of {digest} cannot be read at byte {at}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    Ok(buffer.freeze())
}
