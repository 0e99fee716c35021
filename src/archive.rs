//! Tar archives, as far as image layouts need them: where each file is, and how one is written.
//!
//! Blobs are read by position and written as they arrive, which the `tar` crate, made of `std::io`
//! readers and writers, is not for; and it holds names and extensions of any length in memory, which
//! somebody else's archive may have. What is left, the headers, is here.

mod entries;
mod header;

pub(crate) use entries::{Entries, Entry, InvalidArchive};
pub(crate) use header::{END, directory_header, file_header, padding};

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    /// An archive of one file without its content.
    fn read_as_ours(archive: &[u8], length: u64) -> Entry {
        let mut entries = Entries::new(length, |piece: &mut [u8], at| {
            let at = usize::try_from(at).unwrap();
            piece.copy_from_slice(&archive[at..at + piece.len()]);
            Ok(())
        });
        entries.next().unwrap().unwrap()
    }

    #[test]
    fn a_header_of_any_size_and_name_is_read_here_and_by_the_tar_crate() {
        let eight_gigabytes = 8_u64 << 30;
        for size in [
            0,
            1,
            511,
            512,
            eight_gigabytes - 1,
            eight_gigabytes,
            u64::MAX >> 2,
        ] {
            for length in [1, 77, 99, 100, 101, 141, 255, 256, 990, 1000, 5000] {
                let name = "n".repeat(length);
                let bytes = file_header(&name, size);
                assert_eq!(bytes.len() % 512, 0);
                let ours = read_as_ours(&bytes, u64::MAX >> 1);
                assert_eq!((ours.size, ours.at), (size, bytes.len() as u64));
                assert!(ours.is_file && ours.name == name.as_bytes());

                let mut archive = tar::Archive::new(&*bytes);
                let entry = archive.entries().unwrap().next().unwrap().unwrap();
                assert_eq!(entry.path_bytes(), name.as_bytes());
                assert_eq!(entry.size(), size);
            }
        }
    }

    #[test]
    fn a_block_is_filled_and_never_more_than_that() {
        for (size, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(size).len(), expected);
        }
    }
}
