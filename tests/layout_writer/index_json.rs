//! `index.json`: what is replaced, and what stays as it is.

use super::*;

fn manifests(entries: &[&str]) -> String {
    format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    )
}

/// The `index.json` after `image` was written as `tagged` into a layout with this one.
async fn after(before: &str, image: &Image, tagged: Option<&str>) -> String {
    let (_directory, layout) = place("demo");
    let archive = layout.with_extension("tar");
    LayoutWriter::directory(&layout)
        .write(&small("seed"), None)
        .await
        .unwrap();
    fs::write(layout.join("index.json"), before).unwrap();
    let mut packed = tar::Builder::new(fs::File::create(&archive).unwrap());
    packed.append_dir_all("", &layout).unwrap();
    packed.finish().unwrap();
    drop(packed);
    let tagged = tagged.map(tag);
    for writer in [
        LayoutWriter::directory(&layout),
        LayoutWriter::archive(&archive),
    ] {
        writer.write(image, tagged.as_ref()).await.unwrap();
    }
    let json = fs::read(layout.join("index.json")).unwrap();
    // An archive has the very same.
    let mut archive = tar::Archive::new(fs::File::open(&archive).unwrap());
    let mut of_archive = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes() == &b"index.json"[..] {
            std::io::Read::read_to_end(&mut entry, &mut of_archive).unwrap();
        }
    }
    assert!(json == of_archive);
    String::from_utf8(json).unwrap()
}

#[tokio::test]
async fn the_entry_of_the_tag_is_replaced_where_it_stands_and_the_others_stay_byte_for_byte() {
    let image = small("new");
    let new = listed(&image, Some("latest")).to_string();
    let new: Value = new.parse().unwrap();
    // Spaces, order, escapes, numbers, fields and values that nobody here knows.
    let first = r#"{ "x":1.50, "digest":"sha256:no", "annotations":{"org.opencontainers.image.ref.name":"other"} }"#;
    let old = r#"{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1,"mediaType":"a/b","annotations":{"org.opencontainers.image.ref.name":"latest"}}"#;
    let last = r#"{"platform":{"os":"linux"},"annotations":{"org.opencontainers.image.ref.name":7},"size":-1}"#;
    let odd = r#""\u0061""#;
    for (entries, place) in [
        (vec![first, old, last, odd], 1),
        (vec![old, first, last, odd], 0),
        (vec![first, last, odd], 3),
        (vec![first, old, last, odd, old], 1),
    ] {
        let after = after(&manifests(&entries), &image, Some("latest")).await;
        for kept in [first, last, odd] {
            assert_eq!(after.matches(kept).count(), 1, "{after}");
        }
        assert!(!after.contains(old), "{after}");
        let after: Value = after.parse().unwrap();
        assert_eq!(after["manifests"].as_array().unwrap().len(), 4);
        assert_eq!(after["manifests"][place], new);
    }
}

#[tokio::test]
async fn other_fields_of_the_index_stay_in_their_order() {
    let image = small("new");
    let entry = serde_json::to_string(&listed(&image, None)).unwrap();
    let entry: Value = entry.parse().unwrap();
    let before = r#"{"z":[1, 2],"manifests":null,"schemaVersion":2,"annotations":{"a": "b"}}"#;
    let after_null = after(before, &image, None).await;
    let begin = r#"{"z":[1, 2],"manifests":["#;
    assert!(after_null.starts_with(begin), "{after_null}");
    let end = r#"],"schemaVersion":2,"annotations":{"a": "b"}}"#;
    assert!(after_null.ends_with(end), "{after_null}");
    let parsed: Value = after_null.parse().unwrap();
    assert_eq!(parsed["manifests"][0], entry);
    let without = after(r#"{"schemaVersion":2}"#, &image, None).await;
    let without: Value = without.parse().unwrap();
    assert_eq!(without["manifests"], json!([entry]));
}

#[tokio::test]
async fn an_entry_that_says_all_already_stays_as_it_is() {
    let image = small("new");
    let mut entry = listed(&image, Some("latest"));
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    entry["annotations"]["x"] = json!("y");
    let before = manifests(&[&entry.to_string()]);
    assert_eq!(after(&before, &image, Some("latest")).await, before);
    // One without a tag is there already, under whatever name.
    assert_eq!(after(&before, &image, None).await, before);
}

#[tokio::test]
async fn an_artifact_that_is_listed_without_its_type_gets_it() {
    let image = artifact(&small("subject"));
    let entry = listed(&image, Some("notes"));
    let after = after(&manifests(&[&entry.to_string()]), &image, Some("notes")).await;
    let after: Value = after.parse().unwrap();
    assert_eq!(after["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(
        after["manifests"][0]["artifactType"],
        "application/vnd.example.notes"
    );
}

#[tokio::test]
async fn a_tag_differs_from_others_in_case_too() {
    let image = small("new");
    let before = manifests(&[&listed(&small("old"), Some("Latest")).to_string()]);
    let after = after(&before, &image, Some("latest")).await;
    let after: Value = after.parse().unwrap();
    assert_eq!(after["manifests"].as_array().unwrap().len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn an_index_that_needs_no_change_is_not_touched() {
    use std::os::unix::fs::MetadataExt;
    let (_directory, layout) = place("demo");
    let writer = LayoutWriter::directory(&layout);
    let file = layout.join("index.json");
    writer
        .write(&small("a"), Some(&tag("latest")))
        .await
        .unwrap();
    let inode = fs::metadata(&file).unwrap().ino();
    writer
        .write(&small("a"), Some(&tag("latest")))
        .await
        .unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode);
}
