//! Archives that are none, are cut off, or mean harm. Each is refused, in bounded time and memory.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
};

use super::{
    archives::{documents, entry, open, pack, path_of, set_checksum},
    *,
};

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}

/// Why the archive with these bytes is refused.
async fn refusal(archive: impl AsRef<[u8]>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("demo.tar");
    fs::write(&file, archive).unwrap();
    refusal_of(&file).await
}

async fn refusal_of(file: &Path) -> String {
    let error = open(file).await.expect_err("this is no good archive");
    let text = with_causes(&error);
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(!text.contains('\n'), "{text}");
    text
}

/// A header alone, changed by the test.
fn header(kind: u8, size: &[u8; 12], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut block = entry("blobs/x", "");
    block[156] = kind;
    block[124..136].copy_from_slice(size);
    change(&mut block);
    set_checksum(&mut block);
    block
}

/// A PAX header with this content.
fn pax(records: &[u8]) -> Vec<u8> {
    let size = format!("{:011o}\0", records.len());
    let mut bytes = header(b'x', size.as_bytes().try_into().unwrap(), |_| {});
    bytes.extend(records);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[tokio::test]
async fn a_compressed_archive_is_refused_with_the_format_named() {
    for (magic, format) in [
        (&b"\x1f\x8b\x08\0"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"BZh91AY", "bzip2"),
    ] {
        let text = refusal(magic).await;
        assert!(
            text.contains(format!("is compressed with {format}").as_str()),
            "{text}"
        );
        assert!(text.contains("decompress"), "{text}");
    }
}

#[tokio::test]
async fn an_archive_without_the_files_of_a_layout_is_refused_with_the_file_named() {
    let (_directory, layout) = layout();
    let whole = documents(&layout);
    let marker = entry("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = entry("index.json", "{}");
    let end = vec![0; 1024];
    let other = entry("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    let broken = entry("index.json", "{");
    // As `tar cf demo.tar demo` packs it: one folder too much.
    let deeper = entry("demo/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    for (archive, file, reason) in [
        (end.clone(), "oci-layout", "is missing"),
        ([&*index, &end].concat(), "oci-layout", "is missing"),
        (
            [&*deeper, &index, &end].concat(),
            "oci-layout",
            "is missing",
        ),
        ([&*marker, &end].concat(), "index.json", "no such file"),
        ([&*other, &index, &end].concat(), "oci-layout", "2.0.0"),
        (
            [&*marker, &broken, &end].concat(),
            "index.json",
            "is not what a layout has there",
        ),
    ] {
        let text = refusal(archive).await;
        assert!(text.contains(&format!("demo.tar/{file}")), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("demo.tar");
    fs::write(&file, whole).unwrap();
    assert!(open(&file).await.is_ok());
}

#[tokio::test]
async fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let (directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let whole = pack(&layout);
    let end = whole.len() - 1024;
    let file = directory.path().join("demo.tar");
    for length in (0..=end).step_by(37).chain((0..=end).step_by(512)) {
        fs::write(&file, &whole[..length]).unwrap();
        let text = refusal_of(&file).await;
        assert!(text.contains("is cut off"), "{length}: {text}");
    }
    // One of the two blocks at the end is enough.
    fs::write(&file, &whole[..end + 512]).unwrap();
    assert!(open(&file).await.is_ok());
}

#[tokio::test]
async fn a_header_that_makes_no_sense_is_refused_with_its_place() {
    let none = b"00000000000\0";
    let mut sum = header(b'0', none, |_| {});
    sum[0] ^= 1;
    let mut no_sum = header(b'0', none, |_| {});
    no_sum[148..156].copy_from_slice(b"checksum");
    for (archive, reason) in [
        (vec![b'x'; 5000], "at byte 0 is no header"),
        (sum, "its checksum is wrong"),
        (no_sum, "its checksum is wrong"),
        (
            header(b'0', b"notanumber\0\0", |_| {}),
            "its size is no number",
        ),
        (
            header(b'0', b"-0000000001\0", |_| {}),
            "its size is no number",
        ),
        (
            header(
                b'0',
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                |_| {},
            ),
            "negative",
        ),
        (
            header(
                b'0',
                b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                |_| {},
            ),
            "too large",
        ),
        (
            header(b'0', b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", |_| {}),
            "is cut off",
        ),
        (header(b'0', b"77777777777\0", |_| {}), "is cut off"),
        (header(b'L', b"77777777777\0", |_| {}), "is cut off"),
        (header(b'g', b"00000010000\0", |_| {}), "is cut off"),
        (header(b'S', none, |_| {}), "sparse"),
        (pax(b"22 GNU.sparse.major=1\n"), "sparse"),
        (pax(b"25 GNU.sparse.name=x/y/z\n"), "sparse"),
        (pax(b"8 path=x\n"), "makes no sense"),
        (pax(b"11 path=x\n"), "makes no sense"),
        (pax(b"9 path=x "), "makes no sense"),
        (pax(b"0 path=x\n"), "makes no sense"),
        (pax(b"-9 path=x\n"), "makes no sense"),
        (pax(b"99999999999999999999999 path=x\n"), "makes no sense"),
        (pax(b"8 pathx\n"), "makes no sense"),
        (pax(b"path=x\n"), "makes no sense"),
        (pax(b"11 size=-1\n"), "makes no sense"),
        (pax(b"29 size=18446744073709551616\n"), "makes no sense"),
    ] {
        let archive = [archive, vec![0; 1024]].concat();
        let text = refusal(archive).await;
        assert!(text.contains(reason), "{reason}: {text}");
    }
    let huge = pax(b"29 size=18446744073709551615\n");
    let file = header(b'0', none, |_| {});
    let text = refusal([huge, file, vec![0; 1024]].concat()).await;
    assert!(text.contains("is cut off"), "{text}");
}

#[tokio::test]
async fn an_extension_of_any_size_costs_no_memory() {
    for kind in [b'x', b'L'] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("demo.tar");
        let mut file = File::create(&path).unwrap();
        // A terabyte of holes.
        file.write_all(&header(kind, b"\x80\0\0\0\0\0\x01\0\0\0\0\0", |_| {}))
            .unwrap();
        file.set_len(2 << 40).unwrap();
        let started = Instant::now();
        let text = refusal_of(&path).await;
        assert!(text.contains("has more than 1048576 bytes"), "{text}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn many_extensions_cost_little_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("demo.tar");
    let mut file = File::create(&path).unwrap();
    for _ in 0..100_000 {
        file.write_all(&header(b'L', b"00004000000\0", |_| {}))
            .unwrap();
        file.seek(SeekFrom::Current(1 << 20)).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
    let started = Instant::now();
    let text = refusal_of(&path).await;
    assert!(text.contains("bytes of extended headers"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_index_of_any_size_costs_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    for (name, size, limit) in [
        ("index.json", 1_u64 << 32, "67108864 bytes"),
        ("oci-layout", 1 << 32, "65536 bytes"),
    ] {
        let path = directory.path().join("demo.tar");
        let mut file = File::create(&path).unwrap();
        let marker = entry("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        file.write_all(&marker).unwrap();
        let mut large = entry(name, "");
        large[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        set_checksum(&mut large);
        file.write_all(&large).unwrap();
        file.seek(SeekFrom::Current(i64::try_from(size).unwrap()))
            .unwrap();
        file.write_all(&[0; 1024]).unwrap();
        let text = refusal_of(&path).await;
        assert!(text.contains(limit), "{text}");
    }
}

#[tokio::test]
async fn an_archive_of_too_many_entries_is_refused() {
    let (_directory, layout) = layout();
    let mut entries = entry("blobs/x", "").repeat(200_001);
    entries.extend(documents(&layout));
    let text = refusal(entries).await;
    assert!(text.contains("more than 200000 entries"), "{text}");
}

#[tokio::test]
async fn an_archive_with_any_bytes_changed_is_served_or_refused() {
    let (directory, mut layout) = layout();
    let content = bytes(3000);
    let (image, layer) = layout.add_image(&content);
    layout.list(&image, "latest");
    let long =
        json!({"mediaType": "text/plain", "digest": Algorithm::Sha512.digest("a"), "size": 1});
    let whole = [
        pax(b"9 path=x\n"),
        entry(&path_of(&long), "a"),
        pack(&layout),
    ]
    .concat();
    let file = directory.path().join("demo.tar");
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut served, mut refused) = (0, 0);
    for round in 0..2000 {
        let mut changed = whole.clone();
        for _ in 0..=random(4) {
            let at = random(changed.len());
            changed[at] = random(256).to_le_bytes()[0];
        }
        // In every other round the checksums are right again, so that the fields behind are met.
        for at in (0..changed.len() - 511)
            .step_by(512)
            .filter(|_| round % 2 == 0)
        {
            if &changed[at + 257..at + 262] == b"ustar" {
                set_checksum(&mut changed[at..at + 512]);
            }
        }
        fs::write(&file, &changed).unwrap();
        match open(&file).await {
            Ok(source) => {
                served += 1;
                if let Ok(manifest) = source.get("latest").await {
                    assert_eq!(*manifest.digest(), digest_of(&image));
                    let _ = source.get_blob(&layer).await;
                }
            }
            Err(error) => {
                refused += 1;
                assert!(with_causes(&error).contains("demo.tar"), "{error}");
            }
        }
    }
    assert!(
        served > 100 && refused > 100,
        "{served} served, {refused} refused"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_neither_a_file_nor_a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("demo.tar");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    refusal_of(&fifo).await;
    refusal_of(Path::new("/dev/null")).await;
}
