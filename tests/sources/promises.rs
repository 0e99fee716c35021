use super::*;

fn content(info: BlobInfo, range: std::ops::Range<u64>, body: DynBody) -> Blob<DynBody> {
    Blob::Content(BlobContent::new(info, range, body))
}

#[tokio::test]
async fn an_answer_that_a_source_may_not_give_is_a_failure_of_the_storage() {
    let redirect = || Blob::Redirect {
        to: "http://secret/".parse().unwrap(),
        size: Some(5),
    };
    let other = Manifest::new(MediaType::OCI_MANIFEST, "{}");
    let blob = blob_uri(b"01234");
    let by_digest = format!("/v2/demo/manifests/{}", digest(b"asked"));
    let many = |count: usize| (0..count).map(|number| tag(&number.to_string())).collect();
    let seekable = BlobInfo::seekable(5);

    let not_modified = |_| Ok(Found::NotModified(digest(b"x")));
    let listing = move |limit: usize| Ok(Listing::new(many(limit + 1), None));
    type Row<'a> = (
        &'a str,
        Scripted,
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
    );
    let rows: Vec<Row<'_>> = vec![
        (
            "another manifest than asked for",
            Scripted::new().on_manifest(move |_| Ok(other.clone().into())),
            "GET",
            &by_digest,
            &[],
        ),
        (
            "another manifest than asked for, on HEAD",
            Scripted::new().on_stat_manifest(|_| Ok(ManifestInfo::of(&manifest()))),
            "HEAD",
            &by_digest,
            &[],
        ),
        (
            "another manifest than asked for, where that answers a condition",
            Scripted::new().on_manifest(move |_| Ok(Found::NotModified(digest(b"x")))),
            "GET",
            &by_digest,
            &[(
                "if-none-match",
                "\"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"",
            )],
        ),
        (
            "NotModified unasked",
            Scripted::new().on_manifest(not_modified),
            "GET",
            "/v2/demo/manifests/a",
            &[],
        ),
        (
            "NotModified of what the client does not have",
            Scripted::new().on_manifest(not_modified),
            "GET",
            "/v2/demo/manifests/a",
            &[("if-none-match", "\"x\"")],
        ),
        (
            "another range than asked for",
            Scripted::new().on_blob(move |_| Ok(content(seekable, 1..3, pieces([Ok(b"12")])))),
            "GET",
            &blob,
            &[("range", "bytes=0-1")],
        ),
        (
            "a range where none was asked for",
            Scripted::new().on_blob(move |_| Ok(content(seekable, 1..3, pieces([Ok(b"12")])))),
            "GET",
            &blob,
            &[],
        ),
        (
            "a range beyond the end",
            Scripted::new().on_blob(move |_| Ok(content(seekable, 0..9, pieces([Ok(b"12")])))),
            "GET",
            &blob,
            &[("range", "bytes=0-8")],
        ),
        (
            "a range that cannot be served where none was asked for",
            Scripted::new().on_blob(|_| Err(SourceError::RangeNotSatisfiable { size: 5 })),
            "GET",
            &blob,
            &[],
        ),
        (
            "a range that cannot be served although it can",
            Scripted::new().on_blob(|_| Err(SourceError::RangeNotSatisfiable { size: 5 })),
            "GET",
            &blob,
            &[("range", "bytes=2-")],
        ),
        (
            "an empty blob has no range, and none was asked for",
            Scripted::new().on_blob(|_| Err(SourceError::RangeNotSatisfiable { size: 0 })),
            "GET",
            &blob,
            &[],
        ),
        (
            "more tags than asked for",
            Scripted::new().on_tags(listing),
            "GET",
            "/v2/demo/tags/list?n=3",
            &[],
        ),
        (
            "more repositories than asked for",
            Scripted::new().on_repositories(|(_, limit)| {
                let items = (0..=limit)
                    .map(|number| name(&number.to_string()))
                    .collect();
                Ok(Listing::new(items, None))
            }),
            "GET",
            "/v2/_catalog?n=2",
            &[],
        ),
        (
            "a redirect that leads nowhere",
            Scripted::new().on_blob(|_| {
                Ok(Blob::Redirect {
                    to: "/secret".parse().unwrap(),
                    size: Some(5),
                })
            }),
            "GET",
            &blob,
            &[],
        ),
    ];
    for (promise, source, method, uri, headers) in rows {
        let answer = ask(&OciRegistryService::new(source), method, uri, headers).await;
        assert_eq!(answer.status, 500, "{promise}: {answer:?}");
        let cause = assert_backend_failure(&answer);
        assert!(cause.contains("the source "), "{promise}: {cause}");
    }

    // A redirect where a stat needs the bytes, and in the default methods.
    let redirecting = Scripted::new().on_blob(move |_| Ok(redirect()));
    let answer = head(&OciRegistryService::new(Minimal(redirecting)), &blob).await;
    assert_backend_failure(&answer);
    let lying = Scripted::new().on_manifest(not_modified);
    let answer = head(
        &OciRegistryService::new(Minimal(lying)),
        "/v2/demo/manifests/a",
    )
    .await;
    assert_backend_failure(&answer);
}

