use super::*;

/// A source whose every method has an answer that no default gives.
fn spy() -> Scripted {
    let next = || Cursor::from_text("next");
    Scripted::new()
        .on_manifest(|_| Ok(Found::NotModified(digest(b"known"))))
        .on_blob(|_| {
            Ok(Blob::Redirect {
                to: "http://other/".parse().unwrap(),
                size: 7,
            })
        })
        .on_stat_blob(|_| Ok(BlobInfo::unseekable(8)))
        .on_stat_manifest(|_| {
            Ok(ManifestInfo::new(
                digest(b"stat"),
                MediaType::OCTET_STREAM,
                9,
            ))
        })
        .on_tags(move |_| Ok(Listing::new(vec![tag("a-tag")], next())))
        .on_referrers(move |_| Ok(Listing::new(vec![descriptor(b"referrer")], next())))
        .on_repositories(move |_| Ok(Listing::new(vec![name("a/repository")], next())))
}

/// Calls each method with arguments that are no defaults, and compares what came back and what
/// arrived.
async fn assert_forwards<S: BlobSource>(wrapper: &str, wrap: impl FnOnce(Scripted) -> S) {
    let spy = spy();
    let source = wrap(spy.clone());
    let repository = name("demo");
    let reference = Reference::Tag(tag("latest"));
    let subject = Algorithm::Sha512.digest(b"subject");
    let known = [digest(b"known"), digest(b"other")];
    let (cursor, artifact_type) = (
        Cursor::from_text("after"),
        "a/type".parse::<ArtifactType>().unwrap(),
    );
    let page = Page::first(13).after(&cursor);

    let options = GetManifest::default().unless(&known);
    let found = source
        .manifest(&repository, &reference, options)
        .await
        .unwrap();
    assert!(
        matches!(found, Found::NotModified(found) if found == known[0]),
        "{wrapper}"
    );
    let options = GetBlob::default()
        .range(ByteRange::Suffix(5))
        .redirects(true);
    let blob = source.blob(&repository, &subject, options).await.unwrap();
    assert!(matches!(blob, Blob::Redirect { size: 7, .. }), "{wrapper}");
    let info = source.stat_blob(&repository, &subject).await.unwrap();
    assert_eq!(info, BlobInfo::unseekable(8), "{wrapper}");
    let info = source.stat_manifest(&repository, &reference).await.unwrap();
    assert_eq!((info.digest, info.size), (digest(b"stat"), 9), "{wrapper}");
    let tags = source.tags(&repository, page).await.unwrap();
    assert_eq!(
        (tags.items, tags.next),
        (vec![tag("a-tag")], Cursor::from_text("next")),
        "{wrapper}"
    );
    let mut options = ListReferrers::new(page).artifact_type(&artifact_type);
    options.max_bytes = 77;
    let referrers = source
        .referrers(&repository, &subject, options)
        .await
        .unwrap();
    assert_eq!(referrers.items, [descriptor(b"referrer")], "{wrapper}");
    assert_eq!(referrers.next, Cursor::from_text("next"), "{wrapper}");
    let repositories = source.repositories(page).await.unwrap();
    assert_eq!(repositories.items, [name("a/repository")], "{wrapper}");

    let expected = [
        "manifest demo latest unless 2",
        "blob demo Some(Suffix(5)) redirects true",
        "stat_blob demo",
        "stat_manifest demo latest",
        "tags demo Some(\"after\") 13",
        "referrers demo Some(\"a/type\") Some(\"after\") 13 77",
        "repositories Some(\"after\") 13",
    ];
    assert_eq!(spy.calls(), expected, "{wrapper}");
}

#[tokio::test]
async fn every_wrapper_forwards_every_method_with_its_arguments() {
    assert_forwards("Arc", Arc::new).await;
    assert_forwards("ReadOnly", ReadOnly::new).await;
    assert_forwards("DynSource", DynSource::new).await;
    assert_forwards("Arc of Arc", |spy| Arc::new(Arc::new(spy))).await;
    assert_forwards("ReadOnly of Arc", |spy| ReadOnly::new(Arc::new(spy))).await;
    assert_forwards("Arc of DynSource", |spy| Arc::new(DynSource::new(spy))).await;
    assert_forwards("DynSource of all", |spy| {
        DynSource::new(ReadOnly::new(Arc::new(DynSource::new(Arc::new(
            ReadOnly::new(spy),
        )))))
    })
    .await;
    assert_forwards("unwrapped again", |spy| ReadOnly::new(spy).into_inner()).await;
}

#[tokio::test]
async fn the_service_asks_through_all_wrappers_for_no_more_than_it_needs() {
    let source = holding(b"0123456789");
    let wrapped = DynSource::new(ReadOnly::new(Arc::new(source.clone())));
    let service = OciRegistryService::new(wrapped);
    let uri = blob_uri(b"0123456789");
    let etag = format!("\"{}\"", digest(b"0123456789"));
    let manifest_etag = format!("\"{}\"", manifest().digest());
    type Row<'a> = (
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
        u16,
        &'a [&'a str],
    );
    let rows: &[Row<'_>] = &[
        // protocol 19: HEAD opens nothing.
        ("HEAD", &uri, &[], 200, &["stat_blob demo"]),
        (
            "HEAD",
            &uri,
            &[("range", "bytes=1-2")],
            200,
            &["stat_blob demo"],
        ),
        (
            "HEAD",
            "/v2/demo/manifests/a",
            &[],
            200,
            &["stat_manifest demo a"],
        ),
        // A 304 or 412 opens nothing either.
        (
            "GET",
            &uri,
            &[("if-none-match", &etag)],
            304,
            &["stat_blob demo"],
        ),
        (
            "GET",
            &uri,
            &[("if-none-match", "*")],
            304,
            &["stat_blob demo"],
        ),
        (
            "GET",
            &uri,
            &[("if-match", "\"x\"")],
            412,
            &["stat_blob demo"],
        ),
        (
            "GET",
            "/v2/demo/manifests/a",
            &[("if-none-match", "*")],
            304,
            &["stat_manifest demo a"],
        ),
        (
            "GET",
            "/v2/demo/manifests/a",
            &[("if-none-match", &manifest_etag)],
            304,
            &["manifest demo a unless 1"],
        ),
        ("GET", &uri, &[], 200, &["blob demo None redirects true"]),
        (
            "GET",
            &uri,
            &[("range", "bytes=2-4")],
            206,
            &["blob demo Some(FromTo(2, 4)) redirects true"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=-3")],
            206,
            &["blob demo Some(Suffix(3)) redirects true"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=99-")],
            416,
            &["blob demo Some(From(99)) redirects true"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=4-2")],
            416,
            &["stat_blob demo"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=0-1,5-6,-1")],
            206,
            &[
                "stat_blob demo",
                "blob demo Some(FromTo(0, 1)) redirects false",
                "blob demo Some(FromTo(5, 6)) redirects false",
                "blob demo Some(FromTo(9, 9)) redirects false",
            ],
        ),
    ];
    for (method, uri, headers, status, calls) in rows {
        let answer = ask(&service, method, uri, headers).await;
        assert_eq!(answer.status, *status, "{method} {uri} {headers:?}");
        assert_eq!(source.calls(), *calls, "{method} {uri} {headers:?}");
    }
}
