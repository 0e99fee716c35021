//! Wrappers: what stands before a source or store has to hand on every method. One that forgets a
//! method compiles, and silently uses the default.

use super::{Checked, Promise, known};
use crate::{
    access::Visibility,
    digest::{Algorithm, Digest},
    limits::UploadLimits,
    listing::{Cursor, Page},
    manifest::Manifest,
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName, Tag, UploadId},
    source::{
        Blob, BlobInfo, BlobSource, ByteRange, Found, GetBlob, GetManifest, ListReferrers,
        SourceError,
    },
    store::{BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, TagUpdate, UploadBody},
    testing::{BrokenContract, Spy},
};

const FORWARDS: Promise = Promise("a wrapper hands on every method, with its arguments and answer");

/// Checks that the wrapper that `wrap` puts around a source hands on every method of
/// [`BlobSource`].
///
/// # Errors
///
/// [`BrokenContract`] says what was called or answered instead.
///
/// ```
/// # use tower_oci::{DynSource, testing::source_wrapper_suite};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// source_wrapper_suite(DynSource::new).await?;
/// # Ok(())
/// # }
/// ```
pub async fn source_wrapper_suite<W: BlobSource>(
    wrap: impl FnOnce(Spy) -> W,
) -> Result<(), BrokenContract> {
    let spy = Spy::new();
    let wrapper = wrap(spy.clone());
    check_manifests(&spy, &wrapper).await?;
    check_blobs(&spy, &wrapper).await?;
    check_lists(&spy, &wrapper).await
}

/// Checks that the wrapper that `wrap` puts around a store hands on every method of [`BlobStore`]
/// and of [`BlobSource`].
///
/// # Errors
///
/// [`BrokenContract`] says what was called or answered instead.
///
/// ```
/// # use tower_oci::{DynStore, testing::store_wrapper_suite};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// store_wrapper_suite(DynStore::new).await?;
/// # Ok(())
/// # }
/// ```
pub async fn store_wrapper_suite<W: BlobStore>(
    wrap: impl FnOnce(Spy) -> W,
) -> Result<(), BrokenContract> {
    let spy = Spy::new();
    let wrapper = wrap(spy.clone());
    check_manifests(&spy, &wrapper).await?;
    check_blobs(&spy, &wrapper).await?;
    check_lists(&spy, &wrapper).await?;
    check_uploads(&spy, &wrapper).await?;
    check_commits(&spy, &wrapper).await?;
    check_deletes(&spy, &wrapper).await
}

/// The spy was called once, like this.
fn called(spy: &Spy, expected: String) -> Checked {
    FORWARDS.equal(spy.calls(), vec![expected])
}

fn repository() -> Checked<RepositoryName> {
    known("wrapped/repository")
}

fn digest() -> Digest {
    Algorithm::Sha512.digest("wrapped")
}

async fn check_manifests(spy: &Spy, wrapper: &impl BlobSource) -> Checked {
    let (repository, reference) = (repository()?, Reference::Tag(known("wrapped")?));
    let unless = [digest()];
    let options = GetManifest::default().unless(&unless);
    let found = wrapper.manifest(&repository, &reference, options).await;
    called(spy, format!("manifest {repository} {reference} {unless:?}"))?;
    let is_spys = matches!(FORWARDS.ok(found)?, Found::NotModified(of) if of == Spy::digest());
    FORWARDS.holds(is_spys, "manifest answered something else")?;

    let info = wrapper.stat_manifest(&repository, &reference).await;
    called(spy, format!("stat_manifest {repository} {reference}"))?;
    FORWARDS.equal(FORWARDS.ok(info)?.size, 3)
}

async fn check_blobs(spy: &Spy, wrapper: &impl BlobSource) -> Checked {
    let (repository, digest) = (repository()?, digest());
    let options = GetBlob::default()
        .range(ByteRange::Suffix(5))
        .redirects(true);
    let blob = wrapper.blob(&repository, &digest, options).await;
    called(spy, format!("blob {repository} {digest} {options:?}"))?;
    let is_spys = matches!(FORWARDS.ok(blob)?, Blob::Redirect { size: Some(1), .. });
    FORWARDS.holds(is_spys, "blob answered something else")?;

    let info = wrapper.stat_blob(&repository, &digest).await;
    called(spy, format!("stat_blob {repository} {digest}"))?;
    FORWARDS.equal(FORWARDS.ok(info)?, BlobInfo::unseekable(2))
}

async fn check_lists(spy: &Spy, wrapper: &impl BlobSource) -> Checked {
    let (repository, digest) = (repository()?, digest());
    let (cursor, next) = (Cursor::from_text("after"), Cursor::from_text("spy"));
    let page = Page::first(13).after(&cursor);
    let shown = format!("after {cursor:?} limit 13");

    let tags = wrapper.tags(&repository, page).await;
    called(spy, format!("tags {repository} {shown}"))?;
    FORWARDS.equal(FORWARDS.ok(tags)?.next, next.clone())?;

    let artifact_type: ArtifactType = known("wrapped/type")?;
    let mut options = ListReferrers::new(page).artifact_type(&artifact_type);
    options.max_bytes = 77;
    let referrers = wrapper.referrers(&repository, &digest, options).await;
    let wanted = Some(&artifact_type);
    called(
        spy,
        format!("referrers {repository} {digest} {wanted:?} {shown} bytes 77"),
    )?;
    FORWARDS.equal(FORWARDS.ok(referrers)?.next, next.clone())?;

    let repositories = wrapper.repositories(page).await;
    called(spy, format!("repositories {shown}"))?;
    FORWARDS.equal(FORWARDS.ok(repositories)?.next, next)
}

