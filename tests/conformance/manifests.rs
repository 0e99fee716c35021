//! Lines 3, 4, 5, 8, 12 and 13 for manifests.

use super::*;
use walk::{Tagging, assert_manifest, walk};

/// The ways in which content of each algorithm can get its tags: a push by tag makes a sha256.
const TAGGINGS: [(Algorithm, Tagging); 3] = [
    (Algorithm::Sha256, Tagging::Push),
    (Algorithm::Sha256, Tagging::Parameter),
    (Algorithm::Sha512, Tagging::Parameter),
];

// section 3, lines 3, 4, 10, 12, 13 and 14
#[tokio::test]
async fn line_12_every_kind_of_content_is_pushed_found_pulled_and_deleted() {
    let registry = registry();
    for (algorithm, tagging) in TAGGINGS {
        for upload in Upload::ALL {
            for data in Data::all(algorithm) {
                walk(&registry, &data, upload, tagging).await;
            }
        }
    }
}

// section 3, line 12: all of it at once, and then again over what is there
#[tokio::test]
async fn line_12_all_kinds_of_content_stand_side_by_side() {
    let registry = registry();
    for _ in 0..2 {
        for (algorithm, tagging) in TAGGINGS {
            for data in Data::all(algorithm) {
                walk::push(&registry, &data, Upload::Stream, tagging).await;
            }
        }
    }
    for (algorithm, _) in TAGGINGS {
        for data in Data::all(algorithm) {
            for data::Pushed { manifest, .. } in &data.manifests {
                let uri = manifest_uri(manifest.digest());
                assert_manifest(&registry, &uri, manifest).await;
            }
        }
    }
}

// section 3, line 12: what must be refused is, so the kinds above are not taken blindly
#[tokio::test]
async fn line_12_without_its_blobs_a_manifest_is_refused() {
    for algorithm in ALGORITHMS {
        for data in Data::all(algorithm) {
            let registry = registry();
            let needs_nothing = ["empty-index", "missing-subject"].contains(&data.name());
            let pushed = &data.manifests.last().unwrap().manifest;
            let headers = [("content-type", pushed.media_type().as_str())];
            let uri = manifest_uri(pushed.digest());
            let answer = stream(&registry, "PUT", &uri, &headers, pushed.bytes()).await;
            let expected = if needs_nothing { 201 } else { 400 };
            assert_eq!(answer.status, expected, "{}", data.name());
            if !needs_nothing {
                let codes = answer.error_codes();
                assert!(codes.iter().all(|code| code == "MANIFEST_BLOB_UNKNOWN"));
                assert_eq!(get(&registry, &uri).await.status, 404);
            }
        }
    }
}

// section 3, line 5
#[tokio::test]
async fn line_5_a_large_manifest_is_taken_without_a_length() {
    let registry = registry();
    for (algorithm, tagging) in TAGGINGS {
        let large = "A".repeat(10_000);
        let annotations =
            (0..390).map(|number| (format!("large-annotation-{number}"), large.clone()));
        let annotations: BTreeMap<String, String> = annotations.collect();
        let mut data = Data::new("large-manifest", algorithm);
        let image = data.image(json!({"annotations": annotations}));
        data.tag(&image);
        let size = data.manifests[0].manifest.size();
        assert!((3_900_000..4 << 20).contains(&size), "{size}");
        walk(&registry, &data, Upload::PostPut, tagging).await;
    }
}

// section 3, line 3
#[tokio::test]
async fn line_3_a_tag_on_a_sha512_push_keeps_answering_sha512() {
    let registry = registry();
    let mut data = Data::new("sha512", Algorithm::Sha512);
    let image = data.image(json!({}));
    data.tag(&image);
    walk::push(&registry, &data, Upload::PostPut, Tagging::Parameter).await;
    let manifest = &data.manifests[0].manifest;
    // The same bytes are there under sha256 as well, with a tag of their own.
    let headers = [("content-type", data::IMAGE)];
    let uri = manifest_uri("sha256");
    let answer = stream(&registry, "PUT", &uri, &headers, manifest.bytes()).await;
    let sha256 = Algorithm::Sha256.digest(manifest.bytes());
    assert_eq!(answer.header("docker-content-digest"), sha256.to_string());
    let same = Manifest::new(manifest.media_type().clone(), manifest.bytes().clone());
    for reference in [sha256.to_string(), "sha256".to_owned()] {
        assert_manifest(&registry, &manifest_uri(reference), &same).await;
    }
    for tag in data.tags.keys() {
        assert_manifest(&registry, &manifest_uri(tag), manifest).await;
    }
    assert_manifest(&registry, &manifest_uri(manifest.digest()), manifest).await;
}

