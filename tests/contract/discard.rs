//! [`DiscardStore`]: everything that a store does, but for the bytes of blobs.

use axum::body::Body;
use futures_util::stream;
use http::Request;
use tower_oci::{
    Algorithm, ArtifactType, BoxError, Digest, OciRegistryService,
    testing::{DiscardStore, ImageBuilder},
};

use super::common::{ask, get, head, noise, push_blob, push_image, put, put_manifest, send, start};

fn registry() -> OciRegistryService<DiscardStore> {
    OciRegistryService::writable(DiscardStore::new())
}

fn blob_uri(repository: &str, digest: &Digest) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// Asserts that a blob is known by its size, and that its bytes are not there.
async fn assert_discarded(
    registry: &OciRegistryService<DiscardStore>,
    repository: &str,
    digest: &Digest,
    size: usize,
) {
    let uri = blob_uri(repository, digest);
    let answer = head(registry, &uri).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-length"), size.to_string());
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    get(registry, &uri).await.assert_error(404, "UNSUPPORTED");
    let part = ask(registry, "GET", &uri, &[("range", "bytes=0-0")]).await;
    part.assert_error(404, "UNSUPPORTED");
}

#[tokio::test]
async fn a_blob_that_was_pushed_is_found_by_its_size_and_has_no_bytes() {
    let registry = registry();
    let content = noise(100_000);
    let digest = push_blob(&registry, "demo", content.clone()).await;
    assert_discarded(&registry, "demo", &digest, content.len()).await;
    // In pieces, too.
    let (first, last) = (content.slice(..70_000), content.slice(70_000..));
    let digest = Algorithm::Sha512.digest(&content);
    let uri = "/v2/chunks/blobs/uploads/?digest-algorithm=sha512";
    let location = put(&registry, "POST", uri, &[], "").await;
    let location = location.header("location").to_owned();
    let answer = put(&registry, "PATCH", &location, &[], first).await;
    assert_eq!(answer.header("range"), "0-69999");
    let uri = format!("{location}?digest={digest}");
    let answer = put(&registry, "PUT", &uri, &[], last).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_discarded(&registry, "chunks", &digest, content.len()).await;
    // A mount has as much of it, and content belongs to a repository as ever.
    let uri = format!("/v2/other/blobs/uploads/?mount={digest}&from=chunks");
    assert_eq!(put(&registry, "POST", &uri, &[], "").await.status, 201);
    assert_discarded(&registry, "other", &digest, content.len()).await;
    let answer = get(&registry, &blob_uri("demo", &digest)).await;
    answer.assert_error(404, "BLOB_UNKNOWN");
    let answer = ask(&registry, "DELETE", &blob_uri("other", &digest), &[]).await;
    assert_eq!(answer.status, 202);
    let answer = get(&registry, &blob_uri("other", &digest)).await;
    answer.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn an_empty_blob_has_all_of_its_bytes() {
    let registry = registry();
    let digest = push_blob(&registry, "demo", "").await;
    let answer = get(&registry, &blob_uri("demo", &digest)).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b""[..]));
}

#[tokio::test]
async fn digests_are_verified_although_nothing_is_kept() {
    let registry = registry();
    let wrong = Algorithm::Sha256.digest("other");
    let uri = format!("/v2/demo/blobs/uploads/?digest={wrong}");
    let answer = put(&registry, "POST", &uri, &[], "content").await;
    answer.assert_error(400, "DIGEST_INVALID");
    let location = start(&registry, "demo").await;
    put(&registry, "PATCH", &location, &[], "con").await;
    let uri = format!("{location}?digest={wrong}");
    let answer = put(&registry, "PUT", &uri, &[], "tent").await;
    answer.assert_error(400, "DIGEST_INVALID");
    for content in ["other", "content"] {
        let digest = Algorithm::Sha256.digest(content);
        assert_eq!(
            head(&registry, &blob_uri("demo", &digest)).await.status,
            404
        );
    }
    // The session is where it was, and its hash too.
    let digest = Algorithm::Sha256.digest("content");
    let uri = format!("{location}?digest={digest}");
    let answer = put(&registry, "PUT", &uri, &[], "tent").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_discarded(&registry, "demo", &digest, 7).await;
}

#[tokio::test]
async fn another_algorithm_than_announced_is_refused_once_bytes_have_arrived() {
    let registry = registry();
    let digest = Algorithm::Sha512.digest("content");
    let location = start(&registry, "demo").await;
    put(&registry, "PATCH", &location, &[], "con").await;
    // There is nothing left to hash again.
    let uri = format!("{location}?digest={digest}");
    let answer = put(&registry, "PUT", &uri, &[], "tent").await;
    answer.assert_error(405, "UNSUPPORTED");
    assert_eq!(get(&registry, &location).await.header("range"), "0-2");
    let answer = head(&registry, &blob_uri("demo", &digest)).await;
    assert_eq!(answer.status, 404);
    // All of it at once is hashed once.
    let location = start(&registry, "demo").await;
    let uri = format!("{location}?digest={digest}");
    let answer = put(&registry, "PUT", &uri, &[], "content").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_discarded(&registry, "demo", &digest, 7).await;
}

#[tokio::test]
async fn manifests_tags_and_referrers_are_kept() {
    let registry = registry();
    let image = ImageBuilder::new().file("a", "one").build().unwrap();
    let kind: ArtifactType = "suite/kind".parse().unwrap();
    let artifact = ImageBuilder::artifact(kind)
        .subject(&image)
        .build()
        .unwrap();
    let absent = ImageBuilder::new().file("b", "absent").build().unwrap();
    let answer = put_manifest(&registry, "demo", "absent", absent.manifest()).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    push_image(&registry, "demo", Some("latest"), &image).await;
    push_image(&registry, "demo", None, &artifact).await;
    let answer = get(&registry, "/v2/demo/manifests/latest").await;
    assert_eq!(&answer.body, image.manifest().bytes());
    let answer = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(answer.json()["tags"], serde_json::json!(["latest"]));
    let uri = format!("/v2/demo/referrers/{}", image.digest());
    let answer = get(&registry, &uri).await;
    let expected = serde_json::json!(artifact.digest());
    assert_eq!(answer.json()["manifests"][0]["digest"], expected);
}

/// The most memory that this process has had, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() << 10
}

/// What the test below runs in a process of its own, where no other test takes memory.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "it is run by the test that follows"]
async fn pushes_many_bytes() {
    const PIECES: usize = 500;
    let registry = registry();
    let piece = noise(64 << 10);
    let mut hasher = Algorithm::Sha256.hasher();
    (0..PIECES).for_each(|_| hasher.update(&piece));
    let digest = hasher.finish();
    let before = peak_memory();
    let pieces = std::iter::repeat_n(piece.clone(), PIECES);
    let pieces = pieces.map(|piece| Ok::<_, BoxError>(piece.to_vec()));
    let request = Request::post(format!("/v2/demo/blobs/uploads/?digest={digest}"));
    let request = request.body(Body::from_stream(stream::iter(pieces)));
    let answer = send(&registry, request.unwrap()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_discarded(&registry, "demo", &digest, PIECES * piece.len()).await;
    let grown = peak_memory() - before;
    assert!(grown < 8 << 20, "it took {grown} bytes to push 33 MB");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_what_is_pushed() {
    let this = std::env::current_exe().unwrap();
    let run = std::process::Command::new(this)
        .args(["--ignored", "--exact", "discard::pushes_many_bytes"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}
