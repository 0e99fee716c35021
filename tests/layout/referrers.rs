use tower_oci::ArtifactType;

use super::*;

#[tokio::test]
async fn referrers_are_found_by_subject_and_by_fallback_tag() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("image");
    layout.list(&image, "latest");
    let artifact = |kind: &str, subject: &Value| {
        let mut artifact = layout.image_of(&layer);
        artifact["artifactType"] = json!(kind);
        artifact["annotations"] = json!({"from": "manifest"});
        artifact["subject"] = subject.clone();
        layout.add_json(MANIFEST, &artifact)
    };
    let by_subject = artifact("example/subject", &image);
    let both = artifact("example/both", &image);
    let by_tag = artifact("example/tag", &image);
    let absent = describe(MANIFEST, b"absent");
    let mut listed = Vec::new();
    for entry in [&both, &by_tag, &absent] {
        let mut entry = entry.clone();
        entry["artifactType"] = json!("example/listed");
        entry["annotations"] = json!({"from": "list"});
        listed.push(entry);
    }
    let fallback = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
    let fallback = layout.add_json(INDEX, &fallback);
    let tag = Tag::referrers_of(&digest_of(&image)).to_string();
    layout.list(&by_subject, None);
    layout.list(&both, None);
    layout.list(&fallback, Some(&*tag.leak()));
    let source = layout.open().await;
    let expected = [
        (&by_subject, "example/subject"),
        (&both, "example/both"),
        (&by_tag, "example/tag"),
    ];
    let mut expected = expected.map(|(referrer, kind)| {
        let digest = referrer["digest"].clone();
        (digest, json!(kind), json!("manifest"))
    });
    expected.sort_by_key(|(digest, ..)| digest.to_string());
    let found = source
        .list_referrers(&image)
        .await
        .into_iter()
        .map(|entry| {
            (
                entry["digest"].clone(),
                entry["artifactType"].clone(),
                entry["annotations"]["from"].clone(),
            )
        });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert!(source.list_referrers(&by_tag).await.is_empty());
    let nothing = describe(MANIFEST, b"nothing");
    assert!(source.list_referrers(&nothing).await.is_empty());
}

#[tokio::test]
async fn referrers_come_in_pages_and_by_type() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("image");
    layout.list(&image, "latest");
    for number in 0..5 {
        let mut artifact = layout.image_of(&layer);
        artifact["artifactType"] = json!(if number < 3 { "a/a" } else { "b/b" });
        artifact["annotations"] = json!({"number": number.to_string()});
        artifact["subject"] = image.clone();
        let artifact = layout.add_json(MANIFEST, &artifact);
        layout.list(&artifact, None);
    }
    let source = layout.open().await;
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    let only: ArtifactType = "a/a".parse().unwrap();
    loop {
        let options = ListReferrers::new(Page::first(2).after(&after)).artifact_type(&only);
        let subject = digest_of(&image);
        let listing = source
            .referrers(&name("demo"), &subject, options)
            .await
            .unwrap();
        seen.extend(listing.items.iter().map(|entry| entry.digest));
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 3);
    assert!(seen.is_sorted());
}
