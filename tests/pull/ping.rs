use super::*;

// protocol 5, 62
#[tokio::test]
async fn the_root_answers_with_and_without_its_slash_to_get_and_head() {
    let (registry, _) = registry_with("");
    for uri in ["/v2/", "/v2"] {
        let answer = get(&registry, uri).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(&answer.body[..], b"{}");
        let answer = head(&registry, uri).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-length")),
            (200, "2")
        );
    }
}

// protocol 65
#[tokio::test]
async fn the_root_never_announces_openshifts_signatures() {
    let (registry, _) = registry_with("");
    let answer = get(&registry, "/v2/").await;
    assert_eq!(answer.header("x-registry-supports-signatures"), "");
}

// protocol 13
#[tokio::test]
async fn paths_that_are_none_of_the_protocol_are_404_in_the_envelope() {
    let (registry, _) = registry_with("");
    for path in [
        "/",
        "/v1/",
        "/v2x",
        "/v2/_oci/ext/discover",
        "/v2/library/demo",
        "/v2/library/demo/",
        "/v2/library/demo/manifests/",
        "/v2/library/demo/blobs/",
        "/v2/library/demo/referrers/",
        "/v2/library/demo/tags",
        "/v2/library/demo/tags/list/",
        "/v2/library/demo/tags/other",
        "/v2/uploads/x",
        "/v2/manifests/latest",
        "/v2/_catalog/",
    ] {
        let answer = get(&registry, path).await;
        answer.assert_error(404, "UNSUPPORTED");
        assert_eq!(answer.extensions.get(), Some(&Operation::Invalid), "{path}");
    }
}

// protocol 6
#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_405_and_says_which_there_are() {
    let (registry, image) = registry_with("layer");
    let blob = layer_uri(&image);
    for (method, path, allowed) in [
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("PUT", "/v2/library/demo/tags/list", "GET, HEAD"),
        ("PATCH", "/v2/library/demo/manifests/latest", "GET, HEAD"),
        ("PUT", &blob, "GET, HEAD"),
        ("GET", "/v2/library/demo/blobs/uploads/", ""),
        ("POST", "/v2/library/demo/blobs/uploads/1", ""),
    ] {
        let answer = ask(&registry, method, path, &[]).await;
        answer.assert_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        assert!(answer.headers.contains_key("allow"));
    }
}

#[tokio::test]
async fn a_write_is_405_and_says_what_a_read_only_registry_allows() {
    let (registry, image) = registry_with("layer");
    let digest = image.layers()[0].digest;
    let blob = layer_uri(&image);
    let finish = format!("/v2/library/demo/blobs/uploads/1?digest={digest}");
    for (method, path, allowed) in [
        ("PUT", "/v2/library/demo/manifests/latest", "GET, HEAD"),
        ("DELETE", "/v2/library/demo/manifests/latest", "GET, HEAD"),
        ("DELETE", &blob, "GET, HEAD"),
        ("POST", "/v2/library/demo/blobs/uploads/", ""),
        ("POST", "/v2/library/demo/blobs/uploads", ""),
        ("PATCH", "/v2/library/demo/blobs/uploads/1", ""),
        ("PUT", &finish, ""),
        ("GET", "/v2/library/demo/blobs/uploads/1", ""),
        ("DELETE", "/v2/library/demo/blobs/uploads/1", ""),
    ] {
        let answer = ask(&registry, method, path, &[]).await;
        answer.assert_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        assert!(answer.headers.contains_key("allow"));
    }
}
