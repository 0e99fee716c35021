//! The write side of storage: [`BlobStore`], and the types it speaks in.

use std::future::Future;

use crate::{
    access::Visibility,
    digest::Digest,
    name::{RepositoryName, Tag, UploadId},
    source::{BlobInfo, BlobSource, SourceError},
};

mod dynamic;
mod forward;
mod manifest;
mod precondition;
mod upload;

pub use dynamic::DynStore;
pub(crate) use forward::forward_blob_store;
pub use manifest::{ContentReference, NewManifest, ReferenceCheck, StoredManifest, TagUpdate};
pub use precondition::Precondition;
pub use upload::{BeginUpload, Session, UploadBody, UploadStatus};

/// Storage that manifests and blobs can be written to.
///
/// Given to [`OciRegistryService::writable`](crate::OciRegistryService::writable), it is a complete
/// registry. What holds for every method, besides what [`BlobSource`] promises:
///
/// - **Acknowledged** means that the method returned `Ok`. Everything that is acknowledged is
///   visible to every later read, and stays.
/// - **The future may be dropped at any await**: the server drops it when the client leaves.
///   Dropped means refused: nothing of it is visible, an upload is as it was before, and no late
///   write lands.
/// - **Content belongs to a repository**, even where bytes are shared. A repository exists from its
///   first commit, not from the beginning of an upload, and deletes do not remove it.
/// - What a repository has is gone from it at once when it is deleted, and from it alone.
/// - No two requests wait for each other's clients.
///
/// `testing::store_suite` (feature `testing`) checks an implementation against all of this.
///
/// Specification: "Push" and "Content Management".
///
/// # Uploads
///
/// A session belongs to the repository that it was begun in, and its id cannot be guessed. It has
/// an offset: how many bytes were acknowledged. An append that fails, or is dropped, leaves the
/// offset as it was, so a client can send the same request again. A newer request for a session
/// takes it over at once: the older one ends with [`SourceError::Superseded`] and loses its bytes.
/// A session ends when nothing has arrived for it during [`UploadLimits::lifetime`].
///
/// [`UploadLimits::lifetime`]: crate::UploadLimits::lifetime
pub trait BlobStore: BlobSource {
    /// Opens an upload session in `repository`.
    ///
    /// # Errors
    ///
    /// - [`Unsupported`](SourceError::Unsupported): this store, or this repository, takes no writes.
    /// - [`TooManyRequests`](SourceError::TooManyRequests): too many sessions are open.
    /// - [`Full`](SourceError::Full): there is no room.
    /// - [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`Backend`](SourceError::Backend): as they say.
    // protocol 20 to 23
    fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> impl Future<Output = Result<Session, SourceError>> + Send;

    /// Adds `body` to the session, and returns the new offset. With `at`, only if that is the
    /// offset; without it, wherever the session is.
    ///
    /// # Errors
    ///
    /// - [`UploadUnknown`](SourceError::UploadUnknown): there is no such session in this
    ///   repository, or it has ended.
    /// - [`OffsetMismatch`](SourceError::OffsetMismatch): `at` is not the offset. The body is not
    ///   read, and a request that is under way goes on.
    /// - [`Superseded`](SourceError::Superseded): a newer request has taken the session over.
    /// - [`TooLarge`](SourceError::TooLarge): the blob would be larger than its session allows.
    /// - The error of `body`, and those of [`begin_upload`](Self::begin_upload).
    // protocol 27 and 28
    fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> impl Future<Output = Result<u64, SourceError>> + Send;

    /// How far a session has come. It changes nothing, and takes nothing over.
    ///
    /// # Errors
    ///
    /// [`UploadUnknown`](SourceError::UploadUnknown): there is no such session in this repository,
    /// or it has ended.
    // protocol 30
    fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> impl Future<Output = Result<UploadStatus, SourceError>> + Send;

    /// Adds `last` to the session as [`append_upload`](Self::append_upload) does, and commits the
    /// blob if the whole of it has the digest `expect`.
    ///
    /// Success ends the session. The same call for a session that was committed with this digest
    /// succeeds again without reading `last`, for about as long as the session would have lived and
    /// while the repository has the blob. Any failure leaves the session at the offset it had.
    ///
    /// # Errors
    ///
    /// [`DigestMismatch`](SourceError::DigestMismatch): the content has another digest; and those
    /// of [`append_upload`](Self::append_upload).
    // protocol 24, 25 and 29
    fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> impl Future<Output = Result<BlobInfo, SourceError>> + Send;

