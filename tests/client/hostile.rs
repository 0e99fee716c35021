//! What a reader with bad intentions tried: secrets, time and memory that a registry could get.

use super::*;

/// A registry whose uploads go on at a storage of its own, which demands a password for itself.
#[tokio::test(start_paused = true)]
async fn what_the_host_of_an_upload_demands_is_not_answered() {
    let client = client_of(|request: Request<DynBody>| {
        let sent = request.headers().contains_key(header::AUTHORIZATION);
        assert!(!sent, "a secret went to {}", request.uri());
        let evil = r#"Bearer realm="http://evil.test/token""#;
        std::future::ready(match (request.method().as_str(), request.uri().host()) {
            (_, Some("storage.test")) => answer(401, &[("www-authenticate", evil)], ""),
            ("POST", _) => answer(202, &[("location", "http://storage.test/up")], ""),
            _ => answer(404, &[] as &[(&str, &str)], ""),
        })
    });
    let client = client
        .credentials(Credentials::basic("alice", "sesame"))
        .build();
    let image = index();
    for _ in 0..2 {
        let options = PushOptions::default();
        let demo = name("demo");
        let error = client
            .push_image(&demo, None, &image, &options)
            .await
            .unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_all_time_is_an_error() {
    let after = [("retry-after", "18446744073709551615")];
    let client = client_of_answer(503, &after, b"").build();
    let deadline = tokio::time::Instant::now().into_std() + Duration::from_secs(10);
    for client in [client.until(deadline), client] {
        let error = client.all_tags(&name("demo")).await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_does_not_get_on_has_an_end() {
    let pieces = Arc::new(Mutex::new(0));
    let counted = pieces.clone();
    let client = client_of(move |request: Request<DynBody>| {
        let stuck = [("location", "/v2/demo/blobs/uploads/1"), ("range", "0-0")];
        std::future::ready(match request.method().as_str() {
            "PATCH" => {
                *counted.lock().unwrap() += 1;
                answer(202, &stuck, "")
            }
            "POST" => answer(202, &stuck, ""),
            // What is small enough for one piece gets through.
            "PUT" => answer(201, &[] as &[(&str, &str)], ""),
            "GET" => answer(204, &stuck, ""),
            _ => answer(404, &[] as &[(&str, &str)], ""),
        })
    });
    let mut options = PushOptions::default();
    (options.chunk, options.concurrency) = (Some(10_000), 1);
    let (client, demo, image) = (client.build(), name("demo"), index());
    let error = client
        .push_image(&demo, None, &image, &options)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not get on"), "{error}");
    assert!(*pieces.lock().unwrap() < 50);
}

/// A body that begins and then says nothing more.
fn silent(beginning: &'static str) -> DynBody {
    let beginning = Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(beginning)));
    let beginning = futures_util::stream::iter([beginning]);
    let body = futures_util::StreamExt::chain(beginning, futures_util::stream::pending());
    DynBody::new(StreamBody::new(body))
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_falls_silent_ends_in_an_error_without_any_deadline() {
    let never = client_of(|_| std::future::pending())
        .retry(RetryPolicy::never())
        .build();
    let error = never.all_tags(&name("demo")).await.unwrap_err();
    assert!(error.to_string().contains("nothing arrived"), "{error}");
    for status in [200, 404] {
        let client = client_of(move |_| {
            let response = Response::builder().status(status).body(silent("{"));
            std::future::ready(response.unwrap())
        });
        let client = client.retry(RetryPolicy::never()).build();
        let latest = Reference::Tag(tag("latest"));
        client.manifest(&name("demo"), &latest).await.unwrap_err();
        client.all_tags(&name("demo")).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_blob_that_changed_meanwhile_is_not_joined_to_another() {
    let first = Arc::new(Mutex::new(true));
    let client = client_of(move |_| {
        let is_first = std::mem::take(&mut *first.lock().unwrap());
        let etag = if is_first { "\"one\"" } else { "\"two\"" };
        let body = match is_first {
            true => silent("0123"),
            false => DynBody::new(BytesBody::new("abcdefghij")),
        };
        let response = Response::builder()
            .header("etag", etag)
            .header("content-length", 10);
        std::future::ready(response.body(body).unwrap())
    });
    let digest = tower_oci::Algorithm::Sha256.digest("0123456789");
    let range = tower_oci::ByteRange::FromTo(2, 8);
    let download = client
        .build()
        .blob_range(&name("demo"), &digest, range)
        .await
        .unwrap();
    let error = download.body.collect().await.unwrap_err();
    assert!(error.to_string().contains("has changed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_off_is_asked_for_again() {
    let first = Arc::new(Mutex::new(true));
    let client = client_of(move |_| {
        let body = match std::mem::take(&mut *first.lock().unwrap()) {
            true => silent(r#"{"tags":["#),
            false => DynBody::new(BytesBody::new(r#"{"tags":["a"]}"#)),
        };
        std::future::ready(Response::new(body))
    });
    let tags = client.build().all_tags(&name("demo")).await.unwrap();
    assert_eq!(tags, [tag("a")]);
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_quote_all_of_a_list() {
    let body = format!(r#"{{"tags":"{}"}}"#, "A".repeat(100_000));
    let client = client_of_answer(200, &[], Box::leak(body.into_bytes().into_boxed_slice()));
    let error = client.build().all_tags(&name("demo")).await.unwrap_err();
    assert!(error.to_string().len() < 500, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_two_types_is_none() {
    let index = br#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let told = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
    let client = client_of_answer(200, &told, index).build();
    let latest = Reference::Tag(tag("latest"));
    let error = client.manifest(&name("demo"), &latest).await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::Manifest(_)),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_refused_is_an_upload() {
    for status in [400, 401, 403, 404, 405] {
        let store = MemoryStore::new();
        let target = store.clone();
        let client = client_of(move |request: Request<DynBody>| {
            let store = store.clone();
            async move {
                match request.uri().query().unwrap_or_default().contains("mount=") {
                    true => answer(status, &[] as &[(&str, &str)], ""),
                    false => ask(&store, request).await,
                }
            }
        });
        let mut options = PushOptions::default();
        options.mount_from = Some(name("other"));
        let (client, demo, image) = (client.build(), name("demo"), index());
        let pushed = client
            .push_image(&demo, None, &image, &options)
            .await
            .unwrap();
        assert_eq!((pushed.sent, pushed.mounted), (5, 0), "{status}");
        drop(target);
    }
}
