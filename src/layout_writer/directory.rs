//! A layout that is a directory.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    LayoutWriteError, LayoutWriter, WrittenLayout,
    arriving::arrive,
    error::blocking,
    index::{EMPTY, IndexJson, Listed},
    lock::Lock,
    part::{Part, sweep, sync_directory},
    plan::{Plan, PlannedBlob},
    present::{content_file, is_present},
    progress::BlobState,
};
use crate::{
    digest::{Algorithm, Digest},
    manifest::Manifest,
    source::{
        LayoutError,
        layout::{
            directory::{is_absent, open, path_of},
            file::{LayoutDirectory, Place},
            marker,
            stamp::{LARGEST_INDEX, read_at_most},
        },
    },
};

/// The content of an `oci-layout` file.
pub(super) const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// What became of a blob.
#[derive(Clone, Copy)]
enum Outcome {
    Written(u64),
    Present,
    Absent(Digest),
}

pub(super) async fn write(
    writer: &LayoutWriter,
    layout: &Arc<Path>,
    plan: &Plan<'_>,
) -> Result<WrittenLayout, LayoutWriteError> {
    let (path, algorithms) = (layout.clone(), plan.algorithms());
    let new_names = blocking(move || prepare(&path, &algorithms)).await?;

    let mut planned = plan.blobs.values();
    let mut running = FuturesUnordered::new();
    let mut written = WrittenLayout::default();
    loop {
        while running.len() < writer.concurrency.get()
            && let Some(blob) = planned.next()
        {
            running.push(write_blob(writer, layout, blob));
        }
        match running.next().await {
            None => break,
            Some(outcome) => written.count(outcome?),
        }
    }
    written.absent.sort_unstable();

    let manifests = plan.manifests.iter().map(|&manifest| manifest.clone());
    let finishing = Finishing {
        layout: layout.clone(),
        manifests: manifests.collect(),
        listed: plan.listed.clone(),
        new_names,
    };
    blocking(move || finishing.finish()).await?;
    Ok(written)
}

impl WrittenLayout {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Written(bytes) => {
                self.blobs += 1;
                self.bytes += bytes;
            }
            Outcome::Present => self.present += 1,
            Outcome::Absent(digest) => self.absent.push(digest),
        }
    }
}

async fn write_blob(
    writer: &LayoutWriter,
    layout: &Arc<Path>,
    blob: &PlannedBlob<'_>,
) -> Result<Outcome, LayoutWriteError> {
    let &PlannedBlob { digest, size, .. } = blob;
    let tell = |done, state| writer.hook.tell(&digest, size, done, state);
    let file = content_file(
        &Place::Directory(LayoutDirectory::new(layout.clone())),
        &digest,
        size,
    );
    if is_present(&file, writer.verify_present).await? {
        tell(size, BlobState::Present);
        return Ok(Outcome::Present);
    }
    let Some(content) = blob.open().await? else {
        tell(0, BlobState::Absent);
        return Ok(Outcome::Absent(digest));
    };
    tell(0, BlobState::Arriving);
    let target = path_of(layout, &digest);
    let folder = parent(&target);
    let part = blocking(move || create(&folder)).await?;
    let part = arrive(content, &digest, size, part, |done| {
        tell(done, BlobState::Arriving)
    })
    .await?;
    blocking(move || place(part, &target)).await?;
    tell(size, BlobState::Written);
    Ok(Outcome::Written(size))
}

