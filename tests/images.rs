//! Images: loading, building, their blobs, and the store that serves them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod common;
#[path = "common/scripted.rs"]
mod scripted;

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use common::*;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use scripted::{Scripted, pieces, unseekable};
use serde_json::{Value, json};
use tower_oci::{
    Algorithm, Blob, BlobContent, BlobInfo, BlobSource, Descriptor, Digest, DynBody, DynSource,
    Found, GetBlob, GetManifest, Image, ImageError, InvalidDescriptor, InvalidManifest, Manifest,
    MediaType, MemoryStore, MissingContent, OciRegistryService, Platform, Reference,
    RepositoryName, SourceError, Tag,
    testing::{ImageBuilder, IndexBuilder},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn sha256(content: impl AsRef<[u8]>) -> Digest {
    Algorithm::Sha256.digest(content)
}

/// Manifests by tag and by digest, and blobs.
#[derive(Clone, Default)]
struct Shelf {
    manifests: Arc<Mutex<HashMap<String, Manifest>>>,
    blobs: Arc<Mutex<HashMap<Digest, Bytes>>>,
}

impl Shelf {
    /// Keeps a manifest under its digest, and gives its descriptor.
    fn manifest(&self, document: &Value) -> Value {
        let manifest = Manifest::parse(document.to_string()).unwrap();
        let descriptor = json!({
            "mediaType": manifest.media_type(),
            "digest": manifest.digest(),
            "size": manifest.size(),
        });
        let digest = manifest.digest().to_string();
        self.manifests.lock().unwrap().insert(digest, manifest);
        descriptor
    }

    fn tag(&self, tag: &str, manifest: Manifest) {
        self.manifests
            .lock()
            .unwrap()
            .insert(tag.to_owned(), manifest);
    }

    /// Keeps a blob, and gives its descriptor.
    fn blob(&self, content: impl Into<Bytes>) -> Value {
        let content = content.into();
        let digest = sha256(&content);
        let descriptor = descriptor(&digest, content.len());
        self.blobs.lock().unwrap().insert(digest, content);
        descriptor
    }

    fn source(&self) -> Scripted {
        let (manifests, blobs) = (self.manifests.clone(), self.blobs.clone());
        Scripted::new()
            .on_manifest(move |(reference, _)| {
                let manifests = manifests.lock().unwrap();
                let manifest = manifests.get(&reference.to_string()).cloned();
                let manifest = manifest.ok_or(SourceError::NotFound(MissingContent::Manifest))?;
                Ok(manifest.into())
            })
            .on_blob(move |(digest, options)| {
                let blobs = blobs.lock().unwrap();
                let blob = blobs.get(&digest).cloned();
                let blob = blob.ok_or(SourceError::NotFound(MissingContent::Blob))?;
                Ok(Blob::from_bytes(blob, &options)?.map_body(DynBody::new))
            })
            .on_stat_blob({
                let blobs = self.blobs.clone();
                move |digest| {
                    let blobs = blobs.lock().unwrap();
                    let blob = blobs.get(&digest);
                    let blob = blob.ok_or(SourceError::NotFound(MissingContent::Blob))?;
                    Ok(BlobInfo::seekable(blob.len() as u64))
                }
            })
    }

    /// The image of this document, with everything else from the shelf.
    async fn image(&self, document: &Value) -> Result<Image, ImageError> {
        let manifest = Manifest::parse(document.to_string())?;
        self.tag("latest", manifest);
        load(self.source(), "latest").await
    }
}

async fn load(source: impl BlobSource, reference: &str) -> Result<Image, ImageError> {
    let reference: Reference = reference.parse().unwrap();
    Image::load(&DynSource::new(source), &name("demo"), &reference).await
}

fn descriptor(digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": "text/plain", "digest": digest, "size": size })
}

fn image_document(layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers })
}

