use super::*;

fn registry_with(images: &[&Image]) -> Registry {
    let store = MemoryStore::new();
    for image in images {
        store.add_image(&name("demo"), None, image);
    }
    OciRegistryService::new(store)
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
        json!({
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
    let fallback_tag = Tag::referrers_of(subject.digest());
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
