//! Layouts that are tar archives, read in place.

use std::{io::Write, process::Command};

use tower_oci::OciRegistryService;

use super::{
    common::{ask, get},
    *,
};

/// Packs a layout as the `tar` crate does.
pub(super) fn pack(layout: &OnDisk) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("", &layout.path).unwrap();
    archive.into_inner().unwrap()
}

/// One file as an archive has it, without the end.
pub(super) fn entry(name: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content).unwrap();
    let mut bytes = archive.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes
}

/// What a layout needs besides its blobs, and the end of the archive.
pub(super) fn documents(layout: &OnDisk) -> Vec<u8> {
    let read = |name: &str| fs::read(layout.path.join(name)).unwrap();
    let marker = entry("oci-layout", read("oci-layout"));
    let index = entry("index.json", read("index.json"));
    [marker, index, vec![0; 1024]].concat()
}

/// The path of content in an archive.
pub(super) fn path_of(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap();
    format!("blobs/{}", digest.replace(':', "/"))
}

pub(super) async fn open(path: &Path) -> Result<LayoutSource, tower_oci::LayoutError> {
    LayoutSource::open([(name("demo"), path)]).await
}

/// Asks for everything that a layout with one tagged image of `layer` has, as clients do.
async fn assert_served(source: LayoutSource, image: &Value, layer: &Value, content: &[u8]) {
    let service = OciRegistryService::new(source);
    for reference in ["latest", image["digest"].as_str().unwrap()] {
        let uri = format!("/v2/demo/manifests/{reference}");
        let manifest = get(&service, &uri).await;
        assert_eq!(manifest.status, 200, "{manifest:?}");
        let digest = Algorithm::Sha256.digest(&manifest.body);
        assert_eq!(digest, digest_of(image));
        let head = ask(&service, "HEAD", &uri, &[]).await;
        let length = image["size"].to_string();
        assert_eq!(
            (head.status.as_u16(), head.header("content-length")),
            (200, &*length)
        );
    }
    let uri = format!("/v2/demo/blobs/{}", layer["digest"].as_str().unwrap());
    let blob = get(&service, &uri).await;
    assert_eq!(blob.status, 200);
    assert!(blob.body == content, "the layer differs");
    let part = ask(&service, "GET", &uri, &[("range", "bytes=1-3")]).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.body, content[1..4]);
    let parts = ask(&service, "GET", &uri, &[("range", "bytes=0-0,2-2")]).await;
    assert_eq!(parts.status, 206);
    let head = ask(&service, "HEAD", &uri, &[]).await;
    assert_eq!(head.header("content-length"), content.len().to_string());
    let tags = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(tags.json()["tags"], json!(["latest"]));
    let catalog = get(&service, "/v2/_catalog").await;
    assert_eq!(catalog.json()["repositories"], json!(["demo"]));
    let unknown = describe("text/plain", b"unknown");
    let uri = format!("/v2/demo/blobs/{}", unknown["digest"].as_str().unwrap());
    get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn an_archive_is_served_in_place_as_its_directory_is() {
    let (directory, mut layout) = layout();
    let content = bytes(100_001);
    let (image, layer) = layout.add_image(&content);
    layout.list(&image, "latest");
    let file = directory.path().join("demo.tar");
    fs::write(&file, pack(&layout)).unwrap();
    fs::remove_dir_all(&layout.path).unwrap();
    assert_served(open(&file).await.unwrap(), &image, &layer, &content).await;
    let there: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(there.len(), 1, "nothing is unpacked");
}

#[tokio::test]
async fn archives_of_every_format_that_gnu_tar_writes_are_served() {
    let version = Command::new("tar").arg("--version").output();
    if !version.is_ok_and(|version| version.stdout.starts_with(b"tar (GNU tar)")) {
        let skipped = b"SKIPPED: GNU tar is not installed\n";
        return std::io::stderr().write_all(skipped).unwrap();
    }
    let (directory, mut layout) = layout();
    let content = bytes(70_000);
    let (image, layer) = layout.add_image(&content);
    layout.list(&image, "latest");
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        // With ./ before each name, and without it; with blocks of zeros for the tapes of old.
        for names in [&["."][..], &["oci-layout", "index.json", "blobs"]] {
            let file = directory.path().join("demo.tar");
            let status = Command::new("tar")
                .arg(format!("--format={format}"))
                .args(["--blocking-factor=20", "-C"])
                .arg(&layout.path)
                .arg("-cf")
                .arg(&file)
                .args(names)
                .status();
            assert!(status.unwrap().success());
            assert_served(open(&file).await.unwrap(), &image, &layer, &content).await;
        }
    }
}