fn index_document(entries: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

fn registry(
    images: &[(&str, Option<&str>, &Image)],
) -> OciRegistryService<tower_oci::ReadOnly<MemoryStore>> {
    let store = MemoryStore::new();
    for (repository, a_tag, image) in images {
        store.add_image(&name(repository), a_tag.map(tag).as_ref(), image);
    }
    OciRegistryService::new(store)
}

// ---- builders -------------------------------------------------------------------------------

fn every_kind() -> Vec<(&'static str, Image)> {
    let platform = Platform {
        variant: "v8".to_owned(),
        ..Platform::new("linux", "arm64")
    };
    let image = ImageBuilder::new()
        .platform(platform.clone())
        .files([("etc/motd", "hello"), ("etc/hostname", "demo")])
        .file("empty", "")
        .annotation("b", "2")
        .annotation("a", "1")
        .build()
        .unwrap();
    let sha512 = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .file("a", "b")
        .build()
        .unwrap();
    let artifact = ImageBuilder::artifact("application/vnd.example+json".parse().unwrap())
        .layer("text/plain".parse().unwrap(), "content")
        .subject(&image)
        .build()
        .unwrap();
    let index = IndexBuilder::new()
        .image_for(&image, platform)
        .image(&sha512)
        .annotation("c", "3")
        .build()
        .unwrap();
    let nested = IndexBuilder::new()
        .algorithm(Algorithm::Sha512)
        .image(&index)
        .image(&artifact)
        .missing(Descriptor::new(
            MediaType::OCI_MANIFEST,
            sha256("missing"),
            7,
        ))
        .blob(MediaType::OCI_LAYER, "a layer in a cache")
        .artifact_type("application/vnd.example.index".parse().unwrap())
        .subject(&image)
        .build()
        .unwrap();
    vec![
        ("image", image),
        ("sha512", sha512),
        ("artifact", artifact),
        ("index", index),
        ("nested", nested),
    ]
}

#[test]
fn builders_make_the_same_bytes_on_every_run_and_every_machine() {
    let expected = [
        (
            "image",
            "sha256:c63e413e8c3a5fb9dad22d9880bebb4b802618b6d23cabd65fbabbba7c910a3a",
        ),
        (
            "sha512",
            "sha512:ab83e64a01d367e8126a4e50e8b7d6ff6930810491ae88cd3d30fcf3e9e398a25db8de9bbe8ec077f8d99a7e5b49583095eec2214490363d405bc2a01187bc90",
        ),
        (
            "artifact",
            "sha256:3b84482dcac0d60b1811373e7fe4bf74bb1984258cb95f62d1b1ac8188d4e51a",
        ),
        (
            "index",
            "sha256:a41015bd8b2d0d11e59210b277b336194fe0da6be3e7a65aa2084e51b00c6277",
        ),
        (
            "nested",
            "sha512:73ef597344cc180f3ee4e4b1afe2ed693b5af53f8bcc3d1213840bba1244815d038e7f0d90e56904060ff38d16deafb4598fd899a998624d377f68aebb1d2b5b",
        ),
    ];
    let built: Vec<_> = every_kind()
        .into_iter()
        .map(|(kind, image)| (kind, image.digest().to_string()))
        .collect();
    let built: Vec<_> = built
        .iter()
        .map(|(kind, digest)| (*kind, digest.as_str()))
        .collect();
    assert_eq!(built, expected);
}

#[test]
fn a_path_that_no_archive_can_hold_is_an_error_of_build() {
    for path in ["/absolute", "../up", "a/../../b", ""] {
        let built = ImageBuilder::new()
            .file(path, "x")
            .file("good", "y")
            .build();
        assert!(built.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_built_image_is_served_and_loads_again_as_the_same_image() {
    for (kind, image) in every_kind() {
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        for reference in ["latest".to_owned(), image.digest().to_string()] {
            let loaded = load(store.clone(), &reference).await.unwrap();
            assert_same(kind, &loaded, &image).await;
        }
    }
}

/// Compares everything that two images say, down to the bytes of their blobs.
async fn assert_same(kind: &str, left: &Image, right: &Image) {
    assert_eq!(left.manifest(), right.manifest(), "{kind}");
    assert_eq!(left.artifact_type(), right.artifact_type(), "{kind}");
    assert_eq!(left.subject(), right.subject(), "{kind}");
    let described: Vec<_> = left.descriptors().collect();
    assert!(described.iter().copied().eq(right.descriptors()), "{kind}");
    let parts = left
        .config()
        .into_iter()
        .chain(left.layers())
        .chain(left.entries());
    assert!(described.iter().copied().eq(parts), "{kind}");
    for descriptor in left.config().into_iter().chain(left.layers()) {
        let bytes = left.read_blob_verified(descriptor, 1 << 20).await.unwrap();
        assert_eq!(
            bytes,
            right.read_blob_verified(descriptor, 1 << 20).await.unwrap()
        );
    }
    assert_eq!(left.children().len(), right.children().len(), "{kind}");
    for (left, right) in left.children().iter().zip(right.children()) {
        Box::pin(assert_same(kind, left, right)).await;
    }
}

// ---- loading --------------------------------------------------------------------------------

#[tokio::test]
async fn a_manifest_with_other_bytes_than_its_digest_is_refused() {
    let shelf = Shelf::default();
    let child = shelf.manifest(&image_document(&[]));
    let digest: Digest = child["digest"].as_str().unwrap().parse().unwrap();
    let parent = index_document(&[child]);
    assert!(shelf.image(&parent).await.is_ok());
    let wrong = Manifest::trusted(digest, MediaType::OCI_MANIFEST, "{}");
    shelf.tag(&digest.to_string(), wrong);
    for error in [
        load(shelf.source(), &digest.to_string()).await.unwrap_err(),
        shelf.image(&parent).await.unwrap_err(),
    ] {
        let ImageError::Manifest(InvalidManifest::DigestMismatch(wrong)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(wrong, digest);
    }
    let lying = Scripted::new().on_manifest(move |_| Ok(Found::NotModified(digest)));
    assert!(load(lying, "latest").await.is_err());
}

#[tokio::test]
async fn an_index_may_be_sparse_but_a_storage_that_fails_is_an_error() {
    let shelf = Shelf::default();
    let there = shelf.manifest(&image_document(&[]));
    let missing = json!({ "mediaType": MANIFEST, "digest": sha256("missing"), "size": 7 });
    let index = shelf
        .image(&index_document(&[missing.clone(), there, missing]))
        .await
        .unwrap();
    assert_eq!((index.entries().len(), index.children().len()), (3, 1));

    let service = registry(&[("demo", Some("latest"), &index)]);
    assert_eq!(get(&service, "/v2/demo/manifests/latest").await.status, 200);
    let uri = format!("/v2/demo/manifests/{}", sha256("missing"));
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");

    let failing = shelf.source().on_manifest({
        let index = index.manifest().clone();
        move |(reference, _)| match reference {
            Reference::Tag(_) => Ok(index.clone().into()),
            Reference::Digest(_) => Err(SourceError::backend("broken")),
        }
    });
    let error = load(failing, "latest").await.unwrap_err();
    assert!(
        matches!(error, ImageError::Source(SourceError::Backend(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn descriptors_that_make_no_sense_are_refused() {
    let good = sha256("x").to_string();
    let upper = good.to_uppercase();
    let of_size = |size: &str| format!(r#"{{"digest":"{good}","size":{size}}}"#);
    let of_digest = |digest: &String| format!(r#"{{"digest":{digest},"size":1}}"#);
    let sizes = [
        "-1",
        "-9223372036854775808",
        "0.5",
        "1.0",
        "1e3",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "\"1\"",
        "null",
        "[1]",
        "true",
        "-0",
    ];
    let digests = [
        format!("{:?}", &good[..70]),
        format!("{upper:?}"),
        "\"sha256:\"".to_owned(),
        "\"blake3:af13\"".to_owned(),
        "\"\"".to_owned(),
        "null".to_owned(),
        "7".to_owned(),
        "\"sha256:../../etc/passwd\"".to_owned(),
    ];
    let bad_ones = sizes.into_iter().map(of_size);
    let bad_ones = bad_ones.chain(digests.iter().map(of_digest));
    let others = [
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "7".to_owned(),
        "\"x\"".to_owned(),
        format!("[\"text/plain\",\"{good}\",1]"),
        format!("{{\"digest\":\"{good}\",\"size\":1,\"size\":2}}"),
    ];
    let bad_ones: Vec<String> = bad_ones.chain(others).collect();
    let max = of_size("9223372036854775807");
    for template in [
        r#"{"mediaType":"a/b","config":HERE}"#,
        r#"{"mediaType":"a/b","layers":[HERE]}"#,
        r#"{"mediaType":"a/b","blobs":[HERE]}"#,
        r#"{"mediaType":"a/b","manifests":[HERE]}"#,
        r#"{"mediaType":"a/b","subject":HERE}"#,
    ] {
        let document = |descriptor: &str| {
            let source = Manifest::parse(template.replace("HERE", descriptor)).unwrap();
            Scripted::new().on_manifest(move |_| Ok(source.clone().into()))
        };
        for descriptor in &bad_ones {
            let loaded = load(document(descriptor), "latest").await;
            if descriptor == "null" && !template.contains('[') {
                assert!(loaded.is_ok(), "null is no descriptor: {template}");
                continue;
            }
            let error = loaded.unwrap_err();
            assert!(
                matches!(error, ImageError::Descriptor(_)),
                "{template} {descriptor}: {error:?}"
            );
        }
        assert!(load(document(&max), "latest").await.is_ok(), "{template}");
    }
}

#[tokio::test]
async fn embedded_data_must_be_what_the_descriptor_says() {
    let digest = sha256("hello");
    let shelf = Shelf::default();
    let document = |data: Value, size: usize, digest: &Digest| {
        let mut layer = descriptor(digest, size);
        layer["data"] = data;
        image_document(&[layer])
    };
    let refused = [
        (document(json!("aGVsbG8"), 5, &digest), "no padding"),
        (document(json!("aGVsbG8=\n"), 5, &digest), "a line end"),
        (document(json!("aGVs bG8="), 5, &digest), "a space"),
        (document(json!("hello"), 5, &digest), "not Base64"),
        (
            document(json!("aGVsbG8="), 4, &digest),
            "longer than the size",
        ),
        (
            document(json!("aGVsbG8="), 6, &digest),
            "shorter than the size",
        ),
        (document(json!(""), 5, &digest), "empty"),
        (
            document(json!("aGVsbG8="), 0, &digest),
            "not empty, of size 0",
        ),
        (document(json!("d29ybGQ="), 5, &digest), "another digest"),
        (
            document(json!("aGVsbG8="), 5, &Algorithm::Sha512.digest("x")),
            "another SHA-512",
        ),
        (
            image_document(&[descriptor(&digest, 0)]),
            "nothing, with the digest of something",
        ),
    ];
    for (document, what) in refused {
        let error = shelf.image(&document).await.unwrap_err();
        let is_data = matches!(
            error,
            ImageError::Descriptor(
                InvalidDescriptor::DataEncoding(_)
                    | InvalidDescriptor::DataLength { .. }
                    | InvalidDescriptor::DataDigest(_)
            )
        );
        assert!(is_data, "{what}: {error:?}");
    }
    for good in [
        document(json!("aGVsbG8="), 5, &digest),
        document(json!("aGVsbG8="), 5, &Algorithm::Sha512.digest("hello")),
        document(json!(""), 0, &sha256("")),
        document(Value::Null, 5, &digest),
    ] {
        assert!(shelf.image(&good).await.is_ok(), "{good}");
    }
}

#[tokio::test]
async fn empty_and_embedded_blobs_are_served_without_asking_the_source() {
    let shelf = Shelf::default();
    let mut embedded = descriptor(&sha256("hello"), 5);
    embedded["data"] = json!("aGVsbG8=");
    let bare = descriptor(&sha256("hello"), 5);
    let empty = descriptor(&sha256(""), 0);
    let empty_sha512 = descriptor(&Algorithm::Sha512.digest(""), 0);
    // The same content twice, once without its data: it is known all the same.
    for layers in [
        vec![
            embedded.clone(),
            bare.clone(),
            empty.clone(),
            empty_sha512.clone(),
        ],
        vec![bare, embedded, empty_sha512, empty],
    ] {
        shelf.tag(
            "latest",
            Manifest::parse(image_document(&layers).to_string()).unwrap(),
        );
        let source = shelf.source();
        let image = load(source.clone(), "latest").await.unwrap();
        let service = registry(&[("demo", Some("latest"), &image)]);
        source.calls();
        for layer in image.layers() {
            let content = if layer.size == 0 { "" } else { "hello" };
            let bytes = image.read_blob_verified(layer, 5).await.unwrap();
            assert_eq!(bytes, content);
            let uri = format!("/v2/demo/blobs/{}", layer.digest);
            let answer = get(&service, &uri).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..]),
                (200, content.as_bytes())
            );
            let answer = head(&service, &uri).await;
            assert_eq!(answer.header("content-length"), layer.size.to_string());
            let answer = ask(&service, "GET", &uri, &[("range", "bytes=1-2")]).await;
            let expected = if layer.size == 0 {
                (200, "")
            } else {
                (206, "el")
            };
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..]),
                (expected.0, expected.1.as_bytes())
            );
        }
        assert_eq!(source.calls(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn embedded_data_is_still_known_after_an_image_without_it_was_added() {
    let shelf = Shelf::default();
    let mut embedded = descriptor(&sha256("hello"), 5);
    let bare = embedded.clone();
    embedded["data"] = json!("aGVsbG8=");
    let with_data = shelf.image(&image_document(&[embedded])).await.unwrap();
    let without = shelf.image(&image_document(&[bare])).await.unwrap();
    let service = registry(&[
        ("demo", Some("a"), &with_data),
        ("demo", Some("b"), &without),
    ]);
    let uri = format!("/v2/demo/blobs/{}", sha256("hello"));
    assert_eq!(get(&service, &uri).await.body, "hello");
}

#[tokio::test]
async fn read_blob_verified_accepts_exactly_what_the_descriptor_says() {
    type Open = fn(GetBlob) -> Result<Blob<DynBody>, SourceError>;
    fn content(
        size: u64,
        range: std::ops::Range<u64>,
        body: DynBody,
    ) -> Result<Blob<DynBody>, SourceError> {
        let info = BlobInfo::seekable(size);
        Ok(Blob::Content(BlobContent { info, range, body }))
    }
    let rows: &[(&str, Open, bool)] = &[
        (
            "right",
            |_| content(5, 0..5, pieces([Ok(b"he"), Ok(b""), Ok(b"llo")])),
            true,
        ),
        ("short", |_| content(5, 0..5, pieces([Ok(b"hell")])), false),
        (
            "long",
            |_| content(5, 0..5, pieces([Ok(b"hello"), Ok(b"!")])),
            false,
        ),
        (
            "wrong bytes",
            |_| content(5, 0..5, pieces([Ok(b"jello")])),
            false,
        ),
        (
            "another size",
            |_| content(6, 0..6, pieces([Ok(b"hello!")])),
            false,
        ),
        ("a part", |_| content(5, 1..5, pieces([Ok(b"ello")])), false),
        (
            "a part of more",
            |_| content(6, 0..5, pieces([Ok(b"hello")])),
            false,
        ),
        (
            "an error",
            |_| content(5, 0..5, pieces([Ok(b"hello"), Err("broken")])),
            false,
        ),
        (
            "a redirect",
            |_| {
                Ok(Blob::Redirect {
                    to: "http://x/".parse().unwrap(),
                    size: 5,
                })
            },
            false,
        ),
        (
            "missing",
            |_| Err(SourceError::NotFound(MissingContent::Blob)),
            false,
        ),
    ];
    let document = image_document(&[descriptor(&sha256("hello"), 5)]).to_string();
    let manifest = Manifest::parse(document).unwrap();
    for &(what, open, is_right) in rows {
        let manifest = manifest.clone();
        let source = Scripted::new()
            .on_manifest(move |_| Ok(manifest.clone().into()))
            .on_blob(move |(_, options)| {
                assert!(options.range.is_none() && !options.redirects);
                open(options)
            });
        let image = load(source.clone(), "latest").await.unwrap();
        let read = image.read_blob_verified(&image.layers()[0], 5).await;
        assert_eq!(
            read.as_deref().ok(),
            is_right.then_some(&b"hello"[..]),
            "{what}: {read:?}"
        );

        // What is too large is not even opened, and what the manifest does not name is not there.
        source.calls();
        let error = image
            .read_blob_verified(&image.layers()[0], 4)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ImageError::BlobTooLarge { limit: 4, .. }),
            "{error:?}"
        );
        let other = Descriptor::new(MediaType::OCI_LAYER, sha256("other"), 5);
        let error = image.read_blob_verified(&other, 5).await.unwrap_err();
        assert!(
            matches!(error, ImageError::Source(SourceError::NotFound(_))),
            "{error:?}"
        );
        assert!(source.calls().is_empty());
    }
}

// ---- hostile indexes ------------------------------------------------------------------------

/// A chain of indexes, each of which lists the one below so often; gives the top.
fn chain(shelf: &Shelf, levels: usize, repeated: usize) -> Value {
    let mut document = image_document(&[]);
    for _ in 0..levels {
        let below = shelf.manifest(&document);
        document = index_document(&vec![below; repeated]);
    }
    document
}

#[tokio::test]
async fn an_index_may_be_nested_so_deep_and_no_deeper() {
    for levels in 0..=Image::MAX_DEPTH {
        let shelf = Shelf::default();
        let document = chain(&shelf, levels, 1);
        assert!(shelf.image(&document).await.is_ok(), "{levels} levels");
    }
    for levels in [Image::MAX_DEPTH + 1, 3 * Image::MAX_DEPTH, 3000] {
        let shelf = Shelf::default();
        let document = chain(&shelf, levels, 1);
        let error = shelf.image(&document).await.unwrap_err();
        assert!(
            matches!(error, ImageError::TooManyManifests),
            "{levels}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_index_cannot_grow_deeper_by_listing_the_levels_one_by_one() {
    // Every level is loaded near the top first, so that the next one finds it loaded already.
    let shelf = Shelf::default();
    let mut entries = Vec::new();
    let mut document = image_document(&[]);
    for _ in 0..1000 {
        let below = shelf.manifest(&document);
        entries.push(below.clone());
        document = index_document(&[below]);
    }
    let error = shelf.image(&index_document(&entries)).await.unwrap_err();
    assert!(matches!(error, ImageError::TooManyManifests), "{error:?}");
}

#[tokio::test]
async fn an_index_that_lists_its_children_again_and_again_is_added_at_once() {
    let shelf = Shelf::default();
    let document = chain(&shelf, Image::MAX_DEPTH, 50); // 50^8 ways down
    let image = shelf.image(&document).await.unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        let _ = sender.send(store);
    });
    let store = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    let answer = get(&OciRegistryService::new(store), "/v2/demo/manifests/latest").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_index_of_too_many_manifests_is_refused_before_the_source_was_asked_for_all() {
    let missing = |number: usize| json!({ "mediaType": MANIFEST, "digest": sha256(number.to_be_bytes()), "size": 7 });
    let shelf = Shelf::default();
    let entries: Vec<Value> = (0..Image::MAX_MANIFESTS + 50).map(missing).collect();
    shelf.tag(
        "latest",
        Manifest::parse(index_document(&entries).to_string()).unwrap(),
    );
    let source = shelf.source();
    let error = load(source.clone(), "latest").await.unwrap_err();
    assert!(matches!(error, ImageError::TooManyManifests), "{error:?}");
    assert!(source.calls().len() <= Image::MAX_MANIFESTS);

    // One that is missing is asked for once, however often it is listed.
    let entries = vec![missing(0); Image::MAX_MANIFESTS + 50];
    shelf.tag(
        "latest",
        Manifest::parse(index_document(&entries).to_string()).unwrap(),
    );
    let image = load(source.clone(), "latest").await.unwrap();
    assert_eq!(image.entries().len(), Image::MAX_MANIFESTS + 50);
    assert_eq!(source.calls().len(), 2);
}

#[tokio::test]
async fn manifests_of_too_many_bytes_are_refused() {
    let padding = " ".repeat(usize::try_from(Image::MAX_MANIFEST_BYTES).unwrap());
    let source = |padding: &str| {
        let bytes = format!("{}{padding}", image_document(&[]));
        let digest = sha256("not checked for a tag");
        let manifest = Manifest::trusted(digest, MediaType::OCI_MANIFEST, bytes);
        Scripted::new().on_manifest(move |_| Ok(manifest.clone().into()))
    };
    let error = load(source(&padding), "latest").await.unwrap_err();
    assert!(matches!(error, ImageError::TooManyManifests), "{error:?}");
    assert!(load(source("  "), "latest").await.is_ok());
}

// ---- the store ------------------------------------------------------------------------------

#[tokio::test]
async fn adding_an_image_asks_its_source_for_nothing() {
    let shelf = Shelf::default();
    let layer = shelf.blob("content");
    let child = shelf.manifest(&image_document(&[layer]));
    shelf.tag(
        "latest",
        Manifest::parse(index_document(&[child]).to_string()).unwrap(),
    );
    let source = shelf.source();
    let image = load(source.clone(), "latest").await.unwrap();
    shelf.manifests.lock().unwrap().clear();
    source.calls();
    let service = registry(&[("demo", Some("a"), &image), ("other", None, &image)]);
    assert!(source.calls().is_empty());
    // Manifests are held by the image, blobs are opened where they are.
    for uri in [
        "/v2/demo/manifests/a".to_owned(),
        format!("/v2/demo/manifests/{}", image.children()[0].digest()),
        format!("/v2/other/manifests/{}", image.digest()),
    ] {
        assert_eq!(get(&service, &uri).await.status, 200, "{uri}");
        assert_eq!(head(&service, &uri).await.status, 200, "{uri}");
    }
    assert!(source.calls().is_empty());
    let uri = format!("/v2/demo/blobs/{}", sha256("content"));
    assert_eq!(get(&service, &uri).await.body, "content");
    assert_eq!(source.calls(), ["blob demo None redirects true"]);
    assert_eq!(head(&service, &uri).await.status, 200);
    assert_eq!(source.calls(), ["stat_blob demo"]);
    shelf.blobs.lock().unwrap().clear();
    get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn adding_again_moves_the_tag_and_keeps_what_was_there_by_digest() {
    let old = ImageBuilder::new().file("a", "old").build().unwrap();
    let new = ImageBuilder::new().file("a", "new").build().unwrap();
    let store = MemoryStore::new();
    let service = OciRegistryService::new(store.clone());
    let latest = || get(&service, "/v2/demo/manifests/latest");
    let (repository, latest_tag) = (name("demo"), tag("latest"));
    for image in [&old, &new, &old, &old] {
        store.add_image(&repository, Some(&latest_tag), image);
        assert_eq!(latest().await.body, image.manifest().bytes());
    }
    store.add_image(&repository, Some(&tag("other")), &new);
    store.add_image(&repository, None, &new);
    assert_eq!(latest().await.body, old.manifest().bytes());
    for image in [&old, &new] {
        let uri = format!("/v2/demo/manifests/{}", image.digest());
        assert_eq!(get(&service, &uri).await.body, image.manifest().bytes());
        let uri = format!("/v2/demo/blobs/{}", image.layers()[0].digest);
        assert_eq!(get(&service, &uri).await.status, 200);
    }
    let answer = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(
        answer.json(),
        json!({ "name": "demo", "tags": ["latest", "other"] })
    );
}

#[tokio::test]
async fn an_image_without_a_tag_is_found_by_digest_only() {
    let image = ImageBuilder::new().file("a", "b").build().unwrap();
    let service = registry(&[("demo", None, &image)]);
    let uri = format!("/v2/demo/manifests/{}", image.digest());
    assert_eq!(get(&service, &uri).await.status, 200);
    get(&service, "/v2/demo/manifests/latest")
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    // protocol 45: the repository is there, and its list is empty.
    let answer = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(answer.json(), json!({ "name": "demo", "tags": [] }));
    let answer = get(&service, "/v2/_catalog").await;
    assert_eq!(answer.json(), json!({ "repositories": ["demo"] }));
    get(&service, "/v2/dem/tags/list")
        .await
        .assert_error(404, "NAME_UNKNOWN");
}

// protocol 17
#[tokio::test]
async fn knowing_a_digest_gives_nothing_of_another_repository() {
    let one = ImageBuilder::new().file("a", "one").build().unwrap();
    let two = ImageBuilder::new().file("a", "two").build().unwrap();
    let referrer = ImageBuilder::artifact("a/b".parse().unwrap())
        .subject(&one)
        .build()
        .unwrap();
    let service = registry(&[
        ("one", Some("a"), &one),
        ("one", None, &referrer),
        ("two", Some("a"), &two),
    ]);
    for descriptor in one.descriptors().chain(referrer.layers()) {
        let uri = format!("/v2/one/blobs/{}", descriptor.digest);
        assert_eq!(get(&service, &uri).await.status, 200);
        if !two
            .descriptors()
            .any(|other| other.digest == descriptor.digest)
        {
            let uri = format!("/v2/two/blobs/{}", descriptor.digest);
            get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
            assert_eq!(head(&service, &uri).await.status, 404);
            let headers = [("if-none-match", "*")];
            let answer = ask(&service, "GET", &uri, &headers).await;
            answer.assert_error(404, "BLOB_UNKNOWN");
        }
    }
    let uri = format!("/v2/two/manifests/{}", one.digest());
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    let listed = |repository: &str| format!("/v2/{repository}/referrers/{}", one.digest());
    let count = |answer: Answer| answer.json()["manifests"].as_array().unwrap().len();
    assert_eq!(count(get(&service, &listed("one")).await), 1);
    assert_eq!(count(get(&service, &listed("two")).await), 0);
}

// protocol 70
#[tokio::test]
async fn a_manifest_is_no_blob_and_a_blob_is_no_manifest() {
    let image = ImageBuilder::new().file("a", "b").build().unwrap();
    let index = IndexBuilder::new()
        .image(&image)
        .blob(MediaType::OCI_LAYER, "a layer in a cache")
        .build()
        .unwrap();
    let service = registry(&[("demo", Some("latest"), &index)]);
    for digest in [*index.digest(), *image.digest()] {
        let uri = format!("/v2/demo/blobs/{digest}");
        get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
        assert_eq!(head(&service, &uri).await.status, 404);
    }
    // protocol 76: an entry of an index may be a plain blob.
    let layer = sha256("a layer in a cache");
    for digest in image
        .descriptors()
        .map(|descriptor| descriptor.digest)
        .chain([layer])
    {
        let uri = format!("/v2/demo/manifests/{digest}");
        get(&service, &uri)
            .await
            .assert_error(404, "MANIFEST_UNKNOWN");
        let uri = format!("/v2/demo/blobs/{digest}");
        assert_eq!(get(&service, &uri).await.status, 200);
    }
    assert_eq!((index.entries().len(), index.children().len()), (2, 1));
}

// protocol 51 and 99
#[tokio::test]
async fn referrers_are_listed_once_they_are_added_with_type_and_annotations() {
    let subject = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .build()
        .unwrap();
    let artifact = ImageBuilder::artifact("application/vnd.a".parse().unwrap())
        .subject(&subject)
        .annotation("key", "value")
        .build()
        .unwrap();
    let by_config = ImageBuilder::new().subject(&subject).build().unwrap();
    let index = IndexBuilder::new().subject(&subject).build().unwrap();
    let elsewhere = ImageBuilder::artifact("a/b".parse().unwrap())
        .subject(&artifact)
        .build()
        .unwrap();
    let store = MemoryStore::new();
    let service = OciRegistryService::new(store.clone());
    let repository = name("demo");
    let uri = format!("/v2/demo/referrers/{}", subject.digest());
    store.add_image(&repository, None, &elsewhere);
    let mut expected = Vec::new();
    for (image, artifact_type) in [
        (&artifact, Some("application/vnd.a")),
        (&by_config, Some("application/vnd.oci.image.config.v1+json")),
        (&index, None),
    ] {
        // The subject need not be there; adding twice lists once.
        store.add_image(&repository, Some(&tag("a")), image);
        store.add_image(&repository, None, image);
        let mut entry = json!({
            "mediaType": image.media_type(),
            "digest": image.digest(),
            "size": image.manifest().size(),
        });
        if let Some(artifact_type) = artifact_type {
            entry["artifactType"] = artifact_type.into();
        }
        if !image.annotations().is_empty() {
            entry["annotations"] = json!(image.annotations());
        }
        expected.push(entry);
        expected.sort_by_key(|entry| entry["digest"].as_str().unwrap().to_owned());
        assert_eq!(
            get(&service, &uri).await.json()["manifests"],
            json!(expected)
        );
    }
    let filtered = get(&service, &format!("{uri}?artifactType=application/vnd.a")).await;
    assert_eq!(
        filtered.json()["manifests"][0]["digest"],
        artifact.digest().to_string()
    );
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_image_of_sha512_is_answered_in_sha512() {
    let image = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .file("a", "b")
        .build()
        .unwrap();
    let service = registry(&[("demo", Some("latest"), &image)]);
    // protocol 16
    for reference in ["latest".to_owned(), image.digest().to_string()] {
        let answer = get(&service, &format!("/v2/demo/manifests/{reference}")).await;
        assert_eq!(
            answer.header("docker-content-digest"),
            image.digest().to_string()
        );
        assert_eq!(answer.header("etag"), format!("\"{}\"", image.digest()));
    }
    for descriptor in image.descriptors() {
        assert_eq!(descriptor.digest.algorithm(), Algorithm::Sha512);
        let answer = get(&service, &format!("/v2/demo/blobs/{}", descriptor.digest)).await;
        assert_eq!(
            answer.header("docker-content-digest"),
            descriptor.digest.to_string()
        );
        assert!(descriptor.digest.verifies(&answer.body));
    }
    // The same bytes under another algorithm are not what was added.
    let uri = format!("/v2/demo/manifests/{}", sha256(image.manifest().bytes()));
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn blobs_of_a_source_that_cannot_seek_are_served_whole() {
    let bytes = noise(1000);
    let document = image_document(&[descriptor(&sha256(&bytes), 1000)]).to_string();
    let manifest = Manifest::parse(document).unwrap();
    let content = bytes.clone();
    let source = Scripted::new()
        .on_manifest(move |_| Ok(manifest.clone().into()))
        .on_stat_blob(|_| Ok(BlobInfo::unseekable(1000)))
        .on_blob(move |_| Ok(unseekable(&content)));
    let image = load(source, "latest").await.unwrap();
    let service = registry(&[("demo", Some("latest"), &image)]);
    let uri = format!("/v2/demo/blobs/{}", sha256(&bytes));
    for range in ["bytes=0-9", "bytes=0-9,20-29", "bytes=-1", "bytes=2000-"] {
        let answer = ask(&service, "GET", &uri, &[("range", range)]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body),
            (200, &bytes),
            "{range}"
        );
        assert_eq!(answer.header("accept-ranges"), "");
    }
}

// ---- time -----------------------------------------------------------------------------------

/// A source whose blobs never come: one that is never opened, one whose body never yields.
struct Slow(Manifest);

impl BlobSource for Slow {
    type Body = DynBody;

    async fn manifest(
        &self,
        _: &RepositoryName,
        _: &Reference,
        _: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        Ok(self.0.clone().into())
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        digest: &Digest,
        _: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        if *digest == sha256("never opened") {
            return pending().await;
        }
        let never =
            futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        let body = DynBody::new(http_body_util::StreamBody::new(never));
        let info = BlobInfo::seekable(12);
        Ok(Blob::Content(BlobContent {
            info,
            range: 0..12,
            body,
        }))
    }
}

#[tokio::test]
async fn nobody_waits_for_a_blob_that_is_slow_to_open_or_to_read() {
    let layers = ["never opened", "never read.."].map(|content| descriptor(&sha256(content), 12));
    let document = image_document(&layers).to_string();
    let slow = load(Slow(Manifest::parse(document).unwrap()), "latest")
        .await
        .unwrap();
    let quick = ImageBuilder::new().file("a", "b").build().unwrap();
    let store = MemoryStore::new();
    let (repository, a_tag): (RepositoryName, Tag) = (name("demo"), tag("slow"));
    store.add_image(&repository, Some(&a_tag), &slow);
    let service = OciRegistryService::new(store.clone());

    let uri = format!("/v2/demo/blobs/{}", slow.layers()[0].digest);
    let opening = get(&service, &uri);
    let mut opening = Box::pin(opening);
    assert!(opening.as_mut().now_or_never().is_none());
    let reading = format!("/v2/demo/blobs/{}", slow.layers()[1].digest);
    let request = http::Request::get(reading)
        .body(axum::body::Body::empty())
        .unwrap();
    let reading = tower::ServiceExt::oneshot(service.clone(), request)
        .await
        .unwrap();
    let mut reading = reading.into_body();
    assert!(reading.frame().now_or_never().is_none());

    // A writer and readers go on while both are held up.
    let (sender, receiver) = mpsc::channel();
    let added = quick.clone();
    std::thread::spawn(move || {
        store.add_image(&repository, Some(&tag("quick")), &added);
        let _ = sender.send(());
    });
    receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    let answer = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(answer.json()["tags"], json!(["quick", "slow"]));
    let uri = format!("/v2/demo/blobs/{}", quick.layers()[0].digest);
    assert_eq!(get(&service, &uri).await.status, 200);
    assert!(opening.as_mut().now_or_never().is_none());
    assert!(reading.frame().now_or_never().is_none());
}
