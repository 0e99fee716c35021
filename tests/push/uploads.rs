//! Uploads as clients send them, and what they are answered.

use std::collections::HashSet;

use super::*;

// protocol 20, 21, 23, 83 to 85 and 89
#[tokio::test]
async fn every_post_opens_a_session_of_its_own_whatever_comes_with_it() {
    let registry = registry();
    let uri = "/v2/a/b/blobs/uploads/";
    let mut ids = HashSet::new();
    for (uri, headers) in [
        (uri, &[("content-length", "0")][..]),
        (uri, &[]),
        // tower-http's NormalizePathLayer takes the slash away.
        ("/v2/a/b/blobs/uploads", &[("content-length", "0")]),
        // crane
        (uri, &[("content-type", "application/json")]),
        (uri, &[("content-type", "no type at all")]),
        ("/v2/a/b/blobs/uploads/?origin=a&unknown", &[]),
    ] {
        let answer = send_body(&registry, "POST", uri, headers, Body::empty()).await;
        assert_eq!(answer.status, 202, "{uri} {headers:?}");
        let location = answer.header("location");
        let id = location.strip_prefix("/v2/a/b/blobs/uploads/").unwrap();
        assert_eq!(answer.header("docker-upload-uuid"), id);
        assert_eq!(answer.header("range"), "0-0");
        assert_eq!(answer.header("oci-chunk-min-length"), "");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(id.len() >= 32, "{id} can be guessed");
        assert!(ids.insert(id.to_owned()), "{id} was there before");
    }
}

// A digest that is empty was meant to be one: the body must not be taken for nothing.
#[tokio::test]
async fn an_empty_digest_is_400() {
    let registry = registry();
    for query in ["digest=", "mount=", "mount=&from=a"] {
        let uri = format!("/v2/demo/blobs/uploads/?{query}");
        let answer = put(&registry, "POST", &uri, &[], "hello").await;
        answer.assert_error(400, "DIGEST_INVALID");
    }
}

// RFC 9110 §8.6
#[tokio::test]
async fn a_length_that_is_not_one_number_is_400() {
    let registry = registry();
    for lengths in [&["abc"][..], &["-5"], &["5", "6"], &[""]] {
        let location = start(&registry, "demo").await;
        let headers: Vec<_> = lengths.iter().map(|it| ("content-length", *it)).collect();
        for (method, query) in [
            ("PATCH", ""),
            ("PUT", &*format!("?digest={}", sha256("hello"))),
        ] {
            let uri = format!("{location}{query}");
            let answer = send_body(&registry, method, &uri, &headers, Body::from("hello")).await;
            answer.assert_error(400, "SIZE_INVALID");
        }
        let twice = [("content-length", "5"), ("content-length", "5")];
        let answer = send_body(&registry, "PATCH", &location, &twice, Body::from("hello")).await;
        assert_eq!(answer.status, 202);
    }
}

// design: a repository exists from its first commit
#[tokio::test]
async fn an_upload_that_is_open_makes_no_repository() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "hello").await;
    let answer = get(&registry, "/v2/demo/tags/list").await;
    answer.assert_error(404, "NAME_UNKNOWN");
    assert_eq!(
        get(&registry, "/v2/_catalog").await.body,
        r#"{"repositories":[]}"#
    );
    let answer = finish(&registry, &location, sha256("hello"), "", "").await;
    assert_eq!(answer.status, 201);
    let answer = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(answer.body, r#"{"name":"demo","tags":[]}"#);
}

// protocol 20 and 2
#[tokio::test]
async fn an_upload_to_a_malformed_name_is_400() {
    let registry = registry();
    for name in ["Demo", "a//b", "-a", "a%2Fb", &"a".repeat(256)] {
        let uri = format!("/v2/{name}/blobs/uploads/");
        let answer = put(&registry, "POST", &uri, &[], "").await;
        answer.assert_error(400, "NAME_INVALID");
    }
}

// protocol 20, 24, 26, 27, 29, 80 and 86, section 3 item 4; pitfalls: a single POST answers 202
// and throws the body away, a second streamed PATCH is refused
#[tokio::test]
async fn every_way_of_uploading_stores_the_blob_and_says_where() {
    let large = noise(1_500_000);
    let contents = ["", "a", "ab", "hello"].map(Bytes::from);
    for content in contents.iter().chain([&large]) {
        for way in Way::ALL {
            let registry = registry();
            let digest = sha256(content);
            let answer = way.upload(&registry, "a/b", digest, content).await;
            assert_stored(&registry, &answer, ("a/b", digest), content).await;
        }
    }
}

