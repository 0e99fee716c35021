//! The entries of an archive, one after another.

use std::io;

use super::header::{BLOCK, Block, Header, InvalidHeader, Kind, until_nul};

/// The most headers that an archive may have: as many as the largest `index.json` could list.
const MOST_HEADERS: usize = 200_000;

/// The largest extension of a header that is read: names and attributes of a file.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// The most bytes of extensions that are read of an archive. They may be holes in its file, which
/// cost who makes it nothing.
const MOST_EXTENSIONS: u64 = 256 << 20;

/// A file in an archive, or something that is none: a directory, a link.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The name as it stands there.
    pub(crate) name: Vec<u8>,
    /// Where its content begins.
    pub(crate) at: u64,
    /// How many bytes of content there are. All of them are in the archive.
    pub(crate) size: u64,
    pub(crate) is_file: bool,
}

/// Why bytes are no tar archive, or none that can be read by position.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidArchive {
    #[error("the archive is cut off: it has {length} bytes, and no end")]
    CutOff { length: u64 },
    #[error("the block at byte {at} is no header of a tar archive: {error}")]
    Header { at: u64, error: InvalidHeader },
    #[error("the extended header at byte {at} makes no sense")]
    Extension { at: u64 },
    #[error("the extended header at byte {at} has more than {LARGEST_EXTENSION} bytes")]
    LargeExtension { at: u64 },
    #[error(
        "the entry at byte {at} is a sparse file, which cannot be read in place: pack the archive \
         without --sparse"
    )]
    Sparse { at: u64 },
    #[error("the archive has more than {MOST_EXTENSIONS} bytes of extended headers")]
    ManyExtensions,
    #[error("the archive has more than {MOST_HEADERS} entries")]
    TooMany,
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// Walks through the headers of an archive, and reads nothing else.
pub(crate) struct Entries<F> {
    /// Fills a piece from a place in the archive.
    read: F,
    length: u64,
    at: u64,
    headers: usize,
    /// How many bytes of extensions were read.
    extensions: u64,
}

/// What the headers before one say about it.
#[derive(Default)]
struct Extension {
    long_name: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<F: FnMut(&mut [u8], u64) -> io::Result<()>> Entries<F> {
    /// The entries of an archive of `length` bytes.
    pub(crate) fn new(length: u64, read: F) -> Self {
        Self {
            read,
            length,
            at: 0,
            headers: 0,
            extensions: 0,
        }
    }

    /// The next entry, or nothing at the end. After an error there is none.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, InvalidArchive> {
        let mut extension = Extension::default();
        loop {
            let header_at = self.at;
            let mut block: Block = [0; BLOCK];
            let at = self.advance(header_at, BLOCK as u64)?;
            (self.read)(&mut block, header_at)?;
            let header = Header::parse(&block).map_err(|error| InvalidArchive::Header {
                at: header_at,
                error,
            })?;
            let Some(header) = header else {
                return Ok(None);
            };
            self.headers += 1;
            if self.headers > MOST_HEADERS {
                return Err(InvalidArchive::TooMany);
            }
            let size = match header.kind {
                Kind::File | Kind::Other => extension.size.unwrap_or(header.size),
                _ => header.size,
            };
            let end = self.advance(at, size)?;
            self.at = end.next_multiple_of(BLOCK as u64); // the end is within a file's length
            match header.kind {
                Kind::Remark => {}
                Kind::Sparse => return Err(InvalidArchive::Sparse { at: header_at }),
                Kind::Extended => {
                    extension.read(header_at, &self.extension(header_at, at, size)?)?
                }
                Kind::LongName => {
                    let name = self.extension(header_at, at, size)?;
                    extension.long_name = Some(until_nul(&name).to_vec());
                }
                Kind::File | Kind::NoContent | Kind::Other => {
                    let name = extension.path.or(extension.long_name);
                    return Ok(Some(Entry {
                        name: name.unwrap_or(header.name),
                        at,
                        size,
                        is_file: header.kind == Kind::File,
                    }));
                }
            }
        }
    }

    /// The place `size` bytes behind `at`, if the archive is that long.
    fn advance(&self, at: u64, size: u64) -> Result<u64, InvalidArchive> {
        let length = self.length;
        at.checked_add(size)
            .filter(|&end| end <= length)
            .ok_or(InvalidArchive::CutOff { length })
    }

    fn extension(&mut self, header_at: u64, at: u64, size: u64) -> Result<Vec<u8>, InvalidArchive> {
        let large = || InvalidArchive::LargeExtension { at: header_at };
        let length = usize::try_from(size).ok();
        let length = length.filter(|_| size <= LARGEST_EXTENSION);
        let mut bytes = vec![0; length.ok_or_else(large)?];
        self.extensions += size;
        if self.extensions > MOST_EXTENSIONS {
            return Err(InvalidArchive::ManyExtensions);
        }
        (self.read)(&mut bytes, at)?;
        Ok(bytes)
    }
}

impl Extension {
    /// Takes in the records of an extended header: `LENGTH KEY=VALUE\n`, one after another.
    fn read(&mut self, header_at: u64, mut records: &[u8]) -> Result<(), InvalidArchive> {
        let invalid = || InvalidArchive::Extension { at: header_at };
        while !records.is_empty() {
            let (key, value, rest) = split_record(records).ok_or_else(invalid)?;
            records = rest;
            match key {
                b"path" => self.path = (!value.is_empty()).then(|| value.to_vec()),
                b"size" if value.is_empty() => self.size = None,
                b"size" => self.size = Some(decimal(value).ok_or_else(invalid)?),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(InvalidArchive::Sparse { at: header_at });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The key and the value of the first record, and what follows it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&records[..space])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}
