use super::*;

// protocol 2
#[tokio::test]
async fn a_malformed_name_is_400_and_is_not_percent_decoded() {
    let (registry, _) = registry_with("");
    let long = "a".repeat(256);
    for repository in [
        "Library/demo",
        "a//b",
        "a..b",
        "-a",
        "a%2Fb",
        "a_-b",
        "a___b",
        &long,
    ] {
        let answer = get(&registry, &format!("/v2/{repository}/tags/list")).await;
        answer.assert_error(400, "NAME_INVALID");
    }
}

// protocol 3
#[tokio::test]
async fn a_malformed_tag_cannot_exist() {
    let (registry, _) = registry_with("");
    let long = "a".repeat(129);
    for tag in ["-latest", ".latest", "a+b", "a%20b", &long] {
        let answer = get(&registry, &format!("/v2/library/demo/manifests/{tag}")).await;
        answer.assert_error(404, "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn a_malformed_tag_cannot_be_pushed() {
    let (registry, _) = registry_with("");
    let digest = Algorithm::Sha256.digest(b"{}");
    for path in ["-latest".to_owned(), format!("{digest}?tag=latest&tag=-b")] {
        let uri = format!("/v2/library/demo/manifests/{path}");
        let answer = ask(&registry, "PUT", &uri, &[]).await;
        answer.assert_error(400, "MANIFEST_INVALID");
    }
}

// protocol 4, 17, 44, section 3 item 8
#[tokio::test]
async fn a_malformed_or_unsupported_digest_is_400() {
    let (registry, _) = registry_with("");
    for digest in [
        "sha256:baddigeststring",
        "sha256:",
        ":abc",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    ] {
        for kind in ["manifests", "blobs", "referrers"] {
            let answer = get(&registry, &format!("/v2/library/demo/{kind}/{digest}")).await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
    }
    let answer = get(&registry, "/v2/library/demo/blobs/blake3:af13").await;
    let message = answer.json()["errors"][0]["message"].to_string();
    assert!(
        message.contains("blake3") && message.contains("not supported"),
        "{message}"
    );
}

// protocol 82
#[tokio::test]
async fn digests_and_tags_are_found_percent_encoded() {
    let (registry, image) = registry_with("layer");
    let manifest = image.digest().to_string().replace(':', "%3A");
    let blob = layer_uri(&image).replace(':', "%3a");
    for uri in [
        format!("/v2/library/demo/manifests/{manifest}"),
        "/v2/library/demo/manifests/%6Catest".to_owned(),
        blob,
    ] {
        assert_eq!(get(&registry, &uri).await.status, 200, "{uri}");
    }
}

// protocol 12
#[tokio::test]
async fn unknown_query_parameters_are_ignored() {
    let (registry, image) = registry_with("layer");
    let blob = layer_uri(&image);
    for uri in [
        "/v2/?x".to_owned(),
        "/v2/library/demo/manifests/latest?ns=docker.io&n=-1&last=%ff".to_owned(),
        format!("{blob}?ns=docker.io&&=&digest=none"),
    ] {
        assert_eq!(get(&registry, &uri).await.status, 200, "{uri}");
    }
}
