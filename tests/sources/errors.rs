use super::*;

type Failure = fn() -> SourceError;

/// Every variant of [`SourceError`] with what a client gets.
const FAILURES: &[(Failure, u16, &str, &str)] = &[
    (
        || SourceError::NotFound(MissingContent::Repository),
        404,
        "NAME_UNKNOWN",
        "",
    ),
    (
        || SourceError::NotFound(MissingContent::Manifest),
        404,
        "MANIFEST_UNKNOWN",
        "",
    ),
    (
        || SourceError::NotFound(MissingContent::Blob),
        404,
        "BLOB_UNKNOWN",
        "",
    ),
    (
        || SourceError::RangeNotSatisfiable { size: 7 },
        416,
        "SIZE_INVALID",
        "",
    ),
    (|| SourceError::Denied, 403, "DENIED", ""),
    (|| SourceError::Unsupported, 404, "UNSUPPORTED", ""),
    (
        || SourceError::Busy { retry_after: None },
        503,
        "UNAVAILABLE",
        "1",
    ),
    (
        || SourceError::Busy {
            retry_after: Some(Duration::from_millis(1)),
        },
        503,
        "UNAVAILABLE",
        "1",
    ),
    (
        || SourceError::Busy {
            retry_after: Some(Duration::ZERO),
        },
        503,
        "UNAVAILABLE",
        "1",
    ),
    (
        || SourceError::Busy {
            retry_after: Some(Duration::from_millis(2001)),
        },
        503,
        "UNAVAILABLE",
        "3",
    ),
    // protocol 9
    (
        || SourceError::TooManyRequests { retry_after: None },
        429,
        "TOOMANYREQUESTS",
        "1",
    ),
    (
        || SourceError::TooManyRequests {
            retry_after: Some(Duration::from_secs(60)),
        },
        429,
        "TOOMANYREQUESTS",
        "60",
    ),
    (
        || SourceError::TooLarge { limit: 5 },
        413,
        "SIZE_INVALID",
        "",
    ),
    (|| SourceError::Full, 507, "UNKNOWN", ""),
    (
        || SourceError::DigestMismatch {
            expected: digest(b"x"),
        },
        400,
        "DIGEST_INVALID",
        "",
    ),
    (
        || SourceError::OffsetMismatch { current: 5 },
        416,
        "BLOB_UPLOAD_INVALID",
        "",
    ),
    (
        || SourceError::UploadUnknown,
        404,
        "BLOB_UPLOAD_UNKNOWN",
        "",
    ),
    (
        || SourceError::MissingReferences(vec![digest(b"x")]),
        400,
        "MANIFEST_BLOB_UNKNOWN",
        "",
    ),
    (|| SourceError::PreconditionFailed, 412, "DENIED", ""),
    (
        || SourceError::Invalid("what was wrong".to_owned()),
        400,
        "MANIFEST_INVALID",
        "",
    ),
    (
        || SourceError::RequestBody(SECRET.into()),
        400,
        "BLOB_UPLOAD_INVALID",
        "",
    ),
    (|| SourceError::backend(SECRET), 500, "UNKNOWN", ""),
];

/// A source that fails in every method.
fn failing(failure: Failure) -> Scripted {
    Scripted::new()
        .on_manifest(move |_| Err(failure()))
        .on_blob(move |_| Err(failure()))
        .on_stat_blob(move |_| Err(failure()))
        .on_stat_manifest(move |_| Err(failure()))
        .on_tags(move |_| Err(failure()))
        .on_referrers(move |_| Err(failure()))
        .on_repositories(move |_| Err(failure()))
}

#[tokio::test]
async fn every_error_of_a_source_has_its_status_and_code_in_every_operation() {
    let blob = blob_uri(b"x");
    let referrers = format!("/v2/demo/referrers/{}", digest(b"x"));
    for &(failure, status, code, retry_after) in FAILURES {
        let service = OciRegistryService::new(failing(failure));
        for (method, uri, headers) in [
            ("GET", "/v2/demo/manifests/a", None),
            ("HEAD", "/v2/demo/manifests/a", None),
            ("GET", "/v2/demo/manifests/a", Some(("if-none-match", "*"))),
            ("GET", &blob, None),
            ("GET", &blob, Some(("range", "bytes=99-"))),
            ("GET", &blob, Some(("range", "bytes=0-0,2-2"))),
            ("GET", &blob, Some(("if-none-match", "*"))),
            ("HEAD", &blob, None),
            ("GET", "/v2/demo/tags/list", None),
            ("GET", "/v2/demo/tags/list?n=0", None),
            ("GET", "/v2/_catalog", None),
            ("GET", &referrers, None),
        ] {
            let answer = ask(&service, method, uri, headers.as_slice()).await;
            if uri == referrers && matches!(failure(), SourceError::NotFound(_)) {
                assert_eq!(answer.status, 200);
                continue;
            }
            if uri == blob
                && headers.is_none()
                && matches!(
                    (method, failure()),
                    ("GET", SourceError::RangeNotSatisfiable { .. })
                )
            {
                continue; // none was asked for: a broken promise
            }
            let context = format!("{method} {uri} {headers:?} {:?}", failure());
            assert_eq!(answer.status, status, "{context}");
            assert_eq!(answer.header("retry-after"), retry_after, "{context}");
            assert_eq!(answer.header("cache-control"), "no-store", "{context}");
            if method == "GET" {
                answer.assert_error(status, code);
                let text = String::from_utf8(answer.body.to_vec()).unwrap();
                assert!(!text.contains(SECRET), "{context}: {text}");
            }
            match failure() {
                SourceError::RangeNotSatisfiable { .. } => {
                    assert_eq!(answer.header("content-range"), "bytes */7");
                }
                SourceError::Backend(_) => assert_eq!(assert_backend_failure(&answer), SECRET),
                _ => assert!(answer.extensions.get::<Arc<SourceError>>().is_none()),
            }
        }
    }
}

#[tokio::test]
async fn missing_references_are_listed_one_by_one_up_to_a_hundred() {
    let digests = |count: u32| {
        (0..count)
            .map(|number| digest(&number.to_be_bytes()))
            .collect()
    };
    for (count, shown) in [(2, 2), (100, 100), (5000, 100)] {
        let source = Scripted::new()
            .on_manifest(move |_| Err(SourceError::MissingReferences(digests(count))));
        let answer = get(&OciRegistryService::new(source), "/v2/demo/manifests/a").await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.error_codes(), vec!["MANIFEST_BLOB_UNKNOWN"; shown]);
        let first = &answer.json()["errors"][0]["detail"]["digest"];
        assert_eq!(first, &serde_json::json!(digest(&0_u32.to_be_bytes())));
    }
}

#[tokio::test]
async fn a_request_body_that_was_cut_by_a_length_limit_is_413() {
    let source = Scripted::new().on_blob(|_| {
        let limited = http_body_util::Limited::new(BytesBody::new("too long"), 3);
        let cut = pin!(limited.collect());
        let Poll::Ready(Err(cut)) = cut.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the body is longer than its limit");
        };
        Err(SourceError::RequestBody(cut))
    });
    let answer = get(&OciRegistryService::new(source), &blob_uri(b"x")).await;
    answer.assert_error(413, "SIZE_INVALID");
}
