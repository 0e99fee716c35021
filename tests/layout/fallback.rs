//! The index at a fallback tag leads to referrers, and does not make any.

use super::*;

/// An index of `entries` at the fallback tag of `subject`.
fn list_fallback(layout: &mut OnDisk, subject: &Value, entries: &[&Value]) -> Value {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    let index = layout.add_json(INDEX, &index);
    let tag = Tag::referrers_of(&digest_of(subject)).to_string();
    layout.list(&index, Some(&*tag.leak()));
    index
}

fn artifact(layout: &OnDisk, layer: &Value, subject: &Value, kind: &str) -> Value {
    let mut artifact = layout.image_of(layer);
    artifact["artifactType"] = json!(kind);
    artifact["annotations"] = json!({"from": "manifest"});
    artifact["subject"] = subject.clone();
    layout.add_json(MANIFEST, &artifact)
}

fn digests<'a>(descriptors: impl IntoIterator<Item = &'a Value>) -> Vec<Digest> {
    let mut digests: Vec<Digest> = descriptors.into_iter().map(digest_of).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn a_referrer_that_only_the_fallback_index_lists_is_found_and_describes_itself() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("image");
    layout.list(&image, "latest");
    let listed = artifact(&layout, &layer, &image, "example/own");
    let mut entry = listed.clone();
    entry["artifactType"] = json!("example/listed");
    entry["annotations"] = json!({"from": "list"});
    let absent = describe(MANIFEST, b"absent");
    list_fallback(&mut layout, &image, &[&entry, &absent]);
    let source = layout.open().await;
    let found = source.list_referrers(&image).await;
    assert_eq!(digests(&found), [digest_of(&listed)]);
    assert_eq!(found[0]["artifactType"], "example/own");
    assert_eq!(found[0]["annotations"]["from"], "manifest");
}

#[tokio::test]
async fn what_a_fallback_index_lists_is_no_referrer_without_that_subject() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("image");
    let (unrelated, _) = layout.add_image("unrelated");
    layout.list(&image, "latest");
    let refers = artifact(&layout, &layer, &image, "example/yes");
    let to_another = artifact(&layout, &layer, &unrelated, "example/no");
    let entries = [&image, &unrelated, &refers, &to_another];
    list_fallback(&mut layout, &image, &entries);
    let source = layout.open().await;
    let found = source.list_referrers(&image).await;
    assert_eq!(digests(&found), [digest_of(&refers)]);
    let found = source.list_referrers(&unrelated).await;
    assert_eq!(digests(&found), [digest_of(&to_another)]);
}

#[tokio::test]
async fn a_fallback_index_that_is_missing_or_broken_takes_no_referrer_away() {
    for broken in [None, Some("{"), Some(r#"{"manifests":[],"manifests":[]}"#)] {
        let (_directory, mut layout) = layout();
        let (image, layer) = layout.add_image("image");
        layout.list(&image, "latest");
        let refers = artifact(&layout, &layer, &image, "example/yes");
        layout.list(&refers, None);
        let index = match broken {
            Some(json) => {
                let index = layout.add(INDEX, json);
                let tag = Tag::referrers_of(&digest_of(&image)).to_string();
                layout.list(&index, Some(&*tag.leak()));
                index
            }
            None => list_fallback(&mut layout, &image, &[&refers]),
        };
        if broken.is_none() {
            fs::remove_file(layout.file(&index)).unwrap();
        }
        let source = layout.open().await;
        let found = source.list_referrers(&image).await;
        assert_eq!(digests(&found), [digest_of(&refers)], "{broken:?}");
    }
}

#[tokio::test]
async fn referrers_are_listed_without_reading_the_fallback_index_again() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("image");
    layout.list(&image, "latest");
    let refers = artifact(&layout, &layer, &image, "example/yes");
    let index = list_fallback(&mut layout, &image, &[&refers]);
    let source = layout.open().await;
    assert_eq!(source.list_referrers(&image).await.len(), 1);
    let file = layout.file(&index);
    let length = fs::read(&file).unwrap().len();
    fs::write(&file, vec![b' '; length]).unwrap();
    assert_eq!(source.list_referrers(&image).await.len(), 1);
}
