//! A blob on its way from its source into a file: in pieces, verified as it flows.

use std::{future::poll_fn, io::Write, pin::pin};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    error::{LayoutWriteError, blocking},
    part::Part,
};
use crate::{
    body::BoxError,
    digest::{Digest, Hasher},
    source::BlobContent,
};

/// How many bytes are written at a time, while as many arrive: what a blob holds of memory, twice.
const PIECE: usize = 256 << 10;

/// Appends a blob to `part`, and gives it back if the blob has its size and digest. `told` hears of
/// each piece how many bytes have come so far.
pub(super) async fn arrive<B>(
    content: BlobContent<B>,
    digest: &Digest,
    size: u64,
    part: Part,
    told: impl FnMut(u64),
) -> Result<Part, LayoutWriteError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if content.range != (0..size) || content.info.size != size {
        return Err(LayoutWriteError::BlobMismatch(*digest));
    }
    let mut file = Writing::to(part, digest.algorithm().hasher());
    let flowed = flow(content.body, digest, size, &mut file, told).await;
    // Waited for in any case: nothing is left of it then when the error is told.
    let ended = file.idle().await;
    flowed?;
    let (part, hasher) = *ended?;
    match hasher.finish() == *digest {
        true => Ok(part),
        false => Err(LayoutWriteError::BlobMismatch(*digest)),
    }
}

/// Writes exactly `size` bytes, which are all of `body`.
async fn flow<B>(
    body: B,
    digest: &Digest,
    size: u64,
    file: &mut Writing,
    mut told: impl FnMut(u64),
) -> Result<(), LayoutWriteError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mismatch = || LayoutWriteError::BlobMismatch(*digest);
    let mut body = pin!(body);
    let mut left = size;
    let mut piece = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| LayoutWriteError::Body {
            digest: *digest,
            error: error.into(),
        })?;
        let mut arrived = frame.into_data().unwrap_or_default();
        left = left
            .checked_sub(arrived.len() as u64)
            .ok_or_else(mismatch)?;
        told(size - left);
        while !arrived.is_empty() {
            let room = PIECE - piece.len();
            piece.extend_from_slice(&arrived.split_to(arrived.len().min(room)));
            if piece.len() == PIECE {
                file.write(piece.split().freeze()).await?;
            }
        }
    }
    match left {
        0 => file.write(piece.freeze()).await,
        _ => Err(mismatch()),
    }
}

/// A file that is written on blocking threads, and the hash of what was.
enum Writing {
    Idle(Box<(Part, Hasher)>),
    Busy(JoinHandle<Result<Box<(Part, Hasher)>, LayoutWriteError>>),
    /// Writing failed, and was told.
    Gone,
}

impl Writing {
    fn to(part: Part, hasher: Hasher) -> Self {
        Self::Idle(Box::new((part, hasher)))
    }

    /// Begins to write `piece` once what was written before is.
    async fn write(&mut self, piece: Bytes) -> Result<(), LayoutWriteError> {
        let mut file = self.idle().await?;
        let runtime = Handle::try_current();
        let runtime = runtime.map_err(|error| LayoutWriteError::Runtime(error.into()))?;
        *self = Self::Busy(runtime.spawn_blocking(move || {
            let (part, hasher) = &mut *file;
            hasher.update(&piece);
            match part.write_all(&piece) {
                Ok(()) => Ok(file),
                Err(error) => Err(LayoutWriteError::unwritable(part.path(), error)),
            }
        }));
        Ok(())
    }

    /// Takes the file out, once what was written is.
    async fn idle(&mut self) -> Result<Box<(Part, Hasher)>, LayoutWriteError> {
        let runtime_ended = |error: BoxError| Err(LayoutWriteError::Runtime(error));
        match std::mem::replace(self, Self::Gone) {
            Self::Idle(file) => Ok(file),
            Self::Busy(writing) => {
                let written = writing.await;
                written.unwrap_or_else(|error| runtime_ended(error.into()))
            }
            Self::Gone => runtime_ended("the file was given up".into()),
        }
    }
}

/// Appends `bytes` to `part`.
pub(super) async fn append(
    mut part: Part,
    bytes: impl AsRef<[u8]> + Send + 'static,
) -> Result<Part, LayoutWriteError> {
    blocking(move || match part.write_all(bytes.as_ref()) {
        Ok(()) => Ok(part),
        Err(error) => Err(LayoutWriteError::unwritable(part.path(), error)),
    })
    .await
}
