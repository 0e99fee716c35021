//! Any bytes as a manifest.
//!
//! Nothing panics; what the registry accepts is what `NewManifest::of` accepts, and it is served
//! back byte for byte, with its entry among the referrers.

#![no_main]

use http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tower_oci::{
    Algorithm, Descriptor, Digest, DynSource, Image, Manifest, MediaType, MemoryStore, NewManifest,
    OciRegistryService, Reference,
};
use tower_oci_fuzz::{Answer, Frames, Registry, ask, now, send};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_descriptor(text);
    }
    let parsed = Manifest::parse(bytes.to_vec());
    if let Ok(manifest) = &parsed {
        assert_eq!(manifest.bytes(), bytes);
        assert_eq!(manifest.digest(), &Algorithm::Sha256.digest(bytes));
    }
    let other: MediaType = "application/vnd.example.thing+json".parse().unwrap();
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+json";
    let own = parsed.map(|manifest| manifest.media_type().clone());
    let types = [
        own.ok(),
        Some(MediaType::OCI_MANIFEST),
        Some(MediaType::OCI_INDEX),
        Some(MediaType::DOCKER_MANIFEST),
        Some(MediaType::OCI_ARTIFACT_MANIFEST),
        Some(schema_1.parse().unwrap()),
        Some(other),
    ];
    for media_type in types.into_iter().flatten() {
        check_push(&Manifest::new(media_type, bytes.to_vec()));
    }
    check_push_without_type(bytes);
});

fn check_descriptor(text: &str) {
    let Ok(descriptor) = text.parse::<Descriptor>() else {
        return;
    };
    assert!(descriptor.size <= Descriptor::MAX_SIZE);
    if let Ok(Some(content)) = descriptor.embedded() {
        assert!(descriptor.digest.verifies(content));
    }
    // What is written is read as the same.
    let written = serde_json::to_string(&descriptor).unwrap();
    assert_eq!(written.parse::<Descriptor>().unwrap(), descriptor);
}

fn check_push(manifest: &Manifest) {
    // What refers to nothing may still be no manifest, but not the other way round.
    let referrer = manifest.referrer();
    let expected = NewManifest::of(manifest.clone());
    if let Ok(new) = &expected {
        check_new(new, manifest);
        assert_eq!(new.referrer, referrer.unwrap());
    }
    let registry = OciRegistryService::writable(MemoryStore::new());
    let sparse = registry.clone().allow_sparse_manifests(true);

    // The repository has nothing, so what the manifest is made of is missing.
    let answer = put(&registry, Some(manifest.media_type()), manifest.bytes());
    match &expected {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_refused(&answer, "MANIFEST_INVALID");
        }
        Ok(new) if new.references.is_empty() => assert_eq!(answer.status, 201, "{answer:?}"),
        Ok(new) => {
            assert_refused(&answer, "MANIFEST_BLOB_UNKNOWN");
            assert_eq!(answer.errors().len(), new.references.len().min(100));
        }
    }
    let answer = put(&sparse, Some(manifest.media_type()), manifest.bytes());
    match &expected {
        Err(_) => assert_refused(&answer, "MANIFEST_INVALID"),
        Ok(new) => {
            assert_eq!(answer.status, 201, "{answer:?}");
            check_stored(&sparse, manifest, new, &answer);
        }
    }
}

fn check_new(new: &NewManifest, manifest: &Manifest) {
    assert_eq!(&new.manifest, manifest);
    serde_json::from_slice::<&RawValue>(manifest.bytes()).unwrap();
    // Each digest is named once, so that it is told once if it is missing.
    let digests: Vec<&Digest> = new.references.iter().map(|named| named.digest()).collect();
    for (position, digest) in digests.iter().enumerate() {
        assert!(!digests[..position].contains(digest));
    }
}

fn check_stored(registry: &Registry, manifest: &Manifest, new: &NewManifest, stored: &Answer) {
    let digest = manifest.digest().to_string();
    assert_eq!(stored.header("docker-content-digest"), digest);
    for uri in [stored.header("location"), "/v2/demo/manifests/a"] {
        let answer = ask(registry, "GET", uri);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            manifest.media_type().as_str()
        );
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.body, manifest.bytes());
    }
    let subject = new.referrer.as_ref().map(|(subject, _)| *subject);
    let told = subject.map(|subject| subject.to_string());
    assert_eq!(stored.header("oci-subject"), told.unwrap_or_default());
    if let Some((subject, entry)) = &new.referrer {
        check_referrer(registry, subject, entry);
    }
}

fn check_referrer(registry: &Registry, subject: &Digest, entry: &Descriptor) {
    let answer = ask(registry, "GET", &format!("/v2/demo/referrers/{subject}"));
    let json = answer.json();
    let entries = json["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{answer:?}");
    assert_eq!(entries[0], serde_json::to_value(entry).unwrap());
}

/// Without a type that it was sent with, a manifest has to say itself what it is.
fn check_push_without_type(bytes: &[u8]) {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone()).allow_sparse_manifests(true);
    let answer = put(&registry, None, bytes);
    if answer.is_refusal() {
        assert_refused(&answer, "MANIFEST_INVALID");
        assert_eq!(store.used_bytes(), 0);
        return;
    }
    let own = Manifest::parse(bytes.to_vec()).unwrap();
    let answer = ask(&registry, "GET", "/v2/demo/manifests/a");
    assert_eq!(answer.header("content-type"), own.media_type().as_str());
    assert_eq!(answer.body, bytes);
    // A program that takes it for an image finds it whole, or hears why it is none.
    let (name, tag) = ("demo".parse().unwrap(), "a".parse().unwrap());
    let (source, reference) = (DynSource::new(store), Reference::Tag(tag));
    if let Ok(image) = now(Image::load(&source, &name, &reference)) {
        assert_eq!(image.manifest().bytes(), bytes);
    }
}

fn put(registry: &Registry, media_type: Option<&MediaType>, bytes: &[u8]) -> Answer {
    let mut request = Request::put("/v2/demo/manifests/a");
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type.as_str());
    }
    // In two pieces, because nothing may depend on how it is cut.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    send(registry, request.body(Frames::of([first, second])).unwrap())
}

fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!(answer.status, 400, "{answer:?}");
    for (told, _) in answer.errors() {
        assert_eq!(told, code, "{answer:?}");
    }
}