// protocol 17, section 3 item 11
#[tokio::test]
async fn an_empty_blob_has_a_length_of_0() {
    let registry = registry();
    let digest = push_blob(&registry, "demo", "").await;
    for method in ["GET", "HEAD"] {
        let answer = ask(&registry, method, &format!("/v2/demo/blobs/{digest}"), &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), "0");
    }
}

// protocol 82
#[tokio::test]
async fn the_digest_may_be_encoded_and_stand_anywhere_in_the_query() {
    let registry = registry();
    let digest = sha256("hello");
    let encoded = digest.to_string().replace(':', "%3A");
    for query in [
        format!("digest={digest}"),
        format!("digest={encoded}"),
        format!("digest={encoded}&state=1&more"),
        format!("state=1&digest={digest}"),
        format!("&digest={encoded}&"),
    ] {
        let location = start(&registry, "demo").await;
        let uri = format!("{location}?{query}");
        let answer = put(&registry, "PUT", &uri, &[], "hello").await;
        assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
        let uri = format!("/v2/demo/blobs/uploads/?{query}");
        let answer = put(&registry, "POST", &uri, &[], "hello").await;
        assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
    }
}

// protocol 30, 69, 85 and 89; pitfalls: the range 0-0 also stands for "empty"
#[tokio::test]
async fn the_range_of_an_upload_ends_with_its_last_byte_and_that_of_an_empty_one_is_0_0() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    assert_open(&registry, &location, "0-0").await;
    for (piece, range) in [("a", "0-0"), ("b", "0-1"), ("", "0-1"), ("cd", "0-3")] {
        let answer = patch(&registry, &location, "", piece).await;
        assert_eq!(answer.status, 202);
        for answer in [
            answer,
            get(&registry, &location).await,
            head(&registry, &location).await,
        ] {
            assert_eq!(answer.header("range"), range, "{answer:?}");
            assert_eq!(answer.header("location"), location);
            let id = location.rsplit('/').next().unwrap();
            assert_eq!(answer.header("docker-upload-uuid"), id);
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    let digest = sha256("abcd");
    let answer = finish(&registry, &location, digest, "", "").await;
    assert_stored(&registry, &answer, ("demo", digest), b"abcd").await;
}

// protocol 30
#[tokio::test]
async fn the_status_of_an_upload_has_no_body() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    for method in ["GET", "HEAD"] {
        let answer = ask(&registry, method, &location, &[]).await;
        // That a 204 has neither body nor length is asserted of every answer.
        assert_eq!(answer.status, 204);
    }
}

// protocol 25 and 29: a PUT that lacks the digest leaves the upload as it was
#[tokio::test]
async fn the_end_of_an_upload_without_a_digest_is_400() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "hel").await;
    for query in ["", "?digest", "?digest=", "?other=1"] {
        let uri = format!("{location}{query}");
        let answer = put(&registry, "PUT", &uri, &[], "lo").await;
        answer.assert_error(400, "DIGEST_INVALID");
        assert_open(&registry, &location, "0-2").await;
    }
}

// protocol 34
#[tokio::test]
async fn two_uploads_of_one_digest_both_succeed_and_leave_one_copy() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let content = noise(100_000);
    let digest = sha256(&content);
    let uploads = [
        start(&registry, "demo").await,
        start(&registry, "demo").await,
    ];
    for location in &uploads {
        patch(&registry, location, "", content.clone()).await;
    }
    assert!(store.used_bytes() > 200_000);
    for location in &uploads {
        let answer = finish(&registry, location, digest, "", "").await;
        assert_stored(&registry, &answer, ("demo", digest), &content).await;
    }
    let one_copy = store.used_bytes();
    assert!(one_copy < 110_000, "{one_copy}");
    push_blob(&registry, "demo", content).await;
    assert_eq!(store.used_bytes(), one_copy);
}

// protocol 81
#[tokio::test]
async fn a_piece_that_broke_off_can_be_sent_again_as_it_was() {
    let registry = registry();
    let content = b"hellohellohellohello";
    let digest = sha256(content);
    let mut last = None;
    let location = start(&registry, "demo").await;
    let uri = format!("{location}?digest={digest}");
    for (method, uri, headers) in [
        ("PATCH", &location, &[][..]),
        ("PATCH", &location, &[("content-range", "5-9")]),
        ("PATCH", &location, &[("content-length", "5")]),
        ("PUT", &uri, &[("content-range", "15-19")]),
    ] {
        let before = get(&registry, &location).await;
        for _ in 0..2 {
            let answer = send_body(&registry, method, uri, headers, broken("hel")).await;
            answer.assert_error(400, "BLOB_UPLOAD_INVALID");
            assert_open(&registry, &location, before.header("range")).await;
        }
        assert_no_blob(&registry, "demo", digest).await;
        let body = pieces(["he", "llo"]);
        last = Some(send_body(&registry, method, uri, headers, body).await);
    }
    assert_stored(&registry, &last.unwrap(), ("demo", digest), content).await;
}

