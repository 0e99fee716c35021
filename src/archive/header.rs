//! The blocks in front of each file: ustar, and what GNU and POSIX put on top of it.
//!
//! Specification: POSIX, `pax`, "ustar Interchange Format" and "pax Header Block"; GNU tar, "Basic
//! Tar Format".

use std::ops::Range;

/// Everything in an archive comes in blocks of this many bytes.
pub(super) const BLOCK: usize = 512;

pub(super) type Block = [u8; BLOCK];

/// What stands at the end of an archive: two blocks of zeros.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

// The fields of a header.
const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const MAGIC: Range<usize> = 257..265;
const DEV_MAJOR: Range<usize> = 329..337;
const DEV_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

/// The magic and version of ustar. GNU has spaces there, and no prefix.
const USTAR: &[u8; 8] = b"ustar\x0000";

/// What a header stands in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A directory, a link, a device: there are no bytes of it, whatever its size says.
    NoContent,
    /// Records that change the header behind it: POSIX's `x`.
    Extended,
    /// The name for the header behind it: GNU's `L`.
    LongName,
    /// Remarks that change nothing here: POSIX's `g`, and the target of a link, GNU's `K`.
    Remark,
    /// A file without its holes: GNU's `S`.
    Sparse,
    Other,
}

/// A header, as far as it is needed to find a file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) size: u64,
    pub(super) kind: Kind,
}

/// Why a block is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidHeader {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its size is no number, negative, or too large")]
    Size,
}

impl Header {
    /// Reads a block, which may be the end of the archive: a block of zeros.
    pub(super) fn parse(block: &Block) -> Result<Option<Self>, InvalidHeader> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let sum = number(&block[CHECKSUM]).ok_or(InvalidHeader::Checksum)?;
        if !checksums(block).contains(&i64::try_from(sum).unwrap_or(-1)) {
            return Err(InvalidHeader::Checksum);
        }
        let name = until_nul(&block[NAME]);
        let prefix = until_nul(&block[PREFIX]);
        let name = if block[MAGIC].starts_with(b"ustar\0") && !prefix.is_empty() {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        };
        let kind = match block[TYPE] {
            // Before ustar a directory was a file whose name ends so.
            0 if name.ends_with(b"/") => Kind::NoContent,
            0 | b'0' | b'7' => Kind::File,
            b'1'..=b'6' => Kind::NoContent,
            b'x' => Kind::Extended,
            b'L' => Kind::LongName,
            b'g' | b'K' => Kind::Remark,
            b'S' => Kind::Sparse,
            _ => Kind::Other,
        };
        let size = match kind {
            Kind::NoContent => 0,
            _ => number(&block[SIZE]).ok_or(InvalidHeader::Size)?,
        };
        Ok(Some(Self { name, size, kind }))
    }
}

/// The header of a file: owned by root, from the beginning of 1970, for all to read. With a name
/// that is longer than ustar has room for, an extended header before it.
pub(crate) fn file_header(name: &str, size: u64) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(3 * BLOCK);
    if name.len() > NAME.len() {
        let record = record("path", name);
        blocks.extend(header("PaxHeaders/long", record.len() as u64, b'x', 0o644));
        blocks.extend(record.as_bytes());
        blocks.extend(padding(record.len() as u64));
    }
    blocks.extend(header(name, size, b'0', 0o644));
    blocks
}

/// The header of a directory, whose name ends with a slash, likewise.
pub(crate) fn directory_header(name: &str) -> Vec<u8> {
    header(name, 0, b'5', 0o755).to_vec()
}

/// What follows after content of `size` bytes, to the end of its last block.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    // The remainder is less than a block, so nothing is cut.
    #[allow(clippy::cast_possible_truncation)]
    let last = (size % BLOCK as u64) as usize;
    &END[..(BLOCK - last) % BLOCK]
}

fn header(name: &str, size: u64, kind: u8, mode: u64) -> Block {
    let mut block = [0; BLOCK];
    let shown = &name.as_bytes()[..name.len().min(NAME.len())];
    block[NAME][..shown.len()].copy_from_slice(shown);
    write_octal(&mut block[MODE], mode);
    for zero in [UID, GID, MTIME, DEV_MAJOR, DEV_MINOR] {
        write_octal(&mut block[zero], 0);
    }
    write_size(&mut block[SIZE], size);
    block[TYPE] = kind;
    block[MAGIC].copy_from_slice(USTAR);
    // Six digits, as every other writer has them: the sum is below 512 * 256.
    let [unsigned, _] = checksums(&block);
    write_octal(&mut block[CHECKSUM][..7], unsigned.unsigned_abs());
    block[CHECKSUM.end - 1] = b' ';
    block
}

/// A record of an extended header, which begins with its own length.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    // The digits of the length count too, and may be one more for it.
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

/// Octal digits with zeros before them and a NUL after them.
fn write_octal(field: &mut [u8], mut value: u64) {
    let Some((end, digits)) = field.split_last_mut() else {
        return;
    };
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7).to_le_bytes()[0];
        value >>= 3;
    }
}

/// A size in octal digits, or from 8 GiB on in GNU's binary form, which every reader of today knows.
fn write_size(field: &mut [u8], size: u64) {
    if size < 1 << 33 {
        return write_octal(field, size);
    }
    let bytes = size.to_be_bytes();
    let start = field.len() - bytes.len();
    field[start..].copy_from_slice(&bytes);
    field[0] = 0x80;
}

/// The sum of all bytes of a header, its own field taken as spaces: of unsigned bytes as the
/// standard says, and of signed ones as some writers had it.
fn checksums(block: &Block) -> [i64; 2] {
    let bytes = block.iter().enumerate().map(
        |(at, &byte)| {
            if CHECKSUM.contains(&at) { b' ' } else { byte }
        },
    );
    [
        bytes.clone().map(i64::from).sum(),
        bytes.map(|byte| i64::from(byte.cast_signed())).sum(),
    ]
}

/// A number in octal digits, or in GNU's binary form. Nothing if it is none, or negative.
fn number(field: &[u8]) -> Option<u64> {
    if let [first @ 0x80..=0xff, rest @ ..] = field {
        // The first bit marks the form, the second is the sign.
        let begin = (first & 0x40 == 0).then_some(u64::from(first & 0x3f))?;
        return rest.iter().try_fold(begin, |value, &byte| {
            value.checked_mul(256)?.checked_add(u64::from(byte))
        });
    }
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0_u64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// The field to its end, or to the first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}
