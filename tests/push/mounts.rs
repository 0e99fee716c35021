//! Mounts: a blob that another repository has already.

use tower_oci::{OciRequest, Visibility};

use super::*;

fn mount_uri(repository: &str, digest: impl Display, from: &str) -> String {
    let uri = format!("/v2/{repository}/blobs/uploads/?mount={digest}");
    if from.is_empty() {
        uri
    } else {
        format!("{uri}&from={from}")
    }
}

async fn mount(registry: &Registry, repository: &str, digest: Digest, from: &str) -> Answer {
    let uri = mount_uri(repository, digest, from);
    put(registry, "POST", &uri, &[], "").await
}

/// Mounts for a caller who may know of public repositories only.
async fn mount_as_guest(
    registry: &Registry,
    repository: &str,
    digest: Digest,
    from: &str,
) -> Answer {
    let is_public = Visibility::new(|name| name.as_str().starts_with("public/"));
    let request = Request::post(mount_uri(repository, digest, from)).extension(is_public);
    send(registry, request.body(Body::empty()).unwrap()).await
}

/// Asserts that nothing was mounted, and that the session which was opened instead takes `content`.
// protocol 32, 87 and 93, section 3 item 9; pitfalls: a mount that cannot happen answers 404
async fn assert_upload_instead(
    registry: &Registry,
    answer: &Answer,
    (repository, digest): (&str, Digest),
    content: &'static str,
) {
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("docker-content-digest"), "");
    let location = answer.header("location");
    assert_open(registry, location, "0-0").await;
    assert_eq!(answer.header("range"), "0-0");
    assert_no_blob(registry, repository, digest).await;
    let answer = finish(registry, location, digest, "", content).await;
    assert_stored(registry, &answer, (repository, digest), content.as_bytes()).await;
    let uri = format!("/v2/{repository}/blobs/{digest}");
    assert_eq!(ask(registry, "DELETE", &uri, &[]).await.status, 202);
}

// protocol 32
#[tokio::test]
async fn a_blob_of_another_repository_is_mounted_without_being_sent() {
    let registry = registry();
    let content = Bytes::from("hello");
    for digest in [sha256(&content), sha512(&content)] {
        Way::Put
            .upload(&registry, "library/a", digest, &content)
            .await;
        for (target, from) in [
            ("new", "library/a"),
            ("library/b", "library%2Fa"),
            ("library/a/below", "library/a&origin=somewhere"),
        ] {
            let answer = mount(&registry, target, digest, from).await;
            assert_stored(&registry, &answer, (target, digest), &content).await;
        }
        let encoded = digest.to_string().replace(':', "%3a");
        let uri = format!("/v2/encoded/blobs/uploads/?from=library/a&mount={encoded}");
        let answer = put(&registry, "POST", &uri, &[], "").await;
        assert_stored(&registry, &answer, ("encoded", digest), &content).await;
    }
}

// protocol 32
#[tokio::test]
async fn a_mount_into_its_own_repository_and_a_second_mount_change_nothing() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let digest = push_blob(&registry, "a", "hello").await;
    let before = store.used_bytes();
    let answer = mount(&registry, "a", digest, "a").await;
    assert_stored(&registry, &answer, ("a", digest), b"hello").await;
    assert_eq!(store.used_bytes(), before);
    mount(&registry, "b", digest, "a").await;
    let before = store.used_bytes();
    let answer = mount(&registry, "b", digest, "a").await;
    assert_stored(&registry, &answer, ("b", digest), b"hello").await;
    assert_eq!(store.used_bytes(), before);
}

// protocol 34
#[tokio::test]
async fn a_blob_that_is_mounted_is_there_once_and_belongs_to_each_repository_by_itself() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let content = noise(100_000);
    let digest = push_blob(&registry, "a", content.clone()).await;
    let answer = mount(&registry, "b", digest, "a").await;
    assert_stored(&registry, &answer, ("b", digest), &content).await;
    // Nor does it become two when it is sent all the same.
    push_blob(&registry, "b", content.clone()).await;
    assert!(store.used_bytes() < 110_000, "{}", store.used_bytes());
    let uri = format!("/v2/a/blobs/{digest}");
    assert_eq!(ask(&registry, "DELETE", &uri, &[]).await.status, 202);
    assert_no_blob(&registry, "a", digest).await;
    let got = get(&registry, &format!("/v2/b/blobs/{digest}")).await;
    assert_eq!(got.body, content);
    // From where it was deleted it cannot be mounted any more.
    assert_eq!(mount(&registry, "c", digest, "a").await.status, 202);
    assert_eq!(mount(&registry, "c", digest, "b").await.status, 201);
}

// protocol 32, 87, section 3 item 9; pitfalls: unknown source, without from
#[tokio::test]
async fn a_mount_that_cannot_be_opens_an_upload_that_works() {
    let registry = registry();
    for digest in [sha256("hello"), sha512("hello")] {
        push_blob(&registry, "source", "another").await;
        let nowhere = registry.clone().allow_anonymous_mounts(true);
        for (registry, from) in [
            (&registry, "source"),
            (&registry, "unknown"),
            (&registry, "unknown/deep/name"),
            // The target itself, which does not have it.
            (&registry, "target"),
            (&nowhere, ""),
        ] {
            let answer = mount(registry, "target", digest, from).await;
            assert_upload_instead(registry, &answer, ("target", digest), "hello").await;
        }
    }
}

// protocol 17 and 70: a manifest is no blob
#[tokio::test]
async fn a_manifest_cannot_be_mounted() {
    let registry = registry().allow_anonymous_mounts(true);
    let document = empty_index("a");
    push_document(&registry, ("source", "a"), INDEX, document.clone()).await;
    for from in ["source", ""] {
        let answer = mount(&registry, "target", sha256(&document), from).await;
        assert_eq!(answer.status, 202);
        assert_no_blob(&registry, "target", sha256(&document)).await;
    }
}