    /// Gives a session up, with everything that arrived for it.
    ///
    /// # Errors
    ///
    /// [`UploadUnknown`](SourceError::UploadUnknown): there is no such session in this repository,
    /// or it has ended.
    // protocol 31
    fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Stores the blob `body`, which has the digest `expect`.
    ///
    /// The default opens a session, finishes it with the whole body, and cancels it if that fails.
    /// If its future is dropped, the session is left to expire.
    ///
    /// # Errors
    ///
    /// Those of [`begin_upload`](Self::begin_upload) and [`finish_upload`](Self::finish_upload).
    // protocol 26
    fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> impl Future<Output = Result<BlobInfo, SourceError>> + Send {
        async move {
            let begin = begin.algorithm(expect.algorithm());
            let upload = self.begin_upload(repository, begin).await?.id;
            let stored = self
                .finish_upload(repository, &upload, Some(0), body, expect)
                .await;
            if stored.is_err() {
                // The first error is the one to tell; a session that stays expires.
                let _ = self.cancel_upload(repository, &upload).await;
            }
            stored
        }
    }

    /// Makes the blob with `digest` in another repository one of `repository` too, without sending
    /// it. `false` if that cannot be: the client uploads it then.
    ///
    /// The default cannot.
    ///
    /// # Errors
    ///
    /// [`Full`](SourceError::Full), [`Busy`](SourceError::Busy), [`Backend`](SourceError::Backend):
    /// as they say. A source that is not there, or may not be read, is no error.
    // protocol 32 and 33
    fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> impl Future<Output = Result<bool, SourceError>> + Send {
        let _ = (repository, digest, from);
        async { Ok(false) }
    }

    /// Stores a manifest, and points its tags at it.
    ///
    /// All preconditions and references are checked before anything becomes visible, and each
    /// precondition is one compare-and-swap on its key. Things become visible in the order entry
    /// among the referrers, manifest, tags; an entry or a tag whose manifest is missing reads as
    /// absent. `Ok` means that all of it is visible. After a crash a part of that order may be, and
    /// repeating the call completes it.
    ///
    /// A manifest that is there already is stored again: its media type is the newest.
    ///
    /// # Errors
    ///
    /// - [`PreconditionFailed`](SourceError::PreconditionFailed), [`Immutable`](SourceError::Immutable):
    ///   one of the preconditions does not hold.
    /// - [`MissingReferences`](SourceError::MissingReferences): with [`ReferenceCheck::Required`],
    ///   all references that the repository does not have.
    /// - [`Unsupported`](SourceError::Unsupported), [`Full`](SourceError::Full),
    ///   [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`Backend`](SourceError::Backend): as they say.
    // protocol 35 to 44
    fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> impl Future<Output = Result<StoredManifest, SourceError>> + Send;

    /// Deletes a manifest with all tags that point at it, and its entry among the referrers of its
    /// subject. What refers to it stays.
    ///
    /// The default cannot delete.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](SourceError::NotFound): there is no such repository or manifest.
    /// - [`PreconditionFailed`](SourceError::PreconditionFailed): `precondition` does not hold for
    ///   `digest`.
    /// - [`Unsupported`](SourceError::Unsupported), [`Denied`](SourceError::Denied),
    ///   [`Busy`](SourceError::Busy), [`Backend`](SourceError::Backend): as they say.
    // protocol 58
    fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> impl Future<Output = Result<(), SourceError>> + Send {
        let _ = (repository, digest, precondition);
        async { Err(SourceError::Unsupported) }
    }

    /// Deletes a tag. The manifest that it points at stays, and is found by digest.
    ///
    /// The default cannot delete.
    ///
    /// # Errors
    ///
    /// Those of [`delete_manifest`](Self::delete_manifest), for the tag.
    // protocol 57
    fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> impl Future<Output = Result<(), SourceError>> + Send {
        let _ = (repository, tag, precondition);
        async { Err(SourceError::Unsupported) }
    }

    /// Deletes a blob, also one that a manifest of the repository names. Downloads that have begun
    /// go on.
    ///
    /// The default cannot delete.
    ///
    /// # Errors
    ///
    /// Those of [`delete_manifest`](Self::delete_manifest), for the blob.
    // protocol 59
    fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> impl Future<Output = Result<(), SourceError>> + Send {
        let _ = (repository, digest, precondition);
        async { Err(SourceError::Unsupported) }
    }

    /// Drops the sessions that have expired, with what arrived for them.
    ///
    /// An expired session is unknown to every other method without this, so it is only about room:
    /// call it now and then where uploads are rare. The default does nothing.
    ///
    /// # Errors
    ///
    /// [`Backend`](SourceError::Backend): as it says.
    fn sweep(&self) -> impl Future<Output = Result<(), SourceError>> + Send {
        async { Ok(()) }
    }
}

/// Where a blob is mounted from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum MountFrom<'a> {
    /// From this repository, which may be the one that it is mounted into.
    Repository(&'a RepositoryName),
    /// From any repository that the caller may know of.
    Anywhere(&'a Visibility),
}