#[tokio::test]
async fn names_that_are_too_long_for_a_header_are_read_from_gnu_and_pax_extensions() {
    let (directory, mut layout) = layout();
    let config = layout.add("application/vnd.oci.image.config.v1+json", "{}");
    let long = Algorithm::Sha512.digest("long");
    let layer = json!({"mediaType": "text/plain", "digest": long, "size": 4});
    let image = json!({"mediaType": MANIFEST, "config": config, "layers": [layer]});
    let image = layout.add_json(MANIFEST, &image);
    layout.list(&image, "latest");
    let manifest = entry(&path_of(&image), fs::read(layout.file(&image)).unwrap());

    let gnu = entry(&path_of(&layer), "long");
    assert!(gnu.len() > 1024, "the name has a header of its own");
    let mut pax = tar::Builder::new(Vec::new());
    let path = path_of(&layer);
    pax.append_pax_extensions([("path", path.as_bytes()), ("comment", b"\xff=\n")])
        .unwrap();
    let mut pax = pax.into_inner().unwrap();
    pax.truncate(pax.len() - 1024);
    pax.extend(entry("cut/off", "long"));
    let file = directory.path().join("demo.tar");
    for layer_entry in [gnu, pax] {
        fs::write(
            &file,
            [&*layer_entry, &manifest, &documents(&layout)].concat(),
        )
        .unwrap();
        let source = open(&file).await.unwrap();
        assert_eq!(source.get_blob(&layer).await.unwrap(), "long");
    }
}

