//! The tags at which clients keep lists of referrers on registries that do not.

use super::*;

/// Pushes an index of `children` to the fallback tag of `subject`.
async fn push_fallback(registry: &Writable, subject: &Image, children: &[&Image]) -> Image {
    let mut index = IndexBuilder::new();
    for child in children {
        index = index.image(child);
    }
    let index = index.build().unwrap();
    let answer = put_manifest(registry, "demo", &fallback(subject), index.manifest()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    index
}

fn fallback(subject: &Image) -> String {
    Tag::referrers_of(subject.digest()).to_string()
}

async fn listed(registry: &Writable, subject: &Image) -> Vec<String> {
    digests(&get(registry, &uri(subject)).await)
}

// protocol 54
#[tokio::test]
async fn an_index_that_a_client_pushes_after_the_referrers_adds_none_of_them_again() {
    let registry = writable();
    let subject = image("subject");
    let [first, second] = ["1", "2"].map(|content| artifact(SBOM, &subject, content));
    push_image(&registry, "demo", Some("latest"), &subject).await;
    push_image(&registry, "demo", None, &first).await;
    push_fallback(&registry, &subject, &[&first]).await;
    assert_eq!(listed(&registry, &subject).await, sorted([&first]));
    push_image(&registry, "demo", None, &second).await;
    let index = push_fallback(&registry, &subject, &[&first, &second]).await;
    assert_eq!(listed(&registry, &subject).await, sorted([&first, &second]));
    // The index is a manifest like any other, and refers to nothing itself.
    let answer = get(
        &registry,
        &format!("/v2/demo/manifests/{}", fallback(&subject)),
    )
    .await;
    assert_eq!(answer.body, index.manifest().bytes());
    delete(&registry, &format!("demo/manifests/{}", index.digest())).await;
    assert_eq!(listed(&registry, &subject).await, sorted([&first, &second]));
}

// protocol 54
#[tokio::test]
async fn an_index_that_a_client_pushes_before_the_referrers_lists_them_once_they_are_there() {
    let registry = writable().allow_sparse_manifests(true);
    let subject = image("subject");
    let [first, second] = ["1", "2"].map(|content| artifact(SBOM, &subject, content));
    push_fallback(&registry, &subject, &[&first, &second]).await;
    assert_eq!(listed(&registry, &subject).await, sorted([]));
    push_image(&registry, "demo", None, &second).await;
    assert_eq!(listed(&registry, &subject).await, sorted([&second]));
    push_image(&registry, "demo", None, &first).await;
    assert_eq!(listed(&registry, &subject).await, sorted([&first, &second]));
}

// protocol 54: only manifests that have the subject themselves count
#[tokio::test]
async fn an_index_of_manifests_without_this_subject_adds_nothing() {
    let registry = writable().allow_sparse_manifests(true);
    let [subject, another] = ["subject", "another"].map(image);
    let plain = image("refers to nothing");
    let elsewhere = artifact(SBOM, &another, "refers to another");
    let absent = artifact(SBOM, &subject, "was never pushed");
    for pushed in [&subject, &plain, &elsewhere] {
        push_image(&registry, "demo", None, pushed).await;
    }
    let blob = push_blob(&registry, "demo", "a blob").await;
    let blob = Descriptor::new(MediaType::OCTET_STREAM, blob, 6);
    push_fallback(&registry, &subject, &[&plain, &elsewhere, &absent]).await;
    assert_eq!(listed(&registry, &subject).await, sorted([]));
    assert_eq!(listed(&registry, &another).await, sorted([&elsewhere]));
    let of_blob = IndexBuilder::new().missing(blob).build().unwrap();
    let answer = put_manifest(&registry, "demo", &fallback(&subject), of_blob.manifest()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(listed(&registry, &subject).await, sorted([]));
}

// protocol 51 and 54: an entry tells what the manifest says, not what somebody said of it
#[tokio::test]
async fn what_an_index_says_of_a_referrer_changes_nothing_of_its_entry() {
    let registry = writable();
    let subject = image("subject");
    let sbom = artifact(SBOM, &subject, "sbom");
    push_image(&registry, "demo", None, &sbom).await;
    let before = get(&registry, &uri(&subject)).await.json();
    let json = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": sbom.media_type().as_str(),
            "digest": sbom.digest().to_string(),
            "size": 1,
            "artifactType": "application/vnd.example.other",
            "annotations": {"org.example.content": "another"},
        }],
    });
    let index = Manifest::new(MediaType::OCI_INDEX, json.to_string());
    let answer = put_manifest(&registry, "demo", &fallback(&subject), &index).await;
    assert_eq!(answer.status, 201);
    assert_eq!(get(&registry, &uri(&subject)).await.json(), before);
}

// protocol 56
#[tokio::test]
async fn a_tag_like_a_digest_is_an_ordinary_tag_and_never_leads_to_the_digest() {
    let registry = writable();
    let child = image("child");
    let index = IndexBuilder::new().image(&child).build().unwrap();
    push_image(&registry, "demo", Some("latest"), &index).await;
    let uri_of_tag = format!("/v2/demo/manifests/{}", fallback(&index));
    for method in ["GET", "HEAD", "DELETE"] {
        let answer = ask(&registry, method, &uri_of_tag, &[]).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    // Clients that are led to the index by such a tag list its children as its referrers.
    assert_eq!(listed(&registry, &index).await, sorted([]));
    let other = image("other");
    push_image(&registry, "demo", Some(&fallback(&index)), &other).await;
    let answer = get(&registry, &uri_of_tag).await;
    assert_eq!(answer.body, other.manifest().bytes());
    assert_eq!(
        answer.header("docker-content-digest"),
        other.digest().to_string()
    );
    assert_eq!(listed(&registry, &index).await, sorted([]));
    let tags = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(strings(&tags.json()["tags"]), ["latest", &fallback(&index)]);
    delete(&registry, &format!("demo/manifests/{}", fallback(&index))).await;
    for digest in [index.digest(), other.digest()] {
        let answer = get(&registry, &format!("/v2/demo/manifests/{digest}")).await;
        assert_eq!(answer.status, 200);
    }
}

// protocol 56: the tag of a sha512 digest is cut, because a tag has at most 128 characters
#[tokio::test]
async fn the_fallback_tag_of_a_sha512_digest_is_cut_and_the_whole_is_no_tag() {
    let registry = writable();
    let subject = ImageBuilder::new().algorithm(Algorithm::Sha512);
    let subject = subject.file("a", "subject").build().unwrap();
    let sbom = artifact(SBOM, &subject, "sbom");
    push_image(&registry, "demo", None, &sbom).await;
    push_fallback(&registry, &subject, &[&sbom]).await;
    assert_eq!(listed(&registry, &subject).await, sorted([&sbom]));
    let tag = fallback(&subject);
    assert_eq!(tag.len(), "sha512-".len() + 64);
    let whole = subject.digest().to_string().replace(':', "-");
    let answer = get(&registry, &format!("/v2/demo/manifests/{whole}")).await;
    answer.assert_error(404, "MANIFEST_UNKNOWN");
    let answer = put_manifest(&registry, "demo", &whole, sbom.manifest()).await;
    answer.assert_error(400, "MANIFEST_INVALID");
    let tags = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(strings(&tags.json()["tags"]), [tag]);
}
