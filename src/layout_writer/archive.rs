//! A layout that is an archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LayoutWriteError, LayoutWriter, WrittenLayout,
    arriving::{append, arrive},
    directory::{MARKER, create, parent, place},
    error::blocking,
    index::{EMPTY, IndexJson, Listed},
    lock::Lock,
    part::{Part, sweep, sync_directory},
    plan::{Plan, PlannedBlob},
    present::{content_file, is_present, open},
    progress::BlobState,
};
use crate::{
    archive::{END, directory_header, file_header, padding},
    digest::{Algorithm, Digest},
    manifest::Manifest,
    source::layout::{archive::Archive, directory::is_absent, file::Place},
};

pub(super) async fn write(
    writer: &LayoutWriter,
    path: &Path,
    plan: &Plan<'_>,
) -> Result<WrittenLayout, LayoutWriteError> {
    let (path, listed) = (path.to_owned(), plan.listed.clone());
    let begun = blocking(move || Begun::at(path, &listed)).await?;
    let mut writing = Writing {
        writer,
        path: begun.path,
        old: begun.old,
        part: begun.part,
        folder: None,
        written: WrittenLayout::default(),
    };
    writing = writing.add_file("oci-layout", begun.marker).await?;
    writing = writing.add_file("index.json", begun.index).await?;
    writing = writing.append(directory_header("blobs/")).await?;
    let writing = writing.add_content(plan).await?;
    let Writing {
        path,
        part,
        written,
        ..
    } = writing.append(END).await?;
    let lock = begun.lock;
    blocking(move || {
        place(part, &path)?;
        let directory = parent(&path);
        let synced = sync_directory(&directory);
        synced.map_err(|error| LayoutWriteError::unwritable(&directory, error))?;
        // Until here, also if nobody waits for it any more.
        drop(lock);
        Ok(())
    })
    .await?;
    Ok(written)
}

/// An archive that is about to be written anew.
struct Begun {
    path: PathBuf,
    lock: Lock,
    /// What it has now.
    old: Option<Old>,
    marker: Vec<u8>,
    index: Vec<u8>,
    part: Part,
}

/// What an archive had before.
struct Old {
    place: Place,
    blobs: BTreeMap<Digest, u64>,
}

impl Begun {
    /// Takes the lock, reads what is there, and opens the file that will take its place. Blocks.
    fn at(path: PathBuf, listed: &[Listed]) -> Result<Self, LayoutWriteError> {
        // A link to an archive stays one.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let unwritable = |error| LayoutWriteError::unwritable(&path, error);
        let lock = Lock::take_if_free(&path).map_err(unwritable)?;
        let lock = lock.ok_or_else(|| LayoutWriteError::Busy(path.clone()))?;
        let (old, marker, index) = match fs::metadata(&path) {
            Err(error) if is_absent(&error) => (None, MARKER.into(), EMPTY.into()),
            _ => {
                let (_, archive, documents) = Archive::read(&path)?;
                let blobs = archive.blobs().map(|(digest, size)| (*digest, size));
                let old = Old {
                    blobs: blobs.collect(),
                    place: Place::Archive(Arc::new(archive)),
                };
                (Some(old), documents.marker, documents.index)
            }
        };
        let index_path = path.join("index.json");
        let index = IndexJson::parse(&index, &index_path)?.with(listed, &index_path)?;
        let directory = parent(&path);
        sweep(&directory).map_err(|error| LayoutWriteError::unwritable(&directory, error))?;
        let part = create(&directory)?;
        Ok(Self {
            path,
            lock,
            old,
            marker,
            index,
            part,
        })
    }
}

/// An archive on its way.
struct Writing<'a> {
    writer: &'a LayoutWriter,
    path: PathBuf,
    old: Option<Old>,
    part: Part,
    /// The folder of blobs that was begun last.
    folder: Option<Algorithm>,
    written: WrittenLayout,
}

