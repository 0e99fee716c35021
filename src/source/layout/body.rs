use std::{
    fmt,
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{file::Opened, position::PositionedFile};
use crate::digest::Digest;

/// How many bytes are read at a time.
///
/// Each piece costs a change of threads, so larger ones are faster. One reader draining a file from
/// the page cache, on two cores, got 490, 880, 1920, 3550 and 7150 MiB/s with 16, 32, 64, 128 and
/// 256 KiB: the middle one of three runs of `cargo bench --bench layout_read`, interleaved. But a
/// slow reader holds three pieces at worst: the rest of one and all of the next in the server's write
/// buffer, and the one that is read ahead. With 32 KiB these and the connection's own buffers stay
/// below 128 KiB.
const CHUNK: usize = 32 << 10;

/// The bytes of a blob's file, or a part of them, as [`LayoutSource`](super::LayoutSource) serves
/// them.
///
/// The file is read off the async threads, one piece of 32 KiB ahead of the reader: the body holds
/// one piece, and its reader what it has taken. If the file turns out shorter than it was, the body
/// ends with an error.
pub struct FileBody {
    file: Arc<PositionedFile>,
    digest: Digest,
    /// The places in the file that are not read yet, and not being read.
    unread: Range<u64>,
    ahead: Ahead,
    runtime: Handle,
}

/// The piece that follows.
enum Ahead {
    Read(Bytes),
    Reading {
        piece: JoinHandle<io::Result<Bytes>>,
        length: usize,
    },
    /// The end, or an error was told.
    Nothing,
}

impl FileBody {
    /// A body of `range` of the content, with the first piece read. Blocks.
    pub(super) fn begin(
        content: Opened,
        digest: Digest,
        range: Range<u64>,
        runtime: Handle,
    ) -> io::Result<Self> {
        let mut body = Self {
            unread: content.at + range.start..content.at + range.end,
            file: content.file,
            digest,
            ahead: Ahead::Nothing,
            runtime,
        };
        if let Some((at, length)) = body.next_piece() {
            body.ahead = Ahead::Read(read(&body.file, at, length, &digest)?);
        }
        Ok(body)
    }

    /// Takes the place and the length of the next piece from what is unread.
    fn next_piece(&mut self) -> Option<(u64, usize)> {
        let at = self.unread.start;
        let left = self.unread.end - at;
        let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        self.unread.start += length as u64;
        (length > 0).then_some((at, length))
    }

    fn read_ahead(&mut self) {
        self.ahead = match self.next_piece() {
            None => Ahead::Nothing,
            Some((at, length)) => {
                let (file, digest) = (self.file.clone(), self.digest);
                let read = move || read(&file, at, length, &digest);
                let piece = self.runtime.spawn_blocking(read);
                Ahead::Reading { piece, length }
            }
        };
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
        let piece = match &mut this.ahead {
            Ahead::Nothing => return Poll::Ready(None),
            Ahead::Read(piece) => Ok(std::mem::take(piece)),
            Ahead::Reading { piece, .. } => ready!(Pin::new(piece).poll(cx))
                .unwrap_or_else(|error| Err(io::Error::other(error))),
        };
        match &piece {
            Ok(_) => this.read_ahead(),
            Err(_) => this.ahead = Ahead::Nothing,
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.ahead, Ahead::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = match &self.ahead {
            Ahead::Read(piece) => piece.len(),
            Ahead::Reading { length, .. } => *length,
            Ahead::Nothing => return SizeHint::with_exact(0),
        };
        SizeHint::with_exact(ahead as u64 + (self.unread.end - self.unread.start))
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        // A read that has not begun need not begin; one that has ends by itself.
        if let Ahead::Reading { piece, .. } = &self.ahead {
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

fn read(file: &PositionedFile, at: u64, length: usize, digest: &Digest) -> io::Result<Bytes> {
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, at).map_err(|error| {
        let text = format!("the file of {digest} cannot be read at byte {at}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    Ok(piece.into())
}