// section 3, line 3: an index of one algorithm may list children of another
#[tokio::test]
async fn line_3_children_and_subjects_may_be_of_another_algorithm() {
    let registry = registry();
    for (of_child, of_index) in [
        (Algorithm::Sha256, Algorithm::Sha512),
        (Algorithm::Sha512, Algorithm::Sha256),
    ] {
        let mut child = Data::new("child", of_child);
        let descriptor = child.image(json!({}));
        walk::push(&registry, &child, Upload::Chunks, Tagging::Parameter).await;
        let mut index = Data::new("index", of_index);
        let fields = json!({"subject": descriptor, "artifactType": "application/x"});
        let entry = index.index(std::slice::from_ref(&descriptor), fields);
        index.tag(&entry);
        walk(&registry, &index, Upload::Chunks, Tagging::Parameter).await;
    }
}

// section 3, line 8
#[tokio::test]
async fn line_8_a_manifest_whose_bytes_have_another_digest_is_400() {
    for algorithm in ALGORITHMS {
        for parameter in ["", "?tag=tagged"] {
            let registry = registry();
            let mut data = Data::new("bad-digest", algorithm);
            data.image(json!({}));
            let pushed = data.manifests.remove(0).manifest;
            walk::push(&registry, &data, Upload::PostPut, Tagging::Push).await;
            let changed = Bytes::from([pushed.bytes(), b"  ".as_slice()].concat());
            let headers = [("content-type", data::IMAGE)];
            let uri = manifest_uri(pushed.digest());
            let at = format!("{uri}{parameter}");
            let answer = stream(&registry, "PUT", &at, &headers, &changed).await;
            answer.assert_error(400, "DIGEST_INVALID");
            let of_changed = ALGORITHMS.map(|algorithm| manifest_uri(algorithm.digest(&changed)));
            for absent in of_changed
                .into_iter()
                .chain([uri.clone(), manifest_uri("tagged")])
            {
                let answer = ask_manifest(&registry, "GET", &absent).await;
                answer.assert_error(404, "MANIFEST_UNKNOWN");
            }
            let answer = stream(&registry, "PUT", &at, &headers, pushed.bytes()).await;
            assert_eq!(answer.status, 201);
        }
    }
}

// section 3, line 8
#[tokio::test]
async fn line_8_a_manifest_under_a_malformed_digest_is_400_to_put_and_to_get() {
    let registry = registry();
    let mut data = Data::new("bad-digest", Algorithm::Sha256);
    data.image(json!({}));
    let pushed = data.manifests.remove(0).manifest;
    walk::push(&registry, &data, Upload::Post, Tagging::Push).await;
    let headers = [("content-type", data::IMAGE)];
    for digest in ["sha256:baddigeststring", "sha512:baddigeststring", "md5:00"] {
        let uri = manifest_uri(digest);
        let answer = stream(&registry, "PUT", &uri, &headers, pushed.bytes()).await;
        answer.assert_error(400, "DIGEST_INVALID");
        let answer = ask_manifest(&registry, "GET", &uri).await;
        answer.assert_error(400, "DIGEST_INVALID");
        let answer = ask_manifest(&registry, "HEAD", &uri).await;
        assert_eq!(answer.status, 400);
    }
    let answer = ask_manifest(&registry, "GET", &manifest_uri(pushed.digest())).await;
    answer.assert_error(404, "MANIFEST_UNKNOWN");
}

// protocol 43: at least ten, and the header names each
#[tokio::test]
async fn line_3_ten_tags_can_be_set_with_one_push() {
    for algorithm in ALGORITHMS {
        let registry = registry();
        let mut data = Data::new("many-tags", algorithm);
        let image = data.image(json!({}));
        for _ in 0..5 {
            data.tag(&image);
        }
        assert_eq!(data.tags.len(), 10);
        walk(&registry, &data, Upload::Stream, Tagging::Parameter).await;
    }
}