// protocol 32 and 93; pitfalls: a mount reads a repository the caller may not pull from
#[tokio::test]
async fn a_mount_from_a_repository_that_the_caller_may_not_know_of_opens_an_upload() {
    let registry = registry();
    let digest = push_blob(&registry, "secret/a", "hello").await;
    push_blob(&registry, "public/a", "hello").await;
    let answer = mount_as_guest(&registry, "target", digest, "secret/a").await;
    assert_upload_instead(&registry, &answer, ("target", digest), "hello").await;
    // What is known and what is unknown look the same.
    let unknown = mount_as_guest(&registry, "target", digest, "secret/b").await;
    let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&unknown), names(&answer));
    let answer = mount_as_guest(&registry, "target", digest, "public/a").await;
    assert_stored(&registry, &answer, ("target", digest), b"hello").await;
    // Nor does it go on to look elsewhere.
    let registry = registry.allow_anonymous_mounts(true);
    let answer = mount_as_guest(&registry, "other", digest, "secret/a").await;
    assert_eq!(answer.status, 202);
}

// protocol 33
#[tokio::test]
async fn a_mount_without_a_source_is_an_option_that_is_off_by_default() {
    let registry = registry();
    let digest = push_blob(&registry, "secret/a", "hello").await;
    for registry in [
        registry.clone(),
        registry.clone().allow_anonymous_mounts(false),
    ] {
        let answer = mount(&registry, "target", digest, "").await;
        assert_upload_instead(&registry, &answer, ("target", digest), "hello").await;
        // That one has it already makes no difference.
        let answer = mount(&registry, "secret/a", digest, "").await;
        assert_eq!(answer.status, 202);
    }
    let registry = registry.allow_anonymous_mounts(true);
    let answer = mount(&registry, "target", digest, "").await;
    assert_stored(&registry, &answer, ("target", digest), b"hello").await;
    let uri = format!("/v2/empty-from/blobs/uploads/?mount={digest}&from=");
    let answer = put(&registry, "POST", &uri, &[], "").await;
    assert_stored(&registry, &answer, ("empty-from", digest), b"hello").await;
}

// protocol 33
#[tokio::test]
async fn a_mount_without_a_source_finds_only_what_the_caller_may_know_of() {
    let registry = registry().allow_anonymous_mounts(true);
    let digest = push_blob(&registry, "secret/a", "hello").await;
    let answer = mount_as_guest(&registry, "public/target", digest, "").await;
    assert_upload_instead(&registry, &answer, ("public/target", digest), "hello").await;
    // It does not stop at the first that has it.
    push_blob(&registry, "a/first", "hello").await;
    push_blob(&registry, "public/a", "hello").await;
    let answer = mount_as_guest(&registry, "public/target", digest, "").await;
    assert_stored(&registry, &answer, ("public/target", digest), b"hello").await;
}

#[tokio::test]
async fn a_mount_of_a_malformed_digest_or_from_a_malformed_name_is_400() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    for digest in ["sha256:abc", "latest", "sha384:00", "%ff"] {
        for from in ["source", ""] {
            let uri = mount_uri("target", digest, from);
            let answer = put(&registry, "POST", &uri, &[], "").await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
    }
    for from in ["Source", "a//b", "../a", "%00", "a%252fb", "/a"] {
        let answer = mount(&registry, "target", sha256("hello"), from).await;
        answer.assert_error(400, "NAME_INVALID");
    }
    let uri = mount_uri("Target", sha256("hello"), "source");
    let answer = put(&registry, "POST", &uri, &[], "").await;
    answer.assert_error(400, "NAME_INVALID");
    assert_eq!(store.used_bytes(), 0);
}

// An image that the program added itself: its bytes are opened where it has them.
#[tokio::test]
async fn a_blob_of_an_image_that_was_added_can_be_mounted() {
    let store = MemoryStore::new();
    let layer = MediaType::OCI_LAYER;
    let image = ImageBuilder::new().layer(layer, "hello").build().unwrap();
    store.add_image(&name("built"), Some(&tag("latest")), &image);
    let registry = OciRegistryService::writable(store);
    let answer = mount(&registry, "target", sha256("hello"), "built").await;
    let mounted = ("target", sha256("hello"));
    assert_stored(&registry, &answer, mounted, b"hello").await;
}

// protocol 87 and 93: what a layer has to ask for
#[tokio::test]
async fn a_mount_needs_push_and_its_source_is_optional() {
    let accesses = |method: &str, path: &str, query: &str| {
        let method = method.parse().unwrap();
        let request = OciRequest::parse(&method, path, query).unwrap();
        let text = |access: Option<_>| access.map(|access: tower_oci::Access| access.to_string());
        (
            text(request.required_access()),
            text(request.optional_access()),
        )
    };
    let push = Some("repository:target:pull,push".to_owned());
    let mount = format!("mount={}&from=source", sha256(""));
    let source = Some("repository:source:pull".to_owned());
    let uploads = "/target/blobs/uploads/";
    assert_eq!(accesses("POST", uploads, &mount), (push.clone(), source));
    let anonymous = format!("mount={}", sha256(""));
    assert_eq!(accesses("POST", uploads, &anonymous), (push.clone(), None));
    for method in ["GET", "PATCH", "DELETE"] {
        let upload = "/target/blobs/uploads/1";
        assert_eq!(
            accesses(method, upload, ""),
            (push.clone(), None),
            "{method}"
        );
    }
}