/// Looks whether there is a layout that can be added to, or makes the folders of one. Gives the
/// directories that get new names. Blocks.
fn prepare(
    layout: &Path,
    algorithms: &BTreeSet<Algorithm>,
) -> Result<BTreeSet<PathBuf>, LayoutWriteError> {
    if has(&layout.join(marker::NAME)) {
        marker::check(layout)?;
    }
    // One that is broken is told before anything is fetched.
    read_index(layout)?;
    let mut new_names = BTreeSet::from([layout.to_owned()]);
    for algorithm in algorithms {
        let folder = layout.join("blobs").join(algorithm.as_str());
        for above in folder.ancestors() {
            new_names.insert(above.to_owned());
            if above.is_dir() {
                break;
            }
        }
        let created = fs::create_dir_all(&folder).and_then(|()| sweep(&folder));
        created.map_err(|error| LayoutWriteError::unwritable(&folder, error))?;
    }
    sweep(layout).map_err(|error| LayoutWriteError::unwritable(layout, error))?;
    Ok(new_names)
}

/// What follows when all blobs are there.
struct Finishing {
    layout: Arc<Path>,
    manifests: Vec<Manifest>,
    listed: Vec<Listed>,
    /// The directories that got new names.
    new_names: BTreeSet<PathBuf>,
}

impl Finishing {
    /// Writes the manifests, and lists the images. Blocks.
    fn finish(&self) -> Result<(), LayoutWriteError> {
        let layout = &*self.layout;
        for manifest in &self.manifests {
            let path = path_of(layout, manifest.digest());
            // A manifest that refers to what is not there is of no use, so these are read.
            let file = content_file(
                &Place::Directory(LayoutDirectory::new(self.layout.clone())),
                manifest.digest(),
                manifest.size(),
            );
            let is_there = file.length().is_ok()
                && fs::read(&path).is_ok_and(|there| there == *manifest.bytes());
            if !is_there {
                write_file(&path, manifest.bytes())?;
            }
        }
        let marker = layout.join(marker::NAME);
        if !has(&marker) {
            write_file(&marker, MARKER.as_bytes())?;
        }
        for directory in &self.new_names {
            // The current directory, for a layout with a relative path.
            let directory = match directory.as_os_str().is_empty() {
                true => Path::new("."),
                false => directory,
            };
            let synced = sync_directory(directory);
            synced.map_err(|error| LayoutWriteError::unwritable(directory, error))?;
        }
        self.list()
    }

    fn list(&self) -> Result<(), LayoutWriteError> {
        let layout = &*self.layout;
        let path = layout.join("index.json");
        let unwritable = |error| LayoutWriteError::unwritable(&path, error);
        let _lock = Lock::wait(&path).map_err(unwritable)?;
        let (before, index) = read_index(layout)?;
        let json = index.with(&self.listed, &path)?;
        if before.as_deref() != Some(&json) {
            write_file(&path, &json)?;
            sync_directory(layout).map_err(unwritable)?;
        }
        Ok(())
    }
}

/// The `index.json` of a layout, or one without entries. Blocks.
fn read_index(layout: &Path) -> Result<(Option<Vec<u8>>, IndexJson), LayoutError> {
    let path = layout.join("index.json");
    let json = match open(&path) {
        Ok(file) => Some(read_at_most(file, &path, LARGEST_INDEX)?),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(LayoutError::unreadable(&path, error)),
    };
    let index = IndexJson::parse(json.as_deref().unwrap_or(EMPTY), &path)?;
    Ok((json, index))
}

fn has(path: &Path) -> bool {
    !fs::metadata(path).is_err_and(|error| is_absent(&error))
}

/// Replaces a file by one with these bytes. Blocks.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LayoutWriteError> {
    let mut part = create(&parent(path))?;
    let written = part.write_all(bytes);
    written.map_err(|error| LayoutWriteError::unwritable(part.path(), error))?;
    place(part, path)
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A new file in a directory. Blocks.
pub(super) fn create(directory: &Path) -> Result<Part, LayoutWriteError> {
    Part::create(directory).map_err(|error| LayoutWriteError::unwritable(directory, error))
}

/// Brings a file to its place. Blocks.
pub(super) fn place(part: Part, target: &Path) -> Result<(), LayoutWriteError> {
    let placed = part.place(target);
    placed.map_err(|error: io::Error| LayoutWriteError::unwritable(target, error))
}
