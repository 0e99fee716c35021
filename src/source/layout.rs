use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    ops::Bound,
    path::PathBuf,
    sync::Arc,
};

use tokio::runtime::Handle;

use self::{
    file::ContentFile,
    kept::KeptFiles,
    refreshed::on_blocking_thread,
    snapshot::{Layout, WhenGone},
    tree::Tree,
    view::{FoundManifest, View},
};
use super::{
    Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
    MissingContent, SourceError, memory::beginning_of,
};
use crate::{
    descriptor::Descriptor,
    digest::Digest,
    listing::{Cursor, Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
};

pub(crate) mod archive;
mod body;
mod catalog;
mod content;
pub(crate) mod directory;
mod error;
mod faults;
pub(crate) mod file;
pub(crate) mod index;
mod kept;
pub(crate) mod marker;
mod position;
mod reached;
pub(crate) mod refreshed;
mod snapshot;
pub(crate) mod stamp;
mod tree;
mod verified;
mod view;
mod walk;

pub use body::FileBody;
pub use error::LayoutError;

/// Serves OCI image layouts from disk, without copying them.
///
/// A layout is what `skopeo copy … oci:DIRECTORY`, `buildah push … oci:DIRECTORY` and
/// `docker buildx build --output type=oci,tar=false` write, and
/// [`LayoutWriter`](crate::LayoutWriter) here. A path that is a file is an archive of one, as
/// `skopeo copy … oci-archive:FILE` and `docker buildx build --output type=oci` write. Cloning gives
/// another handle to the same source.
///
/// - **Tags** are the `org.opencontainers.image.ref.name` annotations in `index.json`. An entry
///   without one, or with one that is no tag, is served by its digest, and the latter is logged:
///   `podman save --format oci-dir`, for one, writes a full reference there
///   (`docker.io/library/demo:1.0`). Of two entries with the same tag the last wins.
/// - **Content** is what `index.json` leads to, through indexes and manifests, and nothing else
///   that lies in the directory. Where an index gives an entry no media type, its content tells
///   whether it is a manifest.
/// - **Referrers** are the manifests there whose `subject` is asked for, those that only the index
///   at a fallback tag lists among them.
/// - **What a pull costs** goes by what it asks for, and not by how much there is: on the way from a
///   tag to its blobs the manifests are read that lie there, and no others. Content that none of
///   those that were read leads to, as a digest that a client merely asks for, and referrers need
///   one look at every manifest; so does content that manifests describe wrongly.
/// - **Small files stay open** between requests, on Linux: those of up to 1 MiB that were asked for in
///   the last seconds, 256 at most for each source. They are closed by later requests, so those of a
///   source that nobody asks any more stay open. Never is one served that was deleted, replaced or
///   written to since; that a folder above it was moved away is seen within a second.
/// - **A change on disk** is seen within a second. While `index.json` is broken or missing, the
///   layout is served as it was last; the failure is logged once. What was read is never mixed:
///   each answer comes from one version of `index.json`.
/// - **A manifest** has at most 4 MiB, and is verified against its digest. **A blob** has to have
///   the size that its descriptor gives; clients verify what they download. A file that is missing,
///   too large or wrong is an error for the requests that need it, and for no others.
///
/// # Archives
///
/// A tar archive is read in place, and never unpacked: its headers are read once, and then each blob
/// where it is. It is kept open, so one that is replaced by another file is served from until that is
/// noticed, within a second; one that is written to is not served from until it was read again. It
/// is refused if it is compressed, is cut off, has sparse files, or has more than 200,000 entries.
/// Names may begin with `./` and be longer than a header has room for (GNU and PAX). Of two entries
/// with the same name the last wins. In a [tree](Self::open_tree) archives are not looked for.
///
/// # Whom to trust
///
/// Who may write to a layout decides what its repository serves: blobs are not verified. But they
/// cannot make it serve any file of this machine, only such as have a digest for a name. A symbolic
/// link in place of a manifest's or a blob's file is followed only to `…/sha256/<the same digits>`,
/// as in a store that several layouts share; so somebody who knows a digest can link what such a
/// store has into a layout. The folders above the file, `blobs/sha256`, `blobs` and the layout
/// itself, may be links to anywhere.
///
/// Files are read on the blocking threads of the tokio runtime that polls; without one every call
/// is a [`SourceError::Backend`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path();
/// # std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
/// # std::fs::write(path.join("index.json"), r#"{"schemaVersion": 2, "manifests": []}"#)?;
/// use tower_oci::{BlobSource, LayoutSource, Page, RepositoryName};
///
/// let name: RepositoryName = "library/demo".parse()?;
/// let source = LayoutSource::open([(name.clone(), path)]).await?;
/// assert_eq!(source.repositories(Page::first(10)).await?.items, [name.clone()]);
/// assert!(source.tags(&name, Page::first(10)).await?.items.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LayoutSource(Layouts);

#[derive(Clone)]
enum Layouts {
    Named(Arc<BTreeMap<RepositoryName, Layout>>),
    Tree(Arc<Tree>),
}

impl LayoutSource {
    /// Serves each of `layouts`, a directory or an archive, under a name.
    ///
    /// If one disappears later, what was seen of it last is served on.
    ///
    /// # Errors
    ///
    /// A directory or archive is not an OCI image layout of version 1, one of its files cannot be
    /// read or is not JSON, an archive is none that can be read in place, or a name is given twice.
    pub async fn open<P: Into<PathBuf>>(
        layouts: impl IntoIterator<Item = (RepositoryName, P)>,
    ) -> Result<Self, LayoutError> {
        let layouts: Vec<(RepositoryName, PathBuf)> = layouts
            .into_iter()
            .map(|(name, path)| (name, path.into()))
            .collect();
        let open = move || {
            let mut named = BTreeMap::new();
            let kept = Arc::new(KeptFiles::default());
            for (name, path) in layouts {
                let Entry::Vacant(place) = named.entry(name.clone()) else {
                    return Err(LayoutError::Duplicate(name));
                };
                place.insert(Layout::open(&path, WhenGone::Keep, &kept)?);
            }
            Ok(named)
        };
        let named = on_blocking_thread(open)
            .await
            .map_err(LayoutError::runtime)??;
        Ok(Self(Layouts::Named(Arc::new(named))))
    }

    /// Serves every layout in the directory tree below `root`, under its path in the tree.
    ///
    /// A layout that appears or disappears later is a repository, or none, within a second. One
    /// whose path is no [`RepositoryName`] (longer than 255 bytes, for instance) is left out, and
    /// logged. A directory is a layout once it has both an `oci-layout` and an `index.json` file;
    /// there may be layouts below it, but not in its `blobs`.
    ///
    /// Symbolic links are followed, out of the tree too. A layout is served under every path that
    /// leads to it. [`repositories`](BlobSource::repositories) names it under its own path, and
    /// under each link that leads to the layout itself. But what lies below a directory is listed
    /// only once: below its own path if it is in the tree, or else below one of the links to it. So
    /// the list takes as long as the tree has entries, however they link to each other.
    ///
    /// # Errors
    ///
    /// `root` cannot be read, or one of the layouts is not of version 1, cannot be read or is not
    /// JSON.
    pub async fn open_tree(root: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let root = root.into();
        let tree = on_blocking_thread(|| Tree::open(root)).await;
        let tree = tree.map_err(LayoutError::runtime)??;
        Ok(Self(Layouts::Tree(Arc::new(tree))))
    }

    async fn view(&self, repository: &RepositoryName) -> Result<Arc<View>, SourceError> {
        match &self.0 {
            Layouts::Named(named) => match named.get(repository) {
                Some(layout) => layout.snapshot().await?.view(),
                None => Err(SourceError::NotFound(MissingContent::Repository)),
            },
            Layouts::Tree(tree) => tree.view(repository).await,
        }
    }
}

impl fmt::Debug for LayoutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayoutSource").finish_non_exhaustive()
    }
}