fn begin() -> BeginUpload {
    let limits = UploadLimits {
        sessions: 17,
        ..UploadLimits::default()
    };
    BeginUpload::new(limits).algorithm(Algorithm::Sha512)
}

async fn check_uploads(spy: &Spy, wrapper: &impl BlobStore) -> Checked {
    let (repository, digest) = (repository()?, digest());
    let upload: UploadId = known("wrapped")?;
    let session = wrapper.begin_upload(&repository, begin()).await;
    called(spy, format!("begin_upload {repository} {:?}", begin()))?;
    FORWARDS.equal(FORWARDS.ok(session)?.min_chunk, Some(4))?;

    let mut body = UploadBody::empty().announced(19);
    let shown = format!("{body:?}");
    let at = Some(23);
    let offset = wrapper.append_upload(&repository, &upload, at, &mut body);
    let offset = offset.await;
    called(
        spy,
        format!("append_upload {repository} {upload} {at:?} {shown}"),
    )?;
    FORWARDS.equal(FORWARDS.ok(offset)?, 5)?;

    let status = wrapper.upload_status(&repository, &upload).await;
    called(spy, format!("upload_status {repository} {upload}"))?;
    FORWARDS.equal(FORWARDS.ok(status)?.offset, 6)?;

    let info = wrapper.finish_upload(&repository, &upload, at, &mut body, &digest);
    let info = info.await;
    called(
        spy,
        format!("finish_upload {repository} {upload} {at:?} {shown} {digest}"),
    )?;
    FORWARDS.equal(FORWARDS.ok(info)?, BlobInfo::unseekable(7))?;

    let cancelled = wrapper.cancel_upload(&repository, &upload).await;
    called(spy, format!("cancel_upload {repository} {upload}"))?;
    FORWARDS.fails(cancelled, |error| matches!(error, SourceError::Full))?;

    let swept = wrapper.sweep().await;
    called(spy, "sweep".to_owned())?;
    FORWARDS.fails(swept, |error| matches!(error, SourceError::Full))
}

async fn check_commits(spy: &Spy, wrapper: &impl BlobStore) -> Checked {
    let (repository, digest) = (repository()?, digest());
    let mut body = UploadBody::empty().announced(19);
    let shown = format!("{body:?}");
    let info = wrapper.put_blob(&repository, &digest, begin(), &mut body);
    let info = info.await;
    called(
        spy,
        format!("put_blob {repository} {digest} {:?} {shown}", begin()),
    )?;
    FORWARDS.equal(FORWARDS.ok(info)?, BlobInfo::unseekable(8))?;

    let visibility = Visibility::new(|name| *name == Spy::VISIBLE);
    for from in [
        MountFrom::Repository(&repository),
        MountFrom::Anywhere(&visibility),
    ] {
        let mounted = wrapper.mount_blob(&repository, &digest, from).await;
        let from = Spy::seen_by(&from);
        called(spy, format!("mount_blob {repository} {digest} {from}"))?;
        FORWARDS.equal(FORWARDS.ok(mounted)?, true)?;
    }

    let manifest = Manifest::new(MediaType::OCI_INDEX, "{}");
    let mut new = NewManifest::unchecked(manifest, None);
    new.precondition = precondition();
    let tag: Tag = known("wrapped")?;
    new.tags = vec![TagUpdate::new(tag, precondition())];
    let shown = format!("put_manifest {repository} {new:?}");
    let stored = wrapper.put_manifest(&repository, new).await;
    called(spy, shown)?;
    FORWARDS.equal(FORWARDS.ok(stored)?.is_listed_as_referrer, true)
}

fn precondition() -> Precondition {
    Precondition::default().if_match([digest()])
}

async fn check_deletes(spy: &Spy, wrapper: &impl BlobStore) -> Checked {
    let (repository, digest, wanted) = (repository()?, digest(), precondition());
    let tag: Tag = known("wrapped")?;
    let deleted = wrapper.delete_manifest(&repository, &digest, wanted.clone());
    let deleted = deleted.await;
    called(
        spy,
        format!("delete_manifest {repository} {digest} {wanted:?}"),
    )?;
    FORWARDS.ok(deleted)?;

    let deleted = wrapper.delete_tag(&repository, &tag, wanted.clone()).await;
    called(spy, format!("delete_tag {repository} {tag} {wanted:?}"))?;
    FORWARDS.ok(deleted)?;

    let deleted = wrapper.delete_blob(&repository, &digest, wanted.clone());
    let deleted = deleted.await;
    called(spy, format!("delete_blob {repository} {digest} {wanted:?}"))?;
    FORWARDS.ok(deleted)
}