// protocol 81: containerd
#[tokio::test]
async fn a_put_of_everything_that_broke_off_can_be_sent_again() {
    let registry = registry();
    let digest = sha256("hello");
    let location = start(&registry, "demo").await;
    let uri = format!("{location}?digest={digest}");
    for headers in [&[][..], &[("content-length", "5")]] {
        let answer = send_body(&registry, "PUT", &uri, headers, broken("hel")).await;
        answer.assert_error(400, "BLOB_UPLOAD_INVALID");
        assert_open(&registry, &location, "0-0").await;
    }
    let answer = put(&registry, "PUT", &uri, &[], "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// protocol 26 and 81
#[tokio::test]
async fn a_single_post_that_broke_off_leaves_nothing_and_can_be_sent_again() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let digest = sha256("hello");
    let uri = format!("/v2/demo/blobs/uploads/?digest={digest}");
    for headers in [&[][..], &[("content-length", "5")]] {
        let answer = send_body(&registry, "POST", &uri, headers, broken("hel")).await;
        answer.assert_error(400, "BLOB_UPLOAD_INVALID");
        assert_eq!(store.used_bytes(), 0);
    }
    let answer = put(&registry, "POST", &uri, &[], "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// pitfalls: names with a segment `blobs` or `uploads` are misrouted
#[tokio::test]
async fn a_name_may_hold_the_words_of_the_protocol() {
    let registry = registry();
    for repository in [
        "a/blobs/uploads",
        "blobs/uploads",
        "uploads",
        "v2/manifests/b",
    ] {
        let content = Bytes::from("hello");
        let digest = sha256(&content);
        for way in Way::ALL {
            let answer = way.upload(&registry, repository, digest, &content).await;
            assert_stored(&registry, &answer, (repository, digest), &content).await;
        }
        let document = empty_index(repository);
        let answer = push_document(&registry, (repository, "tags"), INDEX, document.clone()).await;
        let pushed = (repository, sha256(&document));
        assert_pushed(&registry, &answer, pushed, (INDEX, document.as_bytes())).await;
    }
}

// protocol 84; pitfalls: `Location` with the wrong scheme or port behind a proxy
#[tokio::test]
async fn under_a_prefix_every_location_is_a_path_that_can_be_followed() {
    let app = axum::Router::new().nest_service("/registry/v2", registry());
    let uri = "/registry/v2/demo/blobs/uploads/";
    let headers = [("host", "example.com"), ("x-forwarded-proto", "https")];
    let answer = put(&app, "POST", uri, &headers, "").await;
    let location = answer.header("location");
    assert!(location.starts_with(uri), "{location}");
    let answer = put(&app, "PATCH", location, &headers, "hello").await;
    assert_eq!(answer.header("location"), location);
    let answer = get(&app, location).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (204, location)
    );
    let digest = sha256("hello");
    let uri = format!("{location}?digest={digest}");
    let answer = put(&app, "PUT", &uri, &headers, "").await;
    assert_eq!(get(&app, answer.header("location")).await.body, "hello");

    let uri = "/registry/v2/demo/manifests/latest";
    let answer = put(&app, "PUT", uri, &[("content-type", INDEX)], "{}").await;
    let location = answer.header("location");
    assert_eq!(
        location,
        format!("/registry/v2/demo/manifests/{}", sha256("{}"))
    );
    assert_eq!(get(&app, location).await.body, "{}");
}

#[tokio::test]
async fn an_image_that_is_pushed_can_be_pulled() {
    let registry = registry();
    let image = ImageBuilder::new()
        .file("a", noise(300_000))
        .build()
        .unwrap();
    push_image(&registry, "demo", Some("latest"), &image).await;
    let got = get(&registry, "/v2/demo/manifests/latest").await;
    assert_eq!(got.body, image.manifest().bytes());
    for blob in image.descriptors() {
        let got = get(&registry, &format!("/v2/demo/blobs/{}", blob.digest)).await;
        assert!(blob.digest.verifies(&got.body));
    }
}
