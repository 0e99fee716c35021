use super::*;

fn junk() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..12),
        matching("[!-~]{0,12}").prop_map(String::into_bytes),
        select(vec![
            "v2",
            "demo",
            "manifests",
            "latest",
            "blobs",
            "uploads",
            "tags",
            "list",
            "referrers",
            "_catalog",
            "..",
            ".",
            "",
            "%2e%2e",
            "%",
            "%zz",
            "%00",
            "sha256:",
            "sha256%3A",
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "é",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
    ]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let path = || vec(junk(), 0..6).prop_map(|segments| segments.join(&b'/'));
    let known = select(vec![
        "/v2/demo/manifests/latest",
        "/v2/demo/tags/list",
        "/v2/_catalog",
        "/v2/",
        "/a/v2/demo/tags/list",
        "/v2/demo/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "/v2/demo/blobs/uploads/",
        "/v2/demo/blobs/uploads/x",
        "/v2/demo/referrers/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ]);
    let path = prop_oneof![
        path(),
        path().prop_map(|path| [b"/v2/demo/", &path[..]].concat()),
        known.prop_map(|path| path.as_bytes().to_vec()),
    ];
    let key = select(vec![
        "n",
        "last",
        "digest",
        "mount",
        "from",
        "artifactType",
        "tag",
        "x",
    ]);
    let value = prop_oneof![
        junk(),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        (0..3_u8).prop_map(|number| number.to_string().into_bytes()),
    ];
    let query = vec((key, value), 0..3);
    (path, query).prop_map(|(mut path, query)| {
        for (position, (key, value)) in query.into_iter().enumerate() {
            path.push(if position == 0 { b'?' } else { b'&' });
            path.extend_from_slice(key.as_bytes());
            path.push(b'=');
            path.extend_from_slice(&value);
        }
        path
    })
}

const METHODS: &[&str] = &[
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "!#$%&'*+-.^_`|~",
];

const HEADERS: &[&str] = &[
    "range",
    "range",
    "if-match",
    "if-none-match",
    "if-range",
    "accept",
    "host",
    "x-forwarded-prefix",
    "expect",
    "content-length",
    "content-type",
    "content-range",
    "accept-encoding",
    "authorization",
    "transfer-encoding",
    "connection",
];

const CODES: &[&str] = &[
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
];

#[track_caller]
fn assert_known(method: &str, answer: &Answer) {
    let known = [200, 206, 304, 400, 404, 405, 412, 416];
    assert!(known.contains(&answer.status.as_u16()), "{answer:?}");
    let is_error = answer.status.as_u16() >= 400;
    if is_error {
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        if method != "HEAD" {
            let codes = answer.error_codes();
            assert!(
                !codes.is_empty() && codes.iter().all(|code| CODES.contains(&&**code)),
                "{answer:?}"
            );
            let json = answer.json();
            assert!(
                !json["errors"][0]["message"]
                    .as_str()
                    .unwrap()
                    .contains(char::is_control)
            );
        }
    }
    assert_eq!(
        answer.status == 405,
        answer.headers.contains_key("allow"),
        "{answer:?}"
    );
    let link = answer.header("link");
    assert!(
        link.is_empty() || (link.starts_with("</") && !link.starts_with("<//")),
        "{link}"
    );
    assert!(answer.extensions.get::<tower_oci::Operation>().is_some());
}

proptest! {
    #![proptest_config(cases(1200))]

    #[test]
    fn any_request_has_a_well_formed_answer(
        method in select(METHODS),
        target in target(),
        headers in vec((select(HEADERS), prop_oneof![
            junk(),
            ranges::range_header().prop_map(String::into_bytes),
            matching("[\"*W/,sha256:a-f0-9 -]{0,80}").prop_map(String::into_bytes),
        ]), 0..4),
        body in vec(any::<u8>(), 0..20),
        version in select(vec![http::Version::HTTP_10, http::Version::HTTP_11, http::Version::HTTP_2]),
    ) {
        let Ok(uri) = Uri::from_maybe_shared(Bytes::from(target)) else {
            return Ok(());
        };
        let request = || {
            let mut request = Request::new(Body::from(body.clone()));
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            *request.uri_mut() = uri.clone();
            *request.version_mut() = version;
            for (name, value) in &headers {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    request.headers_mut().append(HeaderName::from_static(name), value);
                }
            }
            request
        };
        let (registry, _) = blob_registry(&Bytes::from_static(b"{}"));
        let trusting = registry.clone().trust_forwarded_prefix(true);
        assert_known(method, &wait(send(&registry, request())));
        assert_known(method, &wait(send(&trusting, request())));
        let root = registry.clone().served_at("/").unwrap();
        assert_known(method, &wait(send(&root, request())));
        let stripped = registry.clone().nested_at("/x").unwrap();
        assert_known(method, &wait(send(&stripped, request())));
        let app = Router::new().fallback_service(trusting);
        assert_known(method, &wait(send(&app, request())));
        let app = Router::new()
            .nest_service("/{tenant}", registry.clone())
            .fallback_service(registry);
        assert_known(method, &wait(send(&app, request())));
    }
}
