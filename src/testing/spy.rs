use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    body::BytesBody,
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    listing::{Cursor, Listing, Page},
    manifest::Manifest,
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag, UploadId},
    source::{
        Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
        SourceError,
    },
    store::{
        BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, Session, StoredManifest,
        UploadBody, UploadStatus,
    },
};

/// A store that holds nothing, gives answers that no default gives, and remembers how it was asked:
/// what the wrapper suites put inside a wrapper.
#[derive(Clone, Debug, Default)]
pub struct Spy(Arc<Mutex<Vec<String>>>);

impl Spy {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The calls since this was asked the last time: method and arguments.
    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn called(&self, call: fmt::Arguments<'_>) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call.to_string());
    }

    pub(super) fn digest() -> Digest {
        Algorithm::Sha512.digest("spy")
    }

    /// A repository that callers may know of, as opposed to all others.
    pub(super) const VISIBLE: RepositoryName = RepositoryName::constant("spy/visible");

    /// Where a blob is mounted from. What a visibility shows tells it from another.
    pub(super) fn seen_by(from: &MountFrom<'_>) -> String {
        match from {
            MountFrom::Repository(from) => from.to_string(),
            MountFrom::Anywhere(visibility) => {
                let names = [Self::VISIBLE, RepositoryName::constant("spy/hidden")];
                format!("{:?}", names.map(|name| visibility.shows(&name)))
            }
        }
    }

    fn next() -> Option<Cursor> {
        Cursor::from_text("spy")
    }
}

/// As much of a page as its debug form shows.
fn shown(page: Page<'_>) -> String {
    format!("after {:?} limit {}", page.after, page.limit)
}

impl BlobSource for Spy {
    type Body = BytesBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        let unless = options.unless;
        self.called(format_args!("manifest {repository} {reference} {unless:?}"));
        Ok(Found::NotModified(Self::digest()))
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<BytesBody>, SourceError> {
        self.called(format_args!("blob {repository} {digest} {options:?}"));
        let to = http::Uri::from_static("http://spy.example/");
        Ok(Blob::Redirect { to, size: Some(1) })
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        self.called(format_args!("stat_blob {repository} {digest}"));
        Ok(BlobInfo::unseekable(2))
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        self.called(format_args!("stat_manifest {repository} {reference}"));
        let media_type = MediaType::OCTET_STREAM;
        Ok(ManifestInfo::new(Self::digest(), media_type, 3))
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        self.called(format_args!("tags {repository} {}", shown(page)));
        Ok(Listing::new(Vec::new(), Self::next()))
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        let ListReferrers {
            artifact_type,
            page,
            max_bytes,
        } = options;
        let page = shown(page);
        self.called(format_args!(
            "referrers {repository} {subject} {artifact_type:?} {page} bytes {max_bytes}"
        ));
        Ok(Listing::new(Vec::new(), Self::next()))
    }

    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        self.called(format_args!("repositories {}", shown(page)));
        Ok(Listing::new(Vec::new(), Self::next()))
    }
}

impl BlobStore for Spy {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Result<Session, SourceError> {
        self.called(format_args!("begin_upload {repository} {begin:?}"));
        let id = "spy".parse().map_err(SourceError::backend)?;
        Ok(Session::new(id).min_chunk(4))
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        self.called(format_args!(
            "append_upload {repository} {upload} {at:?} {body:?}"
        ));
        Ok(5)
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        self.called(format_args!("upload_status {repository} {upload}"));
        Ok(UploadStatus::new(6))
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        self.called(format_args!(
            "finish_upload {repository} {upload} {at:?} {last:?} {expect}"
        ));
        Ok(BlobInfo::unseekable(7))
    }

    async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        self.called(format_args!("cancel_upload {repository} {upload}"));
        Err(SourceError::Full)
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Result<BlobInfo, SourceError> {
        self.called(format_args!(
            "put_blob {repository} {expect} {begin:?} {body:?}"
        ));
        Ok(BlobInfo::unseekable(8))
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> Result<bool, SourceError> {
        let from = Self::seen_by(&from);
        self.called(format_args!("mount_blob {repository} {digest} {from}"));
        Ok(true)
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        self.called(format_args!("put_manifest {repository} {new:?}"));
        Ok(StoredManifest::new(true))
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.called(format_args!(
            "delete_manifest {repository} {digest} {precondition:?}"
        ));
        Ok(())
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.called(format_args!(
            "delete_tag {repository} {tag} {precondition:?}"
        ));
        Ok(())
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.called(format_args!(
            "delete_blob {repository} {digest} {precondition:?}"
        ));
        Ok(())
    }

    async fn sweep(&self) -> Result<(), SourceError> {
        self.called(format_args!("sweep"));
        Err(SourceError::Full)
    }
}