impl BlobSource for LayoutSource {
    type Body = FileBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        let found = self.view(repository).await?.manifest(reference).await?;
        let (digest, media_type) = (found.file.digest, found.media_type.clone());
        if options.unless.contains(&digest) {
            // It must be there to be called unchanged, but is not read.
            if found.file.length_now().is_none() {
                found.on_file(|found| found.file.manifest_stamp()).await?;
            }
            return Ok(Found::NotModified(digest));
        }
        let bytes = match found.bytes_now() {
            Some(bytes) => bytes,
            None => found.on_file(FoundManifest::read).await?,
        };
        Ok(Manifest::trusted(digest, media_type, bytes).into())
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<FileBody>, SourceError> {
        let view = self.view(repository).await?;
        let runtime = Handle::try_current().map_err(SourceError::backend)?;
        let open = |file: ContentFile| {
            let (range, runtime) = (options.range, runtime.clone());
            async move {
                if let Some(opened) = file.open_blob_now(range, runtime.clone()) {
                    return opened;
                }
                on_blocking_thread(move || file.open_blob(range, runtime)).await?
            }
        };
        Ok(Blob::Content(view.with_blob(digest, open).await?))
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let look = async |file: ContentFile| {
            if let Some(length) = file.length_now() {
                return Ok(length);
            }
            let length = move || {
                let failed = |error| file.answer(error, MissingContent::Blob);
                file.length().map_err(failed)
            };
            on_blocking_thread(length).await?
        };
        let view = self.view(repository).await?;
        Ok(BlobInfo::seekable(view.with_blob(digest, look).await?))
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        let found = self.view(repository).await?.manifest(reference).await?;
        let (digest, media_type) = (found.file.digest, found.media_type.clone());
        let size = match found.bytes_now() {
            Some(bytes) => bytes.len() as u64,
            None => found.on_file(FoundManifest::length).await?,
        };
        Ok(ManifestInfo::new(digest, media_type, size))
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        let view = self.view(repository).await?;
        let tags = view.tags().range::<str, _>(beginning_of(page));
        let tags = tags.map(|(tag, _)| tag.clone());
        Ok(Listing::page_of_sorted(tags, page))
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        // What an index at a fallback tag lists refers to `subject` only if it says so itself, and
        // then the walk found it there: that index is one like any other.
        let walk = self.view(repository).await?.walk().await?;
        let after = options.page.after.and_then(Cursor::digest);
        let beginning = after.map_or(Bound::Unbounded, Bound::Excluded);
        let referrers = walk.referrers.get(subject).into_iter();
        let referrers = referrers.flat_map(|all| all.range((beginning, Bound::Unbounded)));
        let entries = referrers.map(|(_, entry)| &**entry);
        Ok(Listing::page_of_sorted_referrers(entries, options))
    }

    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        let beginning = beginning_of(page);
        Ok(match &self.0 {
            Layouts::Named(named) => {
                let names = named.range::<str, _>(beginning);
                Listing::page_of_sorted(names.map(|(name, _)| name.clone()), page)
            }
            Layouts::Tree(tree) => {
                let catalog = tree.catalog().await?;
                let names = catalog.names.range::<str, _>(beginning);
                Listing::page_of_sorted(names.cloned(), page)
            }
        })
    }
}