#[tokio::test]
async fn more_referrers_than_asked_for_are_a_failure_of_the_storage() {
    let source = Scripted::new().on_referrers(|limit| {
        let items = (0..=limit)
            .map(|number| descriptor(&number.to_be_bytes()))
            .collect();
        Ok(Listing::new(items, None))
    });
    let uri = format!("/v2/demo/referrers/{}?n=2", digest(b"x"));
    assert_backend_failure(&get(&OciRegistryService::new(source), &uri).await);
}

#[tokio::test]
async fn a_body_that_breaks_its_promise_never_ends_cleanly() {
    type Make = fn() -> DynBody;
    let broken: &[(&str, Make, &str)] = &[
        ("empty", || pieces([]), "ended 10 bytes early"),
        (
            "short",
            || pieces([Ok(b"01234"), Ok(b"5678")]),
            "ended 1 bytes early",
        ),
        (
            "long by a piece",
            || pieces([Ok(b"01234"), Ok(b"56789"), Ok(b"x")]),
            "longer",
        ),
        (
            "long in one piece",
            || pieces([Ok(b"0123456789x")]),
            "longer",
        ),
        (
            "long after empty pieces",
            || pieces([Ok(b"0123456789"), Ok(b""), Ok(b"x")]),
            "longer",
        ),
        (
            "long without knowing its end",
            || DynBody::new(BytesBody::new("0123456789x")),
            "longer",
        ),
        (
            "an error at the beginning",
            || pieces([Err("broken off")]),
            "broken off",
        ),
        (
            "an error in the middle",
            || pieces([Ok(b"01234"), Err("broken off")]),
            "broken off",
        ),
        (
            "an error at the end",
            || pieces([Ok(b"0123456789"), Err("broken off")]),
            "broken off",
        ),
    ];
    for (how, make, expected) in broken {
        let make = *make;
        let source = Scripted::new()
            .on_stat_blob(|_| Ok(BlobInfo::seekable(30)))
            .on_blob(move |(_, options)| {
                let info = BlobInfo::seekable(30);
                let range = info.resolve(options.range)?;
                Ok(content(info, range, make()))
            });
        let service = OciRegistryService::new(source);
        let uri = blob_uri(b"x");
        let response = raw(&service, &uri, "bytes=10-19").await;
        assert_eq!(response.status(), 206);
        let (bytes, error) = drained(response).await;
        assert!(
            bytes.len() < 10,
            "{how}: the last byte came before the error"
        );
        assert!(
            error
                .as_deref()
                .is_some_and(|error| error.contains(expected)),
            "{how}: {error:?}"
        );

        let response = raw(&service, &uri, "bytes=0-9,20-29").await;
        assert_eq!(response.status(), 206);
        let length: usize = response.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let (bytes, error) = drained(response).await;
        assert!(bytes.len() < length, "{how}");
        assert!(
            error
                .as_deref()
                .is_some_and(|error| error.contains(expected)),
            "{how}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_part_that_cannot_be_opened_ends_the_answer_with_an_error() {
    type Open = fn(GetBlob) -> Result<Blob<DynBody>, SourceError>;
    let openings: &[Open] = &[
        |_| Err(SourceError::backend("broken off")),
        |_| Err(SourceError::NotFound(MissingContent::Blob)),
        |_| {
            Ok(Blob::Redirect {
                to: "http://other/".parse().unwrap(),
                size: Some(10),
            })
        },
        |_| {
            Ok(content(
                BlobInfo::seekable(10),
                0..10,
                pieces([Ok(b"0123456789")]),
            ))
        },
    ];
    for &open in openings {
        let source = Scripted::new()
            .on_stat_blob(|_| Ok(BlobInfo::seekable(10)))
            .on_blob(move |(_, options)| match options.range {
                Some(ByteRange::FromTo(0, _)) => {
                    Ok(Blob::from_bytes("0123456789", &options)?.map_body(DynBody::new))
                }
                _ => open(options),
            });
        let service = OciRegistryService::new(source);
        let response = raw(&service, &blob_uri(b"x"), "bytes=0-1,5-6").await;
        assert_eq!(response.status(), 206);
        let (bytes, error) = drained(response).await;
        assert!(error.is_some());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("bytes 0-1/10\r\n\r\n01\r\n"), "{text}");
        assert!(!text.ends_with("--\r\n"), "{text}");
    }
}

#[tokio::test]
async fn a_blob_that_is_promised_empty_and_is_not_never_sends_a_byte() {
    let source = Scripted::new().on_blob(|_| {
        Ok(content(
            BlobInfo::seekable(0),
            0..0,
            pieces([Ok(b"too much")]),
        ))
    });
    let response = raw(&OciRegistryService::new(source), &blob_uri(b""), "bytes=0-").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "0");
    assert_eq!(drained(response).await.0, b"");
}

#[tokio::test]
async fn a_blob_of_an_absurd_size_does_no_harm() {
    let source = Scripted::new()
        .on_stat_blob(|_| Ok(BlobInfo::seekable(u64::MAX)))
        .on_blob(|_| {
            Ok(content(
                BlobInfo::seekable(u64::MAX),
                0..u64::MAX,
                pieces([]),
            ))
        });
    let service = OciRegistryService::new(source);
    for range in [
        "bytes=0-9223372036854775807,9223372036854775808-18446744073709551614",
        "bytes=0-18446744073709551615",
        "bytes=-18446744073709551615",
    ] {
        let response = raw(&service, &blob_uri(b"x"), range).await;
        assert_eq!(response.status(), 206, "{range}");
        assert!(drained(response).await.1.is_some(), "{range}");
    }
}
