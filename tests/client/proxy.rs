//! A registry as a source: what a proxied request costs, and what its failures are.

use super::*;

/// A proxy before `store`, and the requests that reached the registry behind it.
fn proxy_of(
    store: MemoryStore,
) -> (
    OciRegistryService<tower_oci::ReadOnly<RemoteSource>>,
    Arc<Mutex<Vec<String>>>,
) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let client = client_of(move |request: Request<DynBody>| {
        let line = format!(
            "{} {}",
            request.method(),
            request.uri().path_and_query().unwrap()
        );
        seen.lock().unwrap().push(line);
        let store = store.clone();
        async move { ask(&store, request).await }
    });
    let source = RemoteSource::new(client.build());
    (OciRegistryService::new(source), requests)
}

#[tokio::test(start_paused = true)]
async fn a_proxied_request_costs_one_request() {
    let (store, image) = (MemoryStore::new(), index());
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let (proxy, requests) = proxy_of(store);
    let (digest, layer) = (image.digest(), image.children()[0].layers()[0].digest);
    let (etag, blob) = (format!("\"{digest}\""), format!("/v2/demo/blobs/{layer}"));
    let by_digest = format!("/v2/demo/manifests/{digest}");
    let by_tag = "/v2/demo/manifests/latest".to_owned();
    type Row<'a> = (
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
        u16,
        &'a [&'a str],
    );
    let rows: &[Row<'_>] = &[
        ("GET", &by_tag, &[], 200, &["GET"]),
        ("HEAD", &by_tag, &[], 200, &["HEAD"]),
        ("GET", &by_tag, &[("if-none-match", &etag)], 304, &["GET"]),
        ("GET", &by_digest, &[], 200, &["GET"]),
        (
            "GET",
            &by_digest,
            &[("if-none-match", &etag)],
            304,
            &["HEAD"],
        ),
        ("GET", &blob, &[], 200, &["GET"]),
        ("HEAD", &blob, &[], 200, &["HEAD"]),
        ("GET", &blob, &[("range", "bytes=5-9")], 206, &["GET"]),
        ("GET", &blob, &[("range", "bytes=-9")], 206, &["GET"]),
        ("GET", &blob, &[("range", "bytes=9999999-")], 416, &["GET"]),
        (
            "GET",
            &blob,
            &[("range", "bytes=0-1,5-6")],
            206,
            &["HEAD", "GET", "GET"],
        ),
        ("GET", "/v2/demo/tags/list", &[], 200, &["GET"]),
        ("GET", "/v2/_catalog", &[], 200, &["GET"]),
        ("GET", "/v2/demo/manifests/none", &[], 404, &["GET"]),
    ];
    for (method, uri, headers, status, expected) in rows {
        let answer = common::ask(&proxy, method, uri, headers).await;
        assert_eq!(answer.status, *status, "{method} {uri} {headers:?}");
        let requests = std::mem::take(&mut *requests.lock().unwrap());
        let methods: Vec<&str> = requests
            .iter()
            .map(|it| it.split(' ').next().unwrap())
            .collect();
        assert_eq!(
            methods, *expected,
            "{method} {uri} {headers:?}: {requests:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn lists_pass_the_page_and_the_order_of_the_registry() {
    let (store, image) = (MemoryStore::new(), index());
    for number in 0..5 {
        store.add_image(&name("demo"), Some(&tag(&format!("t{number}"))), &image);
    }
    let (proxy, requests) = proxy_of(store);
    let answer = common::get(&proxy, "/v2/demo/tags/list?n=2&last=t1").await;
    assert_eq!(answer.json()["tags"], serde_json::json!(["t2", "t3"]));
    assert_eq!(
        answer.header("link"),
        "</v2/demo/tags/list?n=2&last=t3>; rel=\"next\""
    );
    assert_eq!(
        *requests.lock().unwrap(),
        ["GET /v2/demo/tags/list?n=2&last=t1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_position_that_only_the_registry_understands_comes_back_to_it() {
    let client = client_of(|request: Request<DynBody>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let page = |body: &'static str, link: Option<&str>| {
            let link: Vec<_> = link
                .map(|link| ("link", link.to_owned()))
                .into_iter()
                .collect();
            answer(200, &link, body)
        };
        std::future::ready(match query.contains("token=xyz%2F1") {
            true => page(r#"{"tags":["a"]}"#, None),
            false => page(
                r#"{"tags":["z"]}"#,
                Some("<?token=xyz%2F1&n=1>; rel=\"next\""),
            ),
        })
    });
    let proxy = OciRegistryService::new(RemoteSource::new(client.build()));
    let first = common::get(&proxy, "/v2/demo/tags/list?n=1").await;
    let link = first.header("link").to_owned();
    let next = link.split(['<', '>']).nth(1).unwrap();
    let second = common::get(&proxy, next).await;
    assert_eq!(second.json()["tags"], serde_json::json!(["a"]), "{next}");
    assert_eq!(second.header("link"), "");
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_registry_are_those_of_an_upstream() {
    for (status, expected, code) in [
        (401, 502, "UNKNOWN"),
        (403, 502, "UNKNOWN"),
        (500, 502, "UNKNOWN"),
        (503, 502, "UNKNOWN"),
        (504, 504, "UNKNOWN"),
        (429, 429, "TOOMANYREQUESTS"),
    ] {
        let client = client_of_answer(status, &[], b"secret").retry(RetryPolicy::never());
        let proxy = OciRegistryService::new(RemoteSource::new(client.build()));
        let answer = common::get(&proxy, "/v2/demo/manifests/latest").await;
        answer.assert_error(expected, code);
        assert!(!answer.json().to_string().contains("secret"));
    }
    let bad = client_of_answer(200, &[], b"no manifest").build();
    let proxy = OciRegistryService::new(RemoteSource::new(bad));
    let answer = common::get(&proxy, "/v2/demo/manifests/latest").await;
    answer.assert_error(502, "UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_or_passed_on() {
    let layer = tower_oci::Algorithm::Sha256.digest("hello");
    let builder = || {
        client_of(|request: Request<DynBody>| {
            std::future::ready(match request.uri().host() {
                Some("storage.test") => answer(200, &[("content-length", "5")], "hello"),
                _ => answer(307, &[("location", "http://storage.test/x?sig=1")], ""),
            })
        })
    };
    let uri = format!("/v2/demo/blobs/{layer}");
    let proxy = OciRegistryService::new(RemoteSource::new(builder().build()));
    assert_eq!(common::get(&proxy, &uri).await.body, "hello");
    let source = RemoteSource::new(builder().build()).pass_redirects(true);
    let answer = common::get(&OciRegistryService::new(source), &uri).await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), "http://storage.test/x?sig=1");
}
