//! Content that is there already.

use std::{future::poll_fn, pin::pin};

use http_body::Body;
use tokio::runtime::Handle;

use super::error::{LayoutWriteError, blocking};
use crate::{
    digest::Digest,
    hash::Hashing,
    source::{
        BlobContent, FileBody,
        layout::file::{ContentFile, Place, Size},
    },
};

/// A blob of a certain size that may be there.
pub(super) fn content_file(place: &Place, digest: &Digest, size: u64) -> ContentFile {
    ContentFile {
        place: place.clone(),
        digest: *digest,
        size: Size::Stated(size),
        required: true,
    }
}

/// Whether the content is there, with its size, and its digest if that is to be verified.
pub(super) async fn is_present(file: &ContentFile, verify: bool) -> Result<bool, LayoutWriteError> {
    if !verify {
        let file = file.clone();
        return blocking(move || Ok(file.length().is_ok())).await;
    }
    // What cannot be read is as good as absent: it is written anew.
    let Ok(content) = open(file).await else {
        return Ok(false);
    };
    let mut body = pin!(content.body);
    let mut hashing = Hashing::new(file.digest.algorithm().hasher());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else {
            return Ok(false);
        };
        let piece = frame.into_data().unwrap_or_default();
        hashing.update(piece).await;
    }
    Ok(hashing.into_hasher().finish() == file.digest)
}

/// Opens content that is there.
pub(super) async fn open(file: &ContentFile) -> Result<BlobContent<FileBody>, LayoutWriteError> {
    let runtime = Handle::try_current();
    let runtime = runtime.map_err(|error| LayoutWriteError::Runtime(error.into()))?;
    let file = file.clone();
    blocking(move || {
        let opened = file.open_blob(None, runtime);
        opened.map_err(|error| LayoutWriteError::source(&file.digest, error))
    })
    .await
}
