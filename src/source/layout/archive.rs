//! A layout that is a tar archive, read in place.

use std::{
    collections::{HashMap, hash_map::Entry as MapEntry},
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    directory::open,
    error::LayoutError,
    file::Opened,
    marker,
    position::PositionedFile,
    stamp::{LARGEST_INDEX, Seen, Stamp},
};
use crate::{
    archive::{Entries, Entry, InvalidArchive},
    digest::{Algorithm, Digest, Hasher},
};

/// What begins a file that is compressed, and with what.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
];

/// An archive as it was when its headers were read, with its file open: one that is replaced by
/// another is still served from until that is noticed.
pub(crate) struct Archive {
    path: PathBuf,
    file: Arc<PositionedFile>,
    stamp: Stamp,
    contents: Contents,
}

/// What an archive has of a layout.
#[derive(Default)]
struct Contents {
    marker: Option<Part>,
    index: Option<Part>,
    blobs: HashMap<Digest, Part>,
}

/// Where in an archive a file is. All of it is there.
#[derive(Clone, Copy)]
struct Part {
    at: u64,
    size: u64,
}

/// What an entry of an archive is to a layout.
#[derive(Clone, Copy)]
enum Role {
    Marker,
    Index,
    Blob(Digest),
}

/// The `index.json` and `oci-layout` of an archive.
pub(crate) struct Documents {
    pub(crate) index: Vec<u8>,
    pub(crate) marker: Vec<u8>,
}

impl Archive {
    /// The archive, with its `index.json` and `oci-layout`, unless it is known to be what was seen
    /// before. Blocks.
    pub(super) fn read_if_changed(
        path: &Path,
        before: Option<&Seen>,
    ) -> Result<Option<(Seen, Self, Documents)>, LayoutError> {
        if before.is_some_and(|before| before.is_unchanged(path)) {
            return Ok(None);
        }
        Self::read(path).map(Some)
    }

    /// Reads the headers of the archive, and its `index.json`. Blocks.
    pub(crate) fn read(path: &Path) -> Result<(Seen, Self, Documents), LayoutError> {
        let unreadable = |error| LayoutError::unreadable(path, error);
        let now = SystemTime::now();
        let file = PositionedFile::new(open(path).map_err(unreadable)?);
        let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
        refuse_compressed(&file, path)?;
        let (contents, mut hasher) = match Contents::of(&file, stamp.size()) {
            Ok(read) => read,
            Err(InvalidArchive::Io(error)) => return Err(unreadable(error)),
            Err(error) => {
                let (path, error) = (path.to_owned(), error.into());
                return Err(LayoutError::Archive { path, error });
            }
        };
        let archive = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            stamp,
            contents,
        };
        let documents = archive.documents()?;
        hasher.update(&documents.index);
        let metadata = archive.file.metadata().map_err(unreadable)?;
        if Stamp::of(&metadata) != archive.stamp {
            let torn = io::Error::other("it was written while it was read");
            return Err(unreadable(torn));
        }
        let seen = Seen::new(archive.stamp.clone(), now, hasher.finish());
        Ok((seen, archive, documents))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.contents.blobs.contains_key(digest)
    }

    /// Everything that the archive has by its digest, with its size.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = (&Digest, u64)> {
        let blobs = self.contents.blobs.iter();
        blobs.map(|(digest, part)| (digest, part.size))
    }

    /// The length of content, and the stamp of the archive.
    pub(super) fn look(&self, digest: &Digest) -> io::Result<(u64, Stamp)> {
        let part = self.contents.blobs.get(digest);
        let part = part.ok_or(io::ErrorKind::NotFound)?;
        let stamp = Stamp::of(&self.file.metadata()?);
        if !stamp.is_of_same_content(&self.stamp) {
            // Where things are in it now is known after the next look, which is soon.
            return Err(io::Error::other(
                "the archive has changed since it was read",
            ));
        }
        Ok((part.size, stamp))
    }

    pub(super) fn open_content(&self, digest: &Digest) -> io::Result<Opened> {
        let (length, stamp) = self.look(digest)?;
        let part = self.contents.blobs.get(digest);
        Ok(Opened {
            file: self.file.clone(),
            at: part.map_or(0, |part| part.at),
            length,
            stamp,
            found: None,
        })
    }

    fn documents(&self) -> Result<Documents, LayoutError> {
        let marker_path = self.path.join(marker::NAME);
        let Some(marker) = self.contents.marker else {
            return Err(LayoutError::NotALayout(marker_path));
        };
        let marker = self.document(marker, &marker_path, marker::LARGEST)?;
        marker::check_version(&marker_path, &marker)?;
        let index_path = self.path.join("index.json");
        let Some(index) = self.contents.index else {
            let error = io::Error::new(io::ErrorKind::NotFound, "the archive has no such file");
            return Err(LayoutError::unreadable(&index_path, error));
        };
        let index = self.document(index, &index_path, LARGEST_INDEX)?;
        Ok(Documents { index, marker })
    }

    fn document(&self, part: Part, path: &Path, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let length = usize::try_from(part.size).ok();
        let Some(length) = length.filter(|_| part.size <= limit) else {
            let path = path.to_owned();
            return Err(LayoutError::TooLarge { path, limit });
        };
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, part.at);
        read.map_err(|error| LayoutError::unreadable(path, error))?;
        Ok(bytes)
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Contents {
    /// What is where in an archive of `length` bytes, and a hasher that took all of that in.
    fn of(file: &PositionedFile, length: u64) -> Result<(Self, Hasher), InvalidArchive> {
        let mut contents = Self::default();
        let mut hasher = Algorithm::Sha256.hasher();
        let read = |piece: &mut [u8], at| file.read_exact_at(piece, at);
        let mut entries = Entries::new(length, read);
        while let Some(entry) = entries.next()? {
            if let Some(role) = Role::of(&entry.name) {
                hasher.update(&entry.name);
                hasher.update(entry.at.to_le_bytes());
                hasher.update(entry.size.to_le_bytes());
                hasher.update([u8::from(entry.is_file)]);
                contents.put(role, &entry);
            }
        }
        Ok((contents, hasher))
    }

    /// Of two entries with one name the last wins, as when the archive is unpacked. What is no file
    /// (a link to one, for instance) is not served.
    fn put(&mut self, role: Role, entry: &Entry) {
        let part = entry.is_file.then_some(Part {
            at: entry.at,
            size: entry.size,
        });
        match role {
            Role::Marker => self.marker = part,
            Role::Index => self.index = part,
            Role::Blob(digest) => match (self.blobs.entry(digest), part) {
                (MapEntry::Occupied(place), None) => {
                    place.remove();
                }
                (place, Some(part)) => {
                    place.insert_entry(part);
                }
                (MapEntry::Vacant(_), None) => {}
            },
        }
    }
}

