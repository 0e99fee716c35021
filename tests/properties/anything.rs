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
        "digest-algorithm",
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
            let is_first = position == 0 && !path.contains(&b'?');
            path.push(if is_first { b'?' } else { b'&' });
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

/// The answers of a registry to pull from, and those of one that is written to.
const READING: &[u16] = &[200, 206, 304, 400, 404, 405, 412, 416];
const WRITING: &[u16] = &[200, 201, 202, 204, 206, 304, 400, 404, 405, 412, 413, 416];

#[track_caller]
fn assert_known(method: &str, known: &[u16], answer: &Answer) {
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

/// A request of any kind.
#[derive(Clone, Debug)]
struct Anything {
    method: &'static str,
    target: Vec<u8>,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    version: http::Version,
}

fn anything() -> impl Strategy<Value = Anything> {
    let value = prop_oneof![
        junk(),
        ranges::range_header().prop_map(String::into_bytes),
        matching("[\"*W/,sha256:a-f0-9 -]{0,80}").prop_map(String::into_bytes),
        matching("[0-9]{1,2}(-[0-9]{1,2})?").prop_map(String::into_bytes),
        select(KINDS).prop_map(|kind| kind.as_bytes().to_vec()),
    ];
    let body = prop_oneof![
        vec(any::<u8>(), 0..20),
        select(BODIES).prop_map(|body| body.as_bytes().to_vec()),
    ];
    let versions = vec![
        http::Version::HTTP_10,
        http::Version::HTTP_11,
        http::Version::HTTP_2,
    ];
    let headers = vec((select(HEADERS), value), 0..4);
    let write = select(WRITES).prop_map(|(method, target)| (method, target.as_bytes().to_vec()));
    let request = prop_oneof![2 => (select(METHODS), target()), 1 => write];
    (request, headers, body, select(versions)).prop_map(
        |((method, target), headers, body, version)| Anything {
            method,
            target,
            headers,
            body,
            version,
        },
    )
}

/// Where the id of an upload stands that is open.
const OPEN_UPLOAD: &str = "OPEN";

/// Requests of the protocol that change something, for what is there and what is not.
const WRITES: &[(&str, &str)] = &[
    ("POST", "/v2/demo/blobs/uploads/"),
    ("POST", "/v2/new/blobs/uploads/?digest-algorithm=sha512"),
    (
        "POST",
        "/v2/new/blobs/uploads/?digest=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ),
    (
        "POST",
        "/v2/new/blobs/uploads/?mount=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a&from=demo",
    ),
    ("GET", "/v2/demo/blobs/uploads/OPEN"),
    ("PATCH", "/v2/demo/blobs/uploads/OPEN"),
    (
        "PUT",
        "/v2/demo/blobs/uploads/OPEN?digest=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
    ("DELETE", "/v2/demo/blobs/uploads/OPEN"),
    ("PUT", "/v2/demo/manifests/latest"),
    ("PUT", "/v2/new/manifests/latest"),
    (
        "PUT",
        "/v2/demo/manifests/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a?tag=a&tag=b",
    ),
    ("DELETE", "/v2/demo/manifests/latest"),
    ("DELETE", "/v2/demo/manifests/missing"),
    (
        "DELETE",
        "/v2/demo/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ),
];

/// Types that a manifest may be sent with.
const KINDS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.example.thing; charset=utf-8",
];

/// The rest of the open upload, and what may be a manifest.
const BODIES: &[&str] = &[
    "st",
    "{}",
    r#"{"mediaType":"application/vnd.example.thing"}"#,
    r#"{"schemaVersion":2,"manifests":[],"subject":{"size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#,
    r#"{"config":{"size":2,"digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}"#,
];

impl Anything {
    /// The request for `uri`, without the headers that cannot be sent.
    fn request(&self, uri: &Uri) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).unwrap();
        *request.uri_mut() = uri.clone();
        *request.version_mut() = self.version;
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                let name = HeaderName::from_static(name);
                request.headers_mut().append(name, value);
            }
        }
        request
    }
}

/// A registry with an image and an upload in which "te" has arrived, and the location of that.
async fn writable_registry() -> (MemoryStore, OciRegistryService<MemoryStore>, String) {
    let store = MemoryStore::new();
    let service = OciRegistryService::writable(store.clone());
    let image = ImageBuilder::new().build().unwrap();
    push_image(&service, "demo", Some("latest"), &image).await;
    push_blob(&service, "demo", "{}").await;
    let location = start(&service, "demo").await;
    let answer = put(&service, "PATCH", &location, &[], "te").await;
    assert_eq!(answer.status, 202);
    (store, service, location)
}

proptest! {
    #![proptest_config(cases(1200))]

    #[test]
    fn any_request_has_a_well_formed_answer(anything in anything()) {
        let Ok(uri) = Uri::from_maybe_shared(Bytes::from(anything.target.clone())) else {
            return Ok(());
        };
        let method = anything.method;
        let check = |answer: &Answer| assert_known(method, READING, answer);
        let request = || anything.request(&uri);
        let (registry, _) = blob_registry(&Bytes::from_static(b"{}"));
        let trusting = registry.clone().trust_forwarded_prefix(true);
        check(&wait(send(&registry, request())));
        check(&wait(send(&trusting, request())));
        let root = registry.clone().served_at("/").unwrap();
        check(&wait(send(&root, request())));
        let stripped = registry.clone().nested_at("/x").unwrap();
        check(&wait(send(&stripped, request())));
        let app = Router::new().fallback_service(trusting);
        check(&wait(send(&app, request())));
        let app = Router::new()
            .nest_service("/{tenant}", registry.clone())
            .fallback_service(registry);
        check(&wait(send(&app, request())));
    }

    // What is refused changes nothing, and reads never do.
    #[test]
    fn any_request_to_a_registry_that_is_written_to_has_a_well_formed_answer(
        anything in anything(),
        is_bare in any::<bool>(),
    ) {
        let method = anything.method;
        wait(async {
            let (store, service, location) = writable_registry().await;
            let service = match is_bare {
                true => service,
                false => service.allow_deletes(false).allow_sparse_manifests(true),
            };
            let id = location.rsplit('/').next().unwrap();
            let target = String::from_utf8_lossy(&anything.target).replace(OPEN_UPLOAD, id);
            let Ok(uri) = target.parse::<Uri>() else {
                return;
            };
            let used = store.used_bytes();
            let answer = send(&service, anything.request(&uri)).await;
            assert_known(method, WRITING, &answer);
            let is_write = ["POST", "PUT", "PATCH", "DELETE"].contains(&method);
            if answer.status.as_u16() >= 400 || !is_write {
                assert_eq!(store.used_bytes(), used);
                let status = get(&service, &location).await;
                assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-1"));
                assert_eq!(get(&service, "/v2/demo/manifests/latest").await.status, 200);
            }
        });
    }
}
