//! What stands before a source asks it for no more than it has to.

use super::*;

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
