//! Writing images into OCI image layouts on disk, as [`LayoutSource`] serves them.
//!
//! It stands beside `source` and `store` because it is neither: nobody asks it for content, and no
//! registry pushes to it.
//!
//! [`LayoutSource`]: crate::LayoutSource

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{plan::Plan, progress::Hook};
use crate::{digest::Digest, image::Image, name::Tag};

mod archive;
mod arriving;
mod directory;
mod error;
mod index;
mod lock;
mod part;
mod plan;
mod present;
mod progress;

pub use error::LayoutWriteError;
pub use progress::{BlobProgress, BlobState};

/// Writes images into an OCI image layout on disk: a directory, or a tar archive of one.
///
/// What it writes is what [`LayoutSource`](crate::LayoutSource) serves and what
/// `skopeo copy oci:DIRECTORY:TAG …` and `skopeo copy oci-archive:FILE:TAG …` read. An image is
/// written with every manifest that it lists and every blob of them. What its source does not have
/// is left out where a layout may lack it: manifests and blobs that an index lists, and layers that
/// are to be had elsewhere.
///
/// - **Verified.** Each blob streams from its source to the disk, in pieces; it gets its place only
///   if it has the size and the digest of its descriptor.
/// - **Never half.** Files are written beside their places, brought to the disk (`fsync`) and moved
///   there; `index.json`, which makes content part of the layout, is the last. Whenever the future is
///   dropped, the process killed or the power cut, the layout is what it was, or what it was to
///   become. Written again, it ends right. In a directory the blobs that were finished are there
///   then, and not asked for again; in an archive, which is one file, those that it had before.
/// - **Nothing is lost.** All other entries of `index.json` stay as they are, with fields that are
///   not known here. The entry of the tag is replaced, where it stands. The content of an entry that
///   was replaced stays too. Any number of writers may write to one layout: see below.
///
/// # An entry of `index.json`
///
/// It has the tag as `org.opencontainers.image.ref.name`, and for an artifact its `artifactType`. An
/// image without a tag (a referrer, for instance, which is found through its subject) is listed
/// too, once, unless the layout lists it already.
///
/// # Several writers
///
/// Who replaces `index.json` in a directory holds a lock meanwhile, some milliseconds: on the file
/// `index.json.lock` beside it, with the lock of the system for whole files ([`File::lock`]: `flock`
/// on Linux), which ends with its process. The index is read again under the lock. The file is
/// removed by who holds it, so who gets the lock checks that the file that he locked is still there.
/// Who writes an archive `FILE` holds the lock on `FILE.lock` from beginning to end; a second writer is
/// told [`LayoutWriteError::Busy`]. Files on their way (`.layout-part-…`) are locked as well, so those that a
/// killed writer left behind are known, and removed by the next.
///
/// Other programs know nothing of this lock. skopeo and its like replace `index.json` with what they
/// read some time before, and may take an entry away with it that came in between.
///
/// # Archives
///
/// An archive is written anew, with all that the layout in it had, and then takes the place of the old
/// one: nobody sees a part of it, and who reads the old one reads on. Files in it that are no part of
/// a layout (`manifest.json` of `docker save`) are left out. The same content gives the same bytes:
/// entries are in the order of their digests, and are from the beginning of 1970. One that is
/// compressed is refused.
///
/// [`File::lock`]: std::fs::File::lock
///
/// ```
/// # use tower_oci::{LayoutSource, LayoutWriter, testing::ImageBuilder};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let image = ImageBuilder::new().file("greeting", "hello").build()?;
/// let stable = "stable".parse()?;
/// for writer in [
///     LayoutWriter::directory(folder.join("demo")),
///     LayoutWriter::archive(folder.join("demo.tar")),
/// ] {
///     let written = writer.write(&image, Some(&stable)).await?;
///     assert_eq!(written.blobs, 2);
///     // Both can be served.
///     LayoutSource::open([("demo".parse()?, writer.path())]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LayoutWriter {
    target: Target,
    concurrency: NonZeroUsize,
    verify_present: bool,
    hook: Hook,
}