#[tokio::test]
async fn sizes_in_binary_and_in_pax_records_are_read() {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    let manifest = entry(&path_of(&image), fs::read(layout.file(&image)).unwrap());
    let rest = [manifest, documents(&layout)].concat();
    let right = entry(&path_of(&layer), "layer");

    let mut binary = right.clone();
    binary[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x05");
    set_checksum(&mut binary);
    let mut pax = tar::Builder::new(Vec::new());
    pax.append_pax_extensions([("size", &b"5"[..])]).unwrap();
    let mut pax = pax.into_inner().unwrap();
    pax.truncate(pax.len() - 1024);
    let mut of_none = right.clone();
    of_none[124..136].copy_from_slice(b"00000000000\0");
    set_checksum(&mut of_none);
    pax.extend(of_none);
    let mut spaces = right;
    spaces[124..136].copy_from_slice(b"         5 \0");
    set_checksum(&mut spaces);

    let file = directory.path().join("demo.tar");
    for layer_entry in [binary, pax, spaces] {
        fs::write(&file, [&*layer_entry, &rest].concat()).unwrap();
        let source = open(&file).await.unwrap();
        assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    }
}

/// Makes the checksum of the first header right.
pub(super) fn set_checksum(archive: &mut [u8]) {
    archive[148..156].fill(b' ');
    let sum: u32 = archive[..512].iter().map(|&byte| u32::from(byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[tokio::test]
async fn of_two_entries_with_one_name_the_last_is_served() {
    let (directory, mut layout) = layout();
    let (first, _) = layout.add_image("first");
    layout.list(&first, "latest");
    let before = documents(&layout);
    let (second, layer) = layout.add_image("second");
    layout.entries.clear();
    layout.list(&second, "latest");
    let blob = |descriptor: &Value| {
        entry(
            &path_of(descriptor),
            fs::read(layout.file(descriptor)).unwrap(),
        )
    };
    let wrong = entry(&path_of(&layer), "other!");
    let archive = [
        &before[..before.len() - 1024],
        &wrong,
        &blob(&second),
        &entry(&format!("./{}", path_of(&layer)), "second"),
        &documents(&layout),
    ];
    let file = directory.path().join("demo.tar");
    fs::write(&file, archive.concat()).unwrap();
    let source = open(&file).await.unwrap();
    assert_eq!(
        *source.get("latest").await.unwrap().digest(),
        digest_of(&second)
    );
    assert_eq!(source.get_blob(&layer).await.unwrap(), "second");
    assert_missing(
        source.get(first["digest"].as_str().unwrap()).await,
        MissingContent::Manifest,
    );
}

#[tokio::test]
async fn a_link_in_an_archive_is_no_content() {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    let manifest = entry(&path_of(&image), fs::read(layout.file(&image)).unwrap());
    let file = directory.path().join("demo.tar");
    for kind in [b'1', b'2', b'3', b'5', b'6', b'V'] {
        let mut link = entry(&path_of(&layer), "");
        link[156] = kind;
        link[157..168].copy_from_slice(b"/etc/passwd");
        set_checksum(&mut link);
        let present = entry(&path_of(&layer), "layer");
        let archive = [&*present, &link, &manifest, &documents(&layout)];
        fs::write(&file, archive.concat()).unwrap();
        let source = open(&file).await.unwrap();
        let name = file.join(path_of(&layer));
        assert_backend(source.get_blob(&layer).await, &name);
    }
}

#[tokio::test]
async fn a_missing_or_wrong_blob_of_an_archive_fails_alone() {
    let (directory, mut layout) = layout();
    let (good, good_layer) = layout.add_image("good");
    let (second, missing) = layout.add_image("missing");
    let (third, short) = layout.add_image("shortened");
    let (wrong, _) = layout.add_image("wrong");
    for image in [&good, &second, &third, &wrong] {
        layout.list(image, None);
    }
    fs::remove_file(layout.file(&missing)).unwrap();
    fs::write(layout.file(&short), "short").unwrap();
    let length = fs::read(layout.file(&wrong)).unwrap().len();
    fs::write(layout.file(&wrong), vec![b' '; length]).unwrap();
    let file = directory.path().join("demo.tar");
    fs::write(&file, pack(&layout)).unwrap();
    let source = open(&file).await.unwrap();
    for blob in [&missing, &short] {
        let name = file.join(path_of(blob));
        assert_backend(source.get_blob(blob).await, &name);
    }
    let found = source.get(wrong["digest"].as_str().unwrap()).await;
    assert_backend(found, &file.join(path_of(&wrong)));
    assert_eq!(source.get_blob(&good_layer).await.unwrap(), "good");
}

#[tokio::test]
async fn referrers_and_nested_indexes_in_an_archive_are_found() {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    let absent = describe(MANIFEST, b"absent");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, absent]});
    let index = layout.add_json(INDEX, &index);
    layout.list(&index, "latest");
    let mut referrer = layout.image_of(&layer);
    referrer["subject"] = image.clone();
    referrer["artifactType"] = json!("application/vnd.example");
    let referrer = layout.add_json(MANIFEST, &referrer);
    layout.list(&referrer, None);
    let file = directory.path().join("demo.tar");
    fs::write(&file, pack(&layout)).unwrap();
    let service = OciRegistryService::new(open(&file).await.unwrap());
    let uri = format!("/v2/demo/referrers/{}", image["digest"].as_str().unwrap());
    let referrers = get(&service, &uri).await.json();
    assert_eq!(referrers["manifests"][0]["digest"], referrer["digest"]);
    assert_eq!(referrers["manifests"].as_array().unwrap().len(), 1);
    let uri = format!("/v2/demo/manifests/{}", absent["digest"].as_str().unwrap());
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    let uri = format!("/v2/demo/blobs/{}", layer["digest"].as_str().unwrap());
    assert_eq!(get(&service, &uri).await.body, "layer");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_read_one_archive_at_once() {
    let (directory, mut layout) = layout();
    let content = bytes(500_000);
    let (image, layer) = layout.add_image(&content);
    layout.list(&image, "latest");
    let file = directory.path().join("demo.tar");
    fs::write(&file, pack(&layout)).unwrap();
    let source = open(&file).await.unwrap();
    let readers = (0..32_u64).map(|reader| {
        let (source, layer, content) = (source.clone(), layer.clone(), content.clone());
        tokio::spawn(async move {
            let start = reader * 10_007;
            let range = ByteRange::FromTo(start, start + 150_000);
            let part = source.get_range(&layer, range).await.unwrap();
            let read = part.body.collect().await.unwrap().to_bytes();
            let start = usize::try_from(start).unwrap();
            assert!(read == content[start..=start + 150_000]);
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
}