impl Role {
    fn of(name: &[u8]) -> Option<Self> {
        let name = str::from_utf8(name).ok()?;
        let mut components = name.split('/').filter(|part| !matches!(*part, "" | "."));
        let first = components.next()?;
        match (
            first,
            components.next(),
            components.next(),
            components.next(),
        ) {
            (marker::NAME, None, ..) => Some(Self::Marker),
            ("index.json", None, ..) => Some(Self::Index),
            ("blobs", Some(algorithm), Some(encoded), None) => {
                let digest = format!("{algorithm}:{encoded}").parse();
                Some(Self::Blob(digest.ok()?))
            }
            _ => None,
        }
    }
}

fn refuse_compressed(file: &PositionedFile, path: &Path) -> Result<(), LayoutError> {
    for (magic, format) in COMPRESSED {
        let mut begin = vec![0; magic.len()];
        // A file that is shorter than that is cut off, which is told later.
        if file.read_exact_at(&mut begin, 0).is_ok() && begin == magic {
            let path = path.to_owned();
            return Err(LayoutError::Compressed { path, format });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::directory::path_of, *};

    #[test]
    fn names_are_what_they_are_after_unpacking() {
        let digest = Algorithm::Sha256.digest("");
        let blob = path_of(Path::new(""), &digest).display().to_string();
        let is_blob = |name: &str| matches!(Role::of(name.as_bytes()), Some(Role::Blob(_)));
        for name in [blob.clone(), format!("./{blob}"), format!("/.//{blob}/")] {
            assert!(is_blob(&name), "{name}");
        }
        for name in [
            format!("a/{blob}"),
            format!("{blob}/a"),
            format!("../{blob}"),
        ] {
            assert!(!is_blob(&name), "{name}");
        }
        assert!(matches!(Role::of(b"./index.json"), Some(Role::Index)));
        assert!(matches!(Role::of(b"oci-layout"), Some(Role::Marker)));
        assert!(Role::of(b"blobs/../index.json").is_none());
        assert!(Role::of(b"\xff").is_none());
    }
}
