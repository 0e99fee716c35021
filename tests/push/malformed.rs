//! Manifests that are refused for what they say of themselves.

use super::*;

/// Asserts that a document is refused, by tag and by digest, and that nothing of it is there.
async fn assert_refused(registry: &Registry, content_type: &str, document: &str) {
    let digest = sha256(document);
    for reference in ["refused".to_owned(), digest.to_string()] {
        let target = ("demo", &*reference);
        let answer = push_document(registry, target, content_type, document.to_owned()).await;
        answer.assert_error(400, "MANIFEST_INVALID");
        assert_no_manifest(registry, "demo", &reference).await;
    }
    assert_no_manifest(registry, "demo", digest).await;
}

// protocol 41; section 4: manifest without Content-Type
#[tokio::test]
async fn a_manifest_that_nothing_tells_the_type_of_is_400() {
    let registry = registry();
    for document in [
        r#"{"schemaVersion":2,"manifests":[]}"#,
        r#"{"schemaVersion":2,"mediaType":"","layers":[]}"#,
        r#"{"schemaVersion":2,"mediaType":5,"layers":[]}"#,
        "{}",
    ] {
        assert_refused(&registry, "", document).await;
    }
}

// protocol 41; section 4: Content-Type ≠ mediaType
#[tokio::test]
async fn a_content_type_that_is_not_that_of_the_document_is_400() {
    let registry = registry();
    for (content_type, media_type) in [
        (INDEX, MANIFEST),
        (MANIFEST, INDEX),
        (DOCKER_LIST, INDEX),
        ("application/json", INDEX),
        ("application/vnd.example.a", "application/vnd.example.b"),
        (INDEX, "application/vnd.example.b"),
    ] {
        let document = json!({ "schemaVersion": 2, "mediaType": media_type });
        assert_refused(&registry, content_type, &document.to_string()).await;
    }
    for content_type in [
        "no type",
        "/",
        "a/",
        "json",
        "a/b/c",
        "application/vnd.oci ; x",
    ] {
        let document = empty_index("types");
        assert_refused(&registry, content_type, &document).await;
    }
}

// protocol 73
#[tokio::test]
async fn schema_1_of_docker_is_400() {
    let registry = registry();
    for media_type in ["json", "prettyjws"] {
        let media_type = format!("application/vnd.docker.distribution.manifest.v1+{media_type}");
        let document = r#"{"schemaVersion":1,"name":"demo","tag":"latest","fsLayers":[]}"#;
        assert_refused(&registry, &media_type, document).await;
        let document = json!({ "schemaVersion": 1, "mediaType": media_type }).to_string();
        assert_refused(&registry, "", &document).await;
    }
}

// protocol 41
#[tokio::test]
async fn another_schema_version_than_2_is_400() {
    let registry = registry();
    for content_type in [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST] {
        for version in ["1", "3", "0", "-2", "2.5", "\"2\"", "[2]"] {
            let document = format!(r#"{{"schemaVersion":{version},"mediaType":"{content_type}"}}"#);
            assert_refused(&registry, content_type, &document).await;
        }
    }
}

// protocol 41
#[tokio::test]
async fn what_is_no_json_object_is_400_whatever_its_type() {
    let registry = registry();
    for content_type in [MANIFEST, INDEX, "application/vnd.example.thing", ""] {
        for document in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "[2]",
            "null",
            "5",
            "\"text\"",
            "manifest",
            "\u{feff}{}",
            r#"{"schemaVersion":2,"#,
            r#"{"schemaVersion":2}}"#,
            r#"{"schemaVersion":2} {}"#,
            r#"{"schemaVersion":2,"schemaVersion":2}"#,
            r#"{"mediaType":"a/b","mediaType":"a/b"}"#,
            r#"{schemaVersion:2}"#,
            r#"{"annotations":{"a":"b"}"#,
        ] {
            assert_refused(&registry, content_type, document).await;
        }
    }
}

// protocol 41: with these nobody could find what the manifest is made of
#[tokio::test]
async fn a_descriptor_that_makes_no_sense_is_400() {
    let registry = registry();
    push_blob(&registry, "demo", "{}").await;
    let (media_type, digest) = ("application/json", sha256("{}").to_string());
    for broken in [
        json!({}),
        json!("text"),
        json!([]),
        json!({ "mediaType": media_type, "size": 2 }),
        json!({ "mediaType": media_type, "digest": digest }),
        json!({ "mediaType": media_type, "digest": digest, "size": -1 }),
        json!({ "mediaType": media_type, "digest": digest, "size": "2" }),
        json!({ "mediaType": media_type, "digest": "sha256:abc", "size": 2 }),
        json!({ "mediaType": media_type, "digest": "sha384:00", "size": 2 }),
    ] {
        let sound = descriptor(media_type, &digest, 2);
        for (content_type, document) in [
            (MANIFEST, json!({ "config": broken, "layers": [] })),
            (
                MANIFEST,
                json!({ "config": sound, "layers": [sound, broken] }),
            ),
            (INDEX, json!({ "manifests": [broken, sound] })),
            (INDEX, json!({ "manifests": [], "subject": broken })),
        ] {
            assert_refused(&registry, content_type, &document.to_string()).await;
        }
    }
}

// protocol 3 and 35
#[tokio::test]
async fn a_manifest_for_a_malformed_tag_or_name_is_400() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    for tag in [
        "-a",
        ".a",
        "a%20b",
        "%ff",
        "%c3%a4",
        "a@b",
        &"a".repeat(129),
    ] {
        let answer = push_document(&registry, ("demo", tag), INDEX, empty_index("a")).await;
        answer.assert_error(400, "MANIFEST_INVALID");
    }
    for name in ["Demo", "a//b", "a%2fb", "-"] {
        let answer = push_document(&registry, (name, "latest"), INDEX, empty_index("a")).await;
        answer.assert_error(400, "NAME_INVALID");
    }
    assert_eq!(store.used_bytes(), 0);
    let longest = "a".repeat(128);
    let answer = push_document(&registry, ("demo", &longest), INDEX, empty_index("a")).await;
    assert_eq!(answer.status, 201);
}
