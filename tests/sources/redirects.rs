use super::*;

// protocol 7
#[tokio::test]
async fn a_redirect_is_307_and_nobody_may_keep_it() {
    let to = "https://storage.example/signed?key=a%20b&x=%2F";
    let source = Scripted::new()
        .on_stat_blob(|_| Ok(BlobInfo::seekable(5)))
        .on_blob(move |_| {
            Ok(Blob::Redirect {
                to: to.parse().unwrap(),
                size: Some(5),
            })
        });
    let service = OciRegistryService::new(source.clone());
    let uri = blob_uri(b"01234");
    for headers in [&[][..], &[("range", "bytes=1-2")]] {
        let answer = ask(&service, "GET", &uri, headers).await;
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), to);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(
            answer.header("docker-content-digest"),
            digest(b"01234").to_string()
        );
        for absent in ["etag", "accept-ranges", "content-range", "content-type"] {
            assert_eq!(answer.header(absent), "");
        }
    }
    // HEAD is answered here: some clients do not follow a redirect of HEAD.
    source.calls();
    let answer = head(&service, &uri).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "5")
    );
    assert_eq!(source.calls(), ["stat_blob demo"]);
}

#[tokio::test]
async fn a_source_that_cannot_seek_answers_every_range_with_the_whole() {
    let bytes = noise(100);
    let uri = blob_uri(&bytes);
    let whole = bytes.clone();
    let source = Scripted::new()
        .on_stat_blob(|_| Ok(BlobInfo::unseekable(100)))
        .on_blob(move |_| Ok(unseekable(&whole)));
    let service = OciRegistryService::new(source);
    for range in [
        "bytes=0-0",
        "bytes=5-",
        "bytes=-5",
        "bytes=0-99",
        "bytes=0-1,5-6",
        "bytes=500-",
        "bytes=5-1",
        "bytes=x",
        "bytes=0-1,5-1",
        "lines=1-2",
    ] {
        let answer = ask(&service, "GET", &uri, &[("range", range)]).await;
        assert_eq!(answer.status, 200, "{range}");
        assert_eq!(answer.body, bytes, "{range}");
        assert_eq!(answer.header("accept-ranges"), "", "{range}");
        assert_eq!(answer.header("content-range"), "", "{range}");
    }
    let answer = head(&service, &uri).await;
    assert_eq!(
        (
            answer.header("accept-ranges"),
            answer.header("content-length")
        ),
        ("", "100")
    );
}
