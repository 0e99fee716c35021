//! Content discovery: tags, referrers and the catalog.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use common::{Answer, ask, get, head, name, tag};
use http::Request;
use tower_oci::{
    Algorithm, ArtifactType, Descriptor, Image, MediaType, MemoryStore, OciRegistryService,
    ReadOnly, Visibility,
    testing::{ImageBuilder, IndexBuilder},
};

type Registry = OciRegistryService<ReadOnly<MemoryStore>>;

fn image(content: &str) -> Image {
    ImageBuilder::new().file("a", content).build().unwrap()
}

/// The target of the link to the next page, if there is one.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"");
    Some(target.unwrap().to_owned())
}

fn strings(list: &serde_json::Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

mod tags {
    use super::*;

    fn registry_with(tags: &[&str]) -> Registry {
        let store = MemoryStore::new();
        let image = image("content");
        store.add_image(&name("library/demo"), None, &image);
        for text in tags {
            store.add_image(&name("library/demo"), Some(&tag(text)), &image);
        }
        OciRegistryService::new(store)
    }

    // protocol 45, 46; pitfalls: tags in a set's order
    #[tokio::test]
    async fn all_tags_come_in_byte_order_with_the_name() {
        let registry = registry_with(&["b", "a", "B", "_", "10", "9"]);
        let answer = get(&registry, "/v2/library/demo/tags/list").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(
            answer.body,
            r#"{"name":"library/demo","tags":["10","9","B","_","a","b"]}"#
        );
        assert_eq!(next(&answer), None);
    }

    // protocol 45, 101
    #[tokio::test]
    async fn a_repository_without_tags_has_an_empty_list_and_an_unknown_one_has_none() {
        let registry = registry_with(&[]);
        let answer = get(&registry, "/v2/library/demo/tags/list").await;
        assert_eq!(answer.body, r#"{"name":"library/demo","tags":[]}"#);
        let answer = get(&registry, "/v2/unknown/tags/list").await;
        answer.assert_error(404, "NAME_UNKNOWN");
    }

    // protocol 47, 64, 66
    #[tokio::test]
    async fn pages_are_linked_and_the_last_one_has_no_link() {
        let registry = registry_with(&["a", "b", "c", "d"]);
        let answer = get(&registry, "/v2/library/demo/tags/list?n=2").await;
        assert_eq!(strings(&answer.json()["tags"]), ["a", "b"]);
        assert_eq!(
            answer.header("link"),
            r#"</v2/library/demo/tags/list?n=2&last=b>; rel="next""#
        );
        let answer = get(&registry, &next(&answer).unwrap()).await;
        assert_eq!(strings(&answer.json()["tags"]), ["c", "d"]);
        assert_eq!(next(&answer), None);
    }

    // protocol 47; pitfalls: n=0 panics
    #[tokio::test]
    async fn no_entries_are_an_empty_list_without_link() {
        let registry = registry_with(&["a", "b"]);
        let answer = get(&registry, "/v2/library/demo/tags/list?n=0").await;
        assert_eq!(answer.body, r#"{"name":"library/demo","tags":[]}"#);
        assert_eq!(next(&answer), None);
        let answer = get(&registry, "/v2/unknown/tags/list?n=0").await;
        answer.assert_error(404, "NAME_UNKNOWN");
    }

    // protocol 47
    #[tokio::test]
    async fn a_page_size_that_is_no_number_is_400() {
        let registry = registry_with(&["a"]);
        for n in ["-1", "abc", "", "1.5", "+1", "%20"] {
            let answer = get(&registry, &format!("/v2/library/demo/tags/list?n={n}")).await;
            answer.assert_error(400, "UNSUPPORTED");
        }
        let uri = "/v2/library/demo/tags/list?n=99999999999999999999999999";
        assert_eq!(get(&registry, uri).await.status, 200);
    }

    // protocol 48, section 3 item 14; pitfalls: last names a deleted tag
    #[tokio::test]
    async fn last_is_a_position_and_needs_neither_n_nor_a_tag_of_that_name() {
        let registry = registry_with(&["a", "c", "e"]);
        for (last, expected) in [
            ("a", &["c", "e"][..]),
            ("b", &["c", "e"]),
            ("%63", &["e"]),
            ("e", &[]),
            ("zzz", &[]),
            ("", &["a", "c", "e"]),
            ("!%22%3C%3E", &["a", "c", "e"]),
            ("%ff", &[]),
        ] {
            let answer = get(
                &registry,
                &format!("/v2/library/demo/tags/list?last={last}"),
            )
            .await;
            assert_eq!(strings(&answer.json()["tags"]), expected, "{last}");
        }
    }

    #[tokio::test]
    async fn a_page_has_at_most_1_000_tags_unless_asked_and_10_000_at_all() {
        let store = MemoryStore::new();
        let image = image("content");
        for number in 0..10_001 {
            let tag = tag(&format!("{number:05}"));
            store.add_image(&name("demo"), Some(&tag), &image);
        }
        let registry = OciRegistryService::new(store);
        let answer = get(&registry, "/v2/demo/tags/list").await;
        assert_eq!(strings(&answer.json()["tags"]).len(), 1_000);
        assert_eq!(
            next(&answer).unwrap(),
            "/v2/demo/tags/list?n=1000&last=00999"
        );
        let answer = get(&registry, "/v2/demo/tags/list?n=20000").await;
        assert_eq!(strings(&answer.json()["tags"]).len(), 10_000);
        assert_eq!(
            next(&answer).unwrap(),
            "/v2/demo/tags/list?n=20000&last=09999"
        );
    }

    #[tokio::test]
    async fn head_of_a_list_has_its_length_and_link() {
        let registry = registry_with(&["a", "b"]);
        let answer = head(&registry, "/v2/library/demo/tags/list?n=1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), "36");
        assert!(next(&answer).is_some());
    }
}

mod referrers {
    use super::*;

    const SBOM: &str = "application/vnd.example.sbom.v1+json";

    fn artifact(artifact_type: &str, subject: &Image, content: &str) -> Image {
        ImageBuilder::artifact(artifact_type.parse().unwrap())
            .layer("text/plain".parse().unwrap(), content.to_owned())
            .subject(subject)
            .annotation("org.example.content", content)
            .build()
            .unwrap()
    }

    fn registry_with(images: &[&Image]) -> Registry {
        let store = MemoryStore::new();
        for image in images {
            store.add_image(&name("demo"), None, image);
        }
        OciRegistryService::new(store)
    }

    fn uri(subject: &Image) -> String {
        format!("/v2/demo/referrers/{}", subject.digest())
    }

    fn digests(answer: &Answer) -> Vec<String> {
        let json = answer.json();
        let entries = json["manifests"].as_array().unwrap().iter();
        let digests = entries.map(|entry| entry["digest"].as_str().unwrap().to_owned());
        digests.collect()
    }

    // protocol 49, 51, section 3 item 13
    #[tokio::test]
    async fn a_referrer_is_listed_with_type_size_artifact_type_and_annotations() {
        let subject = image("subject");
        let sbom = artifact(SBOM, &subject, "sbom");
        let registry = registry_with(&[&subject, &sbom]);
        let answer = get(&registry, &uri(&subject)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.oci.image.index.v1+json"
        );
        assert_eq!(
            answer.json(),
            serde_json::json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [{
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": sbom.digest().to_string(),
                    "size": sbom.manifest().size(),
                    "artifactType": SBOM,
                    "annotations": {"org.example.content": "sbom"},
                }],
            })
        );
    }

    // protocol 51, 99
    #[tokio::test]
    async fn an_image_without_artifact_type_has_that_of_its_config_and_an_index_has_none() {
        let subject = image("subject");
        let of_image = ImageBuilder::new().subject(&subject).build().unwrap();
        let of_index = IndexBuilder::new().subject(&subject).build().unwrap();
        let typed_index = IndexBuilder::new()
            .subject(&subject)
            .artifact_type(SBOM.parse().unwrap())
            .build()
            .unwrap();
        let registry = registry_with(&[&of_image, &of_index, &typed_index]);
        let json = get(&registry, &uri(&subject)).await.json();
        let artifact_type = |image: &Image| {
            let entries = json["manifests"].as_array().unwrap().iter();
            let digest = image.digest().to_string();
            let entry = entries.clone().find(|entry| entry["digest"] == digest);
            entry.unwrap().get("artifactType").cloned()
        };
        assert_eq!(
            artifact_type(&of_image).unwrap(),
            "application/vnd.oci.image.config.v1+json"
        );
        assert_eq!(artifact_type(&of_index), None);
        assert_eq!(artifact_type(&typed_index).unwrap(), SBOM);
    }

    // protocol 49, 51, section 3 item 1; pitfalls: 404 when there are none
    #[tokio::test]
    async fn what_nothing_refers_to_has_an_empty_index_even_if_it_does_not_exist() {
        let subject = image("subject");
        let registry = registry_with(&[&subject]);
        let zeros = format!("sha256:{}", "0".repeat(64));
        for path in [
            format!("demo/referrers/{}", subject.digest()),
            format!("demo/referrers/{zeros}"),
            format!("unknown/referrers/{zeros}"),
            format!("unknown/referrers/{zeros}?n=0"),
        ] {
            let answer = get(&registry, &format!("/v2/{path}")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(
                answer.header("content-type"),
                "application/vnd.oci.image.index.v1+json"
            );
            let empty = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
            assert_eq!(answer.body, empty);
        }
    }

    // protocol 38, 49
    #[tokio::test]
    async fn a_subject_need_not_exist() {
        let subject = image("never added");
        let sbom = artifact(SBOM, &subject, "sbom");
        let registry = registry_with(&[&sbom]);
        let listed = digests(&get(&registry, &uri(&subject)).await);
        assert_eq!(listed, [sbom.digest().to_string()]);
    }

    // protocol 53
    #[tokio::test]
    async fn the_filter_applies_and_says_so_also_to_nothing_and_with_a_bare_plus() {
        let subject = image("subject");
        let sbom = artifact(SBOM, &subject, "sbom");
        let other = artifact("application/vnd.example.other", &subject, "other");
        let registry = registry_with(&[&sbom, &other]);
        for (filter, expected) in [
            (
                "application/vnd.example.sbom.v1%2Bjson",
                vec![sbom.digest().to_string()],
            ),
            (SBOM, vec![sbom.digest().to_string()]),
            (
                "application%2fvnd.example.other",
                vec![other.digest().to_string()],
            ),
            ("application/none", vec![]),
        ] {
            let uri = format!("{}?artifactType={filter}", uri(&subject));
            let answer = get(&registry, &uri).await;
            assert_eq!(digests(&answer), expected, "{filter}");
            assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        }
        for unfiltered in ["", "?artifactType=", "?artifacttype=x"] {
            let answer = get(&registry, &format!("{}{unfiltered}", uri(&subject))).await;
            assert_eq!(digests(&answer).len(), 2);
            assert_eq!(answer.header("oci-filters-applied"), "");
        }
    }

    #[tokio::test]
    async fn a_filter_that_is_no_artifact_type_is_400() {
        let subject = image("subject");
        let registry = registry_with(&[]);
        for filter in ["%00", "%ff", &"a".repeat(256)] {
            let uri = format!("{}?artifactType={filter}", uri(&subject));
            get(&registry, &uri).await.assert_error(400, "UNSUPPORTED");
        }
    }

    // protocol 50
    #[tokio::test]
    async fn a_malformed_digest_is_400() {
        let registry = registry_with(&[]);
        for digest in ["sha256:abc", "latest", "sha256-abc"] {
            let answer = get(&registry, &format!("/v2/demo/referrers/{digest}")).await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
    }

    // protocol 52, 53
    #[tokio::test]
    async fn pages_of_4_mib_are_linked_keep_the_filter_and_miss_nothing() {
        let subject = image("subject");
        let large = "x".repeat(1 << 20);
        let kind: ArtifactType = SBOM.parse().unwrap();
        let artifacts: Vec<Image> = (0..6)
            .map(|number| {
                ImageBuilder::artifact(kind.clone())
                    .subject(&subject)
                    .annotation("number", number.to_string())
                    .annotation("large", large.clone())
                    .build()
                    .unwrap()
            })
            .collect();
        let registry = registry_with(&artifacts.iter().collect::<Vec<_>>());
        let mut expected: Vec<_> = artifacts.iter().map(|a| a.digest().to_string()).collect();
        expected.sort();

        let mut listed = Vec::new();
        let mut uri = Some(format!("{}?artifactType={SBOM}", uri(&subject)));
        let mut pages = 0;
        while let Some(page) = uri {
            let answer = get(&registry, &page).await;
            assert!(answer.body.len() <= 4 << 20);
            assert_eq!(answer.header("oci-filters-applied"), "artifactType");
            assert_eq!(answer.json()["schemaVersion"], 2);
            listed.extend(digests(&answer));
            uri = next(&answer);
            pages += 1;
        }
        assert_eq!((listed, pages), (expected, 2));
    }

    // protocol 52
    #[tokio::test]
    async fn an_entry_that_is_larger_than_a_page_comes_alone() {
        let subject = image("subject");
        let large = "x".repeat(5 << 20);
        let artifacts = ["1", "2"].map(|number| {
            ImageBuilder::artifact(SBOM.parse().unwrap())
                .subject(&subject)
                .annotation(number, large.clone())
                .build()
                .unwrap()
        });
        let registry = registry_with(&[&artifacts[0], &artifacts[1]]);
        let answer = get(&registry, &uri(&subject)).await;
        assert_eq!(digests(&answer).len(), 1);
        let answer = get(&registry, &next(&answer).unwrap()).await;
        assert_eq!((digests(&answer).len(), next(&answer)), (1, None));
    }

    // protocol 54: what clients wrote to the fallback tag is an index like any other
    #[tokio::test]
    async fn manifests_in_an_index_at_the_fallback_tag_are_listed() {
        let subject = image("subject");
        let sbom = artifact(SBOM, &subject, "sbom");
        let fallback = IndexBuilder::new().image(&sbom).build().unwrap();
        let store = MemoryStore::new();
        let fallback_tag = tower_oci::Tag::referrers_of(subject.digest());
        store.add_image(&name("demo"), Some(&fallback_tag), &fallback);
        let registry = OciRegistryService::new(store);
        let answer = get(&registry, &uri(&subject)).await;
        assert_eq!(digests(&answer), [sbom.digest().to_string()]);
    }

    // protocol 56
    #[tokio::test]
    async fn a_fallback_tag_is_an_ordinary_tag_and_never_a_digest() {
        let subject = image("subject");
        let registry = registry_with(&[&subject]);
        let tag = subject.digest().to_string().replace(':', "-");
        let answer = get(&registry, &format!("/v2/demo/manifests/{tag}")).await;
        answer.assert_error(404, "MANIFEST_UNKNOWN");
    }

    #[tokio::test]
    async fn a_subject_with_another_algorithm_than_asked_for_is_another_subject() {
        let sha512 = Algorithm::Sha512.digest(b"subject");
        let sbom = ImageBuilder::artifact(SBOM.parse().unwrap())
            .subject_descriptor(Descriptor::new(MediaType::OCI_MANIFEST, sha512, 7))
            .build()
            .unwrap();
        let registry = registry_with(&[&sbom]);
        let answer = get(&registry, &format!("/v2/demo/referrers/{sha512}")).await;
        assert_eq!(digests(&answer).len(), 1);
        let sha256 = Algorithm::Sha256.digest(b"subject");
        let answer = get(&registry, &format!("/v2/demo/referrers/{sha256}")).await;
        assert_eq!(digests(&answer).len(), 0);
    }
}

mod catalog {
    use super::*;

    fn registry_with(names: &[&str]) -> Registry {
        let store = MemoryStore::new();
        for text in names {
            store.add_image(&name(text), None, &image("content"));
        }
        OciRegistryService::new(store)
    }

    // protocol 64, 66
    #[tokio::test]
    async fn repositories_come_in_byte_order_in_linked_pages() {
        let registry = registry_with(&["pr/obe", "b", "a-b", "a/b", "a"]);
        let answer = get(&registry, "/v2/_catalog?n=4").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.body, r#"{"repositories":["a","a-b","a/b","b"]}"#);
        let answer = get(&registry, "/v2/_catalog?n=3&last=a-b").await;
        assert_eq!(
            strings(&answer.json()["repositories"]),
            ["a/b", "b", "pr/obe"]
        );
        assert_eq!(next(&answer), None);
        let answer = get(&registry, "/v2/_catalog?n=1&last=a-b").await;
        assert_eq!(next(&answer).unwrap(), "/v2/_catalog?n=1&last=a%2Fb");
        let answer = get(&registry, &next(&answer).unwrap()).await;
        assert_eq!(strings(&answer.json()["repositories"]), ["b"]);
    }

    #[tokio::test]
    async fn an_empty_registry_has_an_empty_catalog() {
        let answer = get(&registry_with(&[]), "/v2/_catalog").await;
        assert_eq!(answer.body, r#"{"repositories":[]}"#);
    }

    #[tokio::test]
    async fn only_visible_repositories_are_listed_and_pages_are_full() {
        let names: Vec<String> = (0..40).map(|number| format!("r{number:02}")).collect();
        let registry = registry_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let is_seventh = |number: &str| number.parse::<u32>().is_ok_and(|number| number % 7 == 0);
        let visibility = Visibility::new(move |name| is_seventh(&name.as_str()[1..]));
        let mut uri = Some("/v2/_catalog?n=2".to_owned());
        let mut pages = Vec::new();
        while let Some(page) = uri {
            let request = Request::get(page).extension(visibility.clone());
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = common::send(&registry, request).await;
            uri = next(&answer);
            let json = answer.json();
            let names = strings(&json["repositories"]).into_iter();
            pages.push(names.map(ToOwned::to_owned).collect::<Vec<_>>());
        }
        assert_eq!(pages, [["r00", "r07"], ["r14", "r21"], ["r28", "r35"]]);
    }

    #[tokio::test]
    async fn a_bad_page_size_is_400() {
        let registry = registry_with(&["a"]);
        let answer = ask(&registry, "GET", "/v2/_catalog?n=many", &[]).await;
        answer.assert_error(400, "UNSUPPORTED");
    }
}
