use super::*;

#[tokio::test]
async fn a_source_with_the_two_required_methods_answers_head_through_them() {
    let source = holding(b"0123456789");
    let service = OciRegistryService::new(Minimal(source.clone()));
    let answer = head(&service, &blob_uri(b"0123456789")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "10")
    );
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(source.calls(), ["blob demo None redirects false"]);
    let answer = head(&service, "/v2/demo/manifests/a").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "19")
    );
    assert_eq!(
        answer.header("content-type"),
        MediaType::OCI_MANIFEST.as_str()
    );
    assert_eq!(source.calls(), ["manifest demo a unless 0"]);
}

#[tokio::test]
async fn lists_that_a_source_does_not_have_answer_404_unsupported() {
    let service = OciRegistryService::new(Minimal(holding(b"")));
    for uri in [
        "/v2/demo/tags/list",
        "/v2/demo/tags/list?n=0",
        "/v2/_catalog",
    ] {
        get(&service, uri).await.assert_error(404, "UNSUPPORTED");
    }
}

fn digests_of(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    assert_eq!(json["schemaVersion"], 2);
    assert_eq!(json["mediaType"], MediaType::OCI_INDEX.as_str());
    let entries = json["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect()
}

// protocol 49 to 54 and 56
#[tokio::test]
async fn referrers_come_from_the_fallback_tag_filtered_and_in_pages() {
    let entries: Vec<Descriptor> = (0..5)
        .map(|number| {
            let mut entry = descriptor(format!("referrer {number}").as_bytes());
            let kind = if number % 2 == 0 {
                "a/even+json"
            } else {
                "a/odd"
            };
            entry.artifact_type = Some(kind.parse().unwrap());
            entry
                .annotations
                .insert("number".to_owned(), number.to_string());
            entry
        })
        .collect();
    let mut in_order: Vec<String> = entries
        .iter()
        .map(|entry| entry.digest.to_string())
        .collect();
    in_order.sort();
    // The index lists one referrer twice, as clients that race do.
    let mut listed = entries.clone();
    listed.push(entries[0].clone());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": listed });
    let index = Manifest::parse(index.to_string()).unwrap();

    for subject in [
        Algorithm::Sha256.digest(b"s"),
        Algorithm::Sha512.digest(b"s"),
    ] {
        let fallback = Tag::referrers_of(&subject);
        assert_eq!(fallback.as_str().len(), "sha256-".len() + 64);
        let text = subject.to_string().replace(':', "-");
        assert!(text.starts_with(fallback.as_str()));
        let index = index.clone();
        let source = Scripted::new().on_manifest(move |(reference, _)| match reference {
            Reference::Tag(tag) if tag == fallback => Ok(index.clone().into()),
            _ => Err(SourceError::NotFound(MissingContent::Manifest)),
        });
        let service = OciRegistryService::new(Minimal(source));
        let uri = format!("/v2/demo/referrers/{subject}");
        let answer = get(&service, &uri).await;
        assert_eq!(answer.header("content-type"), MediaType::OCI_INDEX.as_str());
        assert_eq!(answer.header("oci-filters-applied"), "");
        assert_eq!(digests_of(&answer), in_order);

        let mut found = Vec::new();
        let mut next = Some(format!("{uri}?n=1&artifactType=a/even%2Bjson"));
        while let Some(uri) = next {
            let answer = get(&service, &uri).await;
            assert_eq!(answer.header("oci-filters-applied"), "artifactType");
            let page = answer.json()["manifests"].clone();
            assert_eq!(page[0]["artifactType"], "a/even+json");
            assert!(page[0]["annotations"]["number"].is_string());
            found.extend(digests_of(&answer));
            next = link(&answer);
        }
        assert_eq!(found.len(), 3);
        assert!(found.is_sorted());

        let none = get(&service, &format!("{uri}?artifactType=none")).await;
        assert_eq!((none.status.as_u16(), digests_of(&none)), (200, vec![]));
        assert_eq!(none.header("oci-filters-applied"), "artifactType");
    }
}

#[tokio::test]
async fn referrers_of_anything_unknown_are_an_empty_index() {
    let uri = format!("/v2/demo/referrers/{}", digest(b"unknown"));
    for missing in [MissingContent::Repository, MissingContent::Manifest] {
        let by_default = Scripted::new().on_manifest(move |_| Err(SourceError::NotFound(missing)));
        let by_default = get(&OciRegistryService::new(Minimal(by_default)), &uri).await;
        let own = Scripted::new().on_referrers(move |_| Err(SourceError::NotFound(missing)));
        let own = get(&OciRegistryService::new(own), &uri).await;
        for answer in [by_default, own] {
            assert_eq!((answer.status.as_u16(), digests_of(&answer)), (200, vec![]));
        }
    }
    // What is no index lists nothing, whoever pushed it to the fallback tag.
    let broken = Manifest::new(MediaType::OCI_INDEX, "no JSON");
    let broken = Scripted::new().on_manifest(move |_| Ok(broken.clone().into()));
    let answer = get(&OciRegistryService::new(Minimal(broken)), &uri).await;
    assert_eq!((answer.status.as_u16(), digests_of(&answer)), (200, vec![]));
    // Not knowing is not the same as knowing that there are none.
    let failing = Scripted::new().on_manifest(|_| Err(SourceError::backend(SECRET)));
    let answer = get(&OciRegistryService::new(Minimal(failing)), &uri).await;
    assert_backend_failure(&answer);
}