impl Writing<'_> {
    /// Adds what the archive had and what is planned, in the order of digests.
    async fn add_content(mut self, plan: &Plan<'_>) -> Result<Self, LayoutWriteError> {
        let manifests = plan.manifests.iter();
        let manifests: BTreeMap<&Digest, &Manifest> = manifests
            .map(|manifest| (manifest.digest(), *manifest))
            .collect();
        let planned = manifests.keys().copied().chain(plan.blobs.keys());
        let old = self.old.iter().flat_map(|old| old.blobs.keys());
        let digests: BTreeSet<Digest> = planned.chain(old).copied().collect();
        for digest in &digests {
            self = match (manifests.get(digest), plan.blobs.get(digest)) {
                (Some(manifest), _) => self.add_manifest(manifest).await?,
                (None, Some(blob)) => self.add_blob(blob).await?,
                (None, None) => self.keep(digest).await?,
            };
        }
        Ok(self)
    }

    async fn add_manifest(self, manifest: &Manifest) -> Result<Self, LayoutWriteError> {
        let this = self.add_folder(manifest.digest().algorithm()).await?;
        let name = name_of(manifest.digest());
        this.add_file(&name, manifest.bytes().clone()).await
    }

    async fn add_blob(mut self, blob: &PlannedBlob<'_>) -> Result<Self, LayoutWriteError> {
        let &PlannedBlob { digest, size, .. } = blob;
        let writer = self.writer;
        let tell = |done, state| writer.hook.tell(&digest, size, done, state);
        if let Some(old) = &self.old {
            let file = content_file(&old.place, &digest, size);
            if is_present(&file, writer.verify_present).await? {
                tell(size, BlobState::Present);
                self.written.present += 1;
                return self.keep(&digest).await;
            }
        }
        let Some(content) = blob.open().await? else {
            tell(0, BlobState::Absent);
            self.written.absent.push(digest);
            return Ok(self);
        };
        tell(0, BlobState::Arriving);
        let mut this = self.begin_blob(&digest, size).await?;
        let told = |done| tell(done, BlobState::Arriving);
        this.part = arrive(content, &digest, size, this.part, told).await?;
        let mut this = this.append(padding(size)).await?;
        tell(size, BlobState::Written);
        this.written.blobs += 1;
        this.written.bytes += size;
        Ok(this)
    }

    /// Adds content that the archive had before.
    async fn keep(self, digest: &Digest) -> Result<Self, LayoutWriteError> {
        let Some((file, size)) = self.old.as_ref().and_then(|old| {
            let size = *old.blobs.get(digest)?;
            Some((content_file(&old.place, digest, size), size))
        }) else {
            return Ok(self);
        };
        let content = open(&file).await?;
        let mut this = self.begin_blob(digest, size).await?;
        let kept = arrive(content, digest, size, this.part, |_| {}).await;
        this.part = kept.map_err(|error| match error {
            LayoutWriteError::BlobMismatch(digest) => {
                let path = this.path.clone();
                LayoutWriteError::Broken { path, digest }
            }
            error => error,
        })?;
        this.append(padding(size)).await
    }

    async fn begin_blob(self, digest: &Digest, size: u64) -> Result<Self, LayoutWriteError> {
        let this = self.add_folder(digest.algorithm()).await?;
        this.append(file_header(&name_of(digest), size)).await
    }

    async fn add_folder(mut self, algorithm: Algorithm) -> Result<Self, LayoutWriteError> {
        if self.folder.replace(algorithm) == Some(algorithm) {
            return Ok(self);
        }
        self.append(directory_header(&format!("blobs/{algorithm}/")))
            .await
    }

    async fn add_file(
        self,
        name: &str,
        content: impl AsRef<[u8]>,
    ) -> Result<Self, LayoutWriteError> {
        let content = content.as_ref();
        let size = content.len() as u64;
        let bytes = [&*file_header(name, size), content, padding(size)].concat();
        self.append(bytes).await
    }

    async fn append(
        mut self,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Self, LayoutWriteError> {
        self.part = append(self.part, bytes).await?;
        Ok(self)
    }
}

/// The name of content in an archive.
fn name_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.encoded())
}