#[derive(Clone, Debug)]
enum Target {
    Directory(Arc<Path>),
    Archive(Arc<Path>),
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenLayout {
    /// How many blobs came from their sources. Manifests are not counted here.
    pub blobs: usize,
    /// How many bytes these have.
    pub bytes: u64,
    /// How many blobs were there already.
    pub present: usize,
    /// The blobs that the source does not have, and that a layout need not have, in the order of
    /// their digests.
    pub absent: Vec<Digest>,
}

impl LayoutWriter {
    /// How many blobs are written at a time unless [`concurrency`](Self::concurrency) says otherwise.
    pub const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(4).unwrap();

    /// Writes to the layout in the directory `path`, which is made if it is not there.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::to(Target::Directory(path.into().into()))
    }

    /// Writes to the layout in the tar archive `path`, which is made if it is not there. The
    /// directory that it is in has to be.
    ///
    /// One writer has the archive; another gets [`LayoutWriteError::Busy`]. A write that is dropped has
    /// it until the step that is under way has ended.
    pub fn archive(path: impl Into<PathBuf>) -> Self {
        Self::to(Target::Archive(path.into().into()))
    }

    fn to(target: Target) -> Self {
        Self {
            target,
            concurrency: Self::CONCURRENCY,
            verify_present: false,
            hook: Hook::default(),
        }
    }

    /// How many blobs are written to a directory at a time. In an archive there is always one.
    #[must_use]
    pub fn concurrency(self, blobs: NonZeroUsize) -> Self {
        Self {
            concurrency: blobs,
            ..self
        }
    }

    /// Whether blobs that are there already are read, and replaced if they do not have their digest.
    /// Without this it is enough that they have their size. Manifests are always read.
    #[must_use]
    pub fn verify_present(self, verify_present: bool) -> Self {
        Self {
            verify_present,
            ..self
        }
    }

    /// Lets `hook` be told how far each blob has come. It is called often, on the threads that do
    /// the work, so it should be quick.
    ///
    /// ```
    /// # use tower_oci::{BlobState, LayoutWriter};
    /// let writer = LayoutWriter::directory("demo").on_progress(|blob| match blob.state {
    ///     BlobState::Arriving => println!("{}: {} of {}", blob.digest, blob.done, blob.size),
    ///     state => println!("{}: {state:?}", blob.digest),
    /// });
    /// # let _ = writer;
    /// ```
    #[must_use]
    pub fn on_progress(self, hook: impl Fn(BlobProgress) + Send + Sync + 'static) -> Self {
        Self {
            hook: Hook::of(hook),
            ..self
        }
    }

    /// The directory, or the archive's file.
    pub fn path(&self) -> &Path {
        match &self.target {
            Target::Directory(path) | Target::Archive(path) => path,
        }
    }

    /// Writes an image, and lists it under `tag`, or without one.
    ///
    /// # Errors
    ///
    /// What is there is no layout that can be added to; the source does not give a blob, or gives
    /// another; a file cannot be written. The layout is what it was then.
    pub async fn write(
        &self,
        image: &Image,
        tag: Option<&Tag>,
    ) -> Result<WrittenLayout, LayoutWriteError> {
        self.write_all([(image, tag)]).await
    }

    /// Writes several images, and lists all of them in one step: an image with what refers to it, for
    /// instance.
    ///
    /// ```
    /// # use tower_oci::{LayoutWriter, testing::ImageBuilder};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let image = ImageBuilder::new().file("greeting", "hello").build()?;
    /// let signature = ImageBuilder::artifact("application/vnd.example.signature".parse()?)
    ///     .layer("text/plain".parse()?, "signed")
    ///     .subject(&image)
    ///     .build()?;
    /// let stable = "stable".parse()?;
    /// let writer = LayoutWriter::archive(folder.path().join("demo.tar"));
    /// writer.write_all([(&image, Some(&stable)), (&signature, None)]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), and [`LayoutWriteError::Duplicate`] where two images are given
    /// for one tag.
    pub async fn write_all<'a>(
        &self,
        images: impl IntoIterator<Item = (&'a Image, Option<&'a Tag>)>,
    ) -> Result<WrittenLayout, LayoutWriteError> {
        let plan = Plan::of(images)?;
        match &self.target {
            Target::Directory(path) => directory::write(self, path, &plan).await,
            Target::Archive(path) => archive::write(self, path, &plan).await,
        }
    }
}

impl fmt::Debug for LayoutWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayoutWriter")
            .field("target", &self.target)
            .field("concurrency", &self.concurrency)
            .field("verify_present", &self.verify_present)
            .finish_non_exhaustive()
    }
}
