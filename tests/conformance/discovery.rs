//! Lines 1, 2, 13 and 14: what is found, and what is not.

use super::*;
use walk::{Tagging, list_referrers};

// section 3, line 1
#[tokio::test]
async fn line_1_referrers_in_a_repository_that_was_never_pushed_to_are_an_empty_index() {
    let registry = registry();
    for algorithm in ALGORITHMS {
        for filter in [None, Some("application/vnd.example+json")] {
            let digest = algorithm.digest("never pushed");
            let entries = list_referrers(&registry, &digest, filter).await;
            assert_eq!(entries, BTreeMap::new());
        }
        let digest = algorithm.digest("never pushed");
        let answer = get(&registry, &format!("/v2/{REPO}/referrers/{digest}")).await;
        let empty = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
        assert_eq!(answer.json(), empty);
    }
}

// section 3, line 2
#[tokio::test]
async fn line_2_the_tags_of_an_unknown_repository_are_404() {
    let registry = registry();
    let answer = get(&registry, &format!("/v2/{REPO}/tags/list")).await;
    answer.assert_error(404, "NAME_UNKNOWN");
}

// section 3, line 2
#[tokio::test]
async fn line_2_what_is_missing_is_404_in_a_repository_that_is_there_and_in_an_unknown_one() {
    let registry = registry();
    let content = Bytes::from_static(b"content");
    let there = Algorithm::Sha256.digest(&content);
    let answer = Upload::Post.send(&registry, REPO2, &there, &content).await;
    assert_eq!(answer.status, 201);
    for repository in [REPO, REPO2] {
        for algorithm in ALGORITHMS {
            let missing = algorithm.digest("missing");
            assert_no_blob(&registry, repository, &missing).await;
            for reference in ["missing-tag", &missing.to_string()] {
                let uri = format!("/v2/{repository}/manifests/{reference}");
                for method in ["GET", "HEAD"] {
                    let answer = ask_manifest(&registry, method, &uri).await;
                    assert_eq!(answer.status, 404, "{method} {uri}");
                }
            }
        }
    }
}

/// Data with a subject that is there, and referrers of every kind.
fn with_referrers(algorithm: Algorithm, fields: fn(&mut Data) -> Value) -> Data {
    let mut data = Data::new("referrers", algorithm);
    let subject = fields(&mut data);
    let annotations = json!({"a": "1", "b": "", "c": "\u{e9}\n\"", "d": "x".repeat(5_000)});
    let about = json!({"subject": subject, "annotations": annotations});
    for kind in [
        "application/vnd.example.v1+json",
        "application/vnd.example.v2",
    ] {
        let typed = data::with_fields(about.clone(), json!({"artifactType": kind}));
        let image = data.image(typed.clone());
        data.tag(&image);
        let index = data.index(&[image], typed);
        data.tag(&index);
    }
    data.image(about.clone());
    data.index(&[], about);
    data
}

// section 3, line 13: OCI-Subject and the entries, for pushes by digest and by tag
#[tokio::test]
async fn line_13_a_push_names_its_subject_and_the_list_says_all_of_each_referrer() {
    let registry = registry();
    for (algorithm, tagging) in [
        (Algorithm::Sha256, Tagging::Push),
        (Algorithm::Sha256, Tagging::Parameter),
        (Algorithm::Sha512, Tagging::Parameter),
    ] {
        for subject in [
            |data: &mut Data| data.image(json!({})),
            |data: &mut Data| data.index(&[], json!({})),
            |data: &mut Data| data.descriptor(data::IMAGE, b"missing subject"),
        ] {
            let data = with_referrers(algorithm, subject);
            assert_eq!(data.referrers.values().flatten().count(), 6);
            walk::walk(&registry, &data, Upload::Stream, tagging).await;
        }
    }
}

// section 3, line 13: what a push by tag alone makes is listed too
#[tokio::test]
async fn line_13_a_referrer_that_is_only_pushed_by_tag_is_listed() {
    let registry = registry();
    let data = with_referrers(Algorithm::Sha256, |data| data.image(json!({})));
    let (subject, expected) = data.referrers.first_key_value().unwrap();
    for (digest, content) in &data.blobs {
        let answer = Upload::PostPut.send(&registry, REPO, digest, content).await;
        assert_eq!(answer.status, 201);
    }
    for (number, pushed) in data.manifests.iter().enumerate() {
        let uri = manifest_uri(format!("tag-{number}"));
        let headers = [("content-type", pushed.manifest.media_type().as_str())];
        let answer = stream(&registry, "PUT", &uri, &headers, pushed.manifest.bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let of_push = pushed
            .subject
            .map_or(String::new(), |subject| subject.to_string());
        assert_eq!(answer.header("oci-subject"), of_push);
    }
    let listed = list_referrers(&registry, subject, None).await;
    assert_eq!(listed.len(), expected.len());
    for entry in expected {
        assert_eq!(listed[&entry["digest"].to_string()], *entry);
    }
}

// section 3, line 14
#[tokio::test]
async fn line_14_last_alone_parts_the_tags_in_byte_order() {
    let registry = registry();
    let mut data = Data::new("tags", Algorithm::Sha256);
    let index = data.index(&[], json!({}));
    let digest: Digest = index["digest"].as_str().unwrap().parse().unwrap();
    for tag in ["b", "a", "B", "_", "10", "9", "a.b", "a-b", "ab"] {
        data.tags.insert(tag.to_owned(), digest);
    }
    walk::push(&registry, &data, Upload::PostPut, Tagging::Push).await;
    let sorted: Vec<&String> = data.tags.keys().collect();
    for (position, last) in sorted.iter().enumerate() {
        let answer = get(&registry, &format!("/v2/{REPO}/tags/list?last={last}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json()["tags"],
            json!(sorted[position + 1..]),
            "{last}"
        );
        assert_eq!(answer.header("link"), "");
    }
}
