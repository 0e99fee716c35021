//! Lists of tags, repositories and referrers.

use futures_util::{StreamExt, TryStreamExt, stream};
use tower_oci::{ArtifactType, Cursor, Page, Tag};

use super::*;

fn artifact(subject: &Image, text: &'static str, of: &str) -> Image {
    let artifact = ImageBuilder::artifact(of.parse().unwrap());
    let artifact = artifact.layer("text/plain".parse().unwrap(), text);
    artifact
        .subject(subject)
        .annotation("text", text)
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn referrers_are_kept_at_the_fallback_tag() {
    let Some((_registry, client)) = open().await else {
        return;
    };
    let (demo, subject) = (name("demo"), index());
    assert_eq!(
        client
            .all_referrers(&demo, subject.digest(), None)
            .await
            .unwrap(),
        []
    );
    push(&client, "demo", &subject, &pieces(None))
        .await
        .unwrap();
    let (notes, report) = (
        "application/vnd.example.notes",
        "application/vnd.example.report",
    );
    let artifacts = [
        artifact(&subject, "one", notes),
        artifact(&subject, "two", report),
        artifact(&subject, "three", notes),
    ];
    for artifact in &artifacts {
        // The second time is not listed twice.
        for _ in 0..2 {
            client
                .push_image(&demo, None, artifact, &pieces(None))
                .await
                .unwrap();
        }
    }
    let listed = client
        .all_referrers(&demo, subject.digest(), None)
        .await
        .unwrap();
    for (entry, artifact) in listed.iter().zip(&artifacts) {
        let manifest = artifact.manifest();
        assert_eq!(entry.digest, *artifact.digest());
        assert_eq!(entry.size, manifest.bytes().len() as u64);
        assert_eq!(entry.media_type, *manifest.media_type());
        assert_eq!(entry.artifact_type, artifact.artifact_type());
        assert_eq!(&entry.annotations, artifact.annotations());
        let pulled = client
            .image(&demo, &Reference::Digest(entry.digest))
            .await
            .unwrap();
        assert_same(&pulled, artifact).await;
    }
    assert_eq!(listed.len(), artifacts.len());
    let of_type: ArtifactType = report.parse().unwrap();
    let filtered = client
        .all_referrers(&demo, subject.digest(), Some(&of_type))
        .await
        .unwrap();
    assert_eq!(filtered, listed[1..2]);
    // A proxy before it lists them as a registry does that knows of them.
    let proxy = OciRegistryService::new(RemoteSource::new(client.clone()));
    let uri = format!(
        "/v2/demo/referrers/{}?artifactType={report}",
        subject.digest()
    );
    let proxied = common::get(&proxy, &uri).await.json();
    let digests = &proxied["manifests"];
    assert_eq!(digests.as_array().unwrap().len(), 1, "{proxied}");
    assert_eq!(digests[0]["digest"], artifacts[1].digest().to_string());
    // Other clients find them there.
    let fallback = Tag::referrers_of(subject.digest());
    let index = client
        .manifest(&demo, &Reference::Tag(fallback))
        .await
        .unwrap();
    assert_eq!(*index.media_type(), MediaType::OCI_INDEX);
    let index: serde_json::Value = serde_json::from_slice(index.bytes()).unwrap();
    assert_eq!(
        index["manifests"].as_array().unwrap().len(),
        artifacts.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_are_listed_page_by_page() {
    let Some((_registry, client)) = open().await else {
        return;
    };
    let image = ImageBuilder::new().file("a", "hello").build().unwrap();
    let names: Vec<String> = (0..5).map(|number| format!("team/r{number}")).collect();
    for repository in &names {
        push(&client, repository, &image, &pieces(None))
            .await
            .unwrap();
    }
    // The registry sends a link to a page that is empty after the last one.
    for size in 1..=6 {
        let mut found: Vec<RepositoryName> = Vec::new();
        let mut after: Option<Cursor> = None;
        for page in 0.. {
            let listing = client
                .repositories(Page::first(size).after(&after))
                .await
                .unwrap();
            assert!(
                listing.items.len() <= size && page <= 5,
                "{size}: {listing:?}"
            );
            found.extend(listing.items);
            after = listing.next;
            if after.is_none() {
                break;
            }
        }
        let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
        assert_eq!(found, names, "{size}");
    }
    let proxy = OciRegistryService::new(RemoteSource::new(client));
    let first = common::get(&proxy, "/v2/_catalog?n=3").await;
    assert_eq!(first.json()["repositories"], serde_json::json!(names[..3]));
    let link = first
        .header("link")
        .split(['<', '>'])
        .nth(1)
        .unwrap()
        .to_owned();
    let rest = common::get(&proxy, &link).await;
    assert_eq!(rest.json()["repositories"], serde_json::json!(names[3..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tags_are_found_although_the_registry_knows_no_pages() {
    const TAGS: usize = 1_234;
    let Some((_registry, client)) = open().await else {
        return;
    };
    let (demo, image) = (
        name("demo"),
        ImageBuilder::new().file("a", "hello").build().unwrap(),
    );
    push(&client, "demo", &image, &pieces(None)).await.unwrap();
    let mut expected: Vec<Tag> = (1..TAGS).map(|number| tag(&format!("v{number}"))).collect();
    let references = expected.iter().cloned().map(Reference::Tag);
    stream::iter(references)
        .map(async |reference| {
            client
                .push_manifest(&demo, &reference, image.manifest())
                .await
        })
        .buffer_unordered(8)
        .try_collect::<Vec<()>>()
        .await
        .unwrap();
    expected.push(tag("latest"));
    expected.sort();
    let mut tags = client.all_tags(&demo).await.unwrap();
    tags.sort();
    assert_eq!(tags.len(), TAGS);
    assert_eq!(tags, expected);

    // Through a proxy that has pages.
    let proxy = OciRegistryService::new(RemoteSource::new(client));
    let mut paged = Vec::new();
    let mut uri = "/v2/demo/tags/list?n=500".to_owned();
    loop {
        let page = common::get(&proxy, &uri).await;
        let tags = page.json()["tags"].as_array().unwrap().clone();
        assert!(
            tags.len() <= 500 && paged.len() < TAGS,
            "{uri}: {}",
            tags.len()
        );
        paged.extend(tags.iter().map(|it| tag(it.as_str().unwrap())));
        match page.header("link").split(['<', '>']).nth(1) {
            Some(next) => uri = next.to_owned(),
            None => break,
        }
    }
    paged.sort();
    assert_eq!(paged, expected);
}
