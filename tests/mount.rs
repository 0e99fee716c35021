//! Where the service finds itself mounted, seen in the links that it makes.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod common;

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body};
use common::*;
use http::{HeaderValue, Method, Request, Response, header};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_http::normalize_path::NormalizePathLayer;
use tower_oci::{
    Access, InvalidRequest, MemoryStore, Mount, OciRegistryService, OciRequest, Operation,
    ReadOnly, testing::ImageBuilder,
};

type Registry = OciRegistryService<ReadOnly<MemoryStore>>;
type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Names that hold the protocol's own words, each a repository with the tags of [`TAGS`].
const REPOSITORIES: &[&str] = &[
    "demo",
    "v2",
    "v2/foo",
    "v2/v2",
    "a/blobs/b",
    "manifests/manifests",
    "tags/list",
    "tags/list/tags/list",
    "blobs/uploads",
    "a/blobs/uploads",
    "referrers/x",
    "a/b/c/d/e/f/g/h/i/j",
];

const TAGS: [&str; 3] = ["a", "b", "c"];

fn registry() -> Registry {
    let store = MemoryStore::new();
    let image = ImageBuilder::new().build().unwrap();
    for repository in REPOSITORIES {
        for a_tag in TAGS {
            store.add_image(&name(repository), Some(&tag(a_tag)), &image);
        }
    }
    OciRegistryService::new(store)
}

/// The same type for everything that requests can be sent to.
fn app<S, B>(service: S) -> App
where
    S: tower::Service<Request<Body>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error: Into<tower_oci::BoxError>> + Send + 'static,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
}

/// What a router in front does that axum knows nothing of: it takes `prefix` away.
fn strip(prefix: &'static str, mut request: Request<Body>) -> Request<Body> {
    let rest = request.uri().path_and_query().unwrap().as_str();
    let rest = rest.strip_prefix(prefix).unwrap();
    *request.uri_mut() = rest.parse().unwrap();
    request
}

fn with_mount(mount: Mount, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(mount);
    request
}

/// How the service is mounted, and under which prefixes a client then finds the API.
fn mounts() -> Vec<(&'static str, App, &'static [&'static str])> {
    let s = registry;
    let router = Router::new;
    let normalized = |router: Router| app(NormalizePathLayer::trim_trailing_slash().layer(router));
    vec![
        ("the bare service", app(s()), &["/v2"]),
        (
            "nest_service at the root of the API",
            app(router().nest_service("/v2", s())),
            &["/v2"],
        ),
        (
            "nest_service with a slash at the end",
            app(router().nest_service("/v2/", s())),
            &["/v2"],
        ),
        (
            "nest_service in a nested router",
            app(router().nest("/registry", router().nest_service("/v2", s()))),
            &["/registry/v2"],
        ),
        (
            "nest_service under a prefix",
            app(router().nest_service("/registry/v2", s())),
            &["/registry/v2"],
        ),
        (
            "nest_service where the pattern has no root of the API",
            app(router().nest_service("/registry", s())),
            &["/registry/v2"],
        ),
        (
            "nest_service where the pattern only looks like the root of the API",
            app(router().nest_service("/xv2", s())),
            &["/xv2/v2"],
        ),
        (
            "nest_service under a capture",
            app(router().nest_service("/{tenant}/v2", s())),
            &["/acme/v2", "/v2/v2", "/a%20b/v2"],
        ),
        (
            "nest_service at a capture",
            app(router().nest_service("/{tenant}", s())),
            &["/acme/v2", "/v2/v2"],
        ),
        (
            "nested twice, with the root of the API",
            app(router().nest(
                "/a",
                router().nest("/{b}", router().nest_service("/v2", s())),
            )),
            &["/a/b/v2", "/a/v2/v2"],
        ),
        (
            "nested twice, without the root of the API",
            app(router().nest(
                "/v2",
                router().nest("/{b}", router().nest_service("/c", s())),
            )),
            &["/v2/b/c/v2", "/v2/v2/c/v2"],
        ),
        (
            "nest with a fallback_service",
            app(router().nest("/v2", router().fallback_service(s()))),
            &["/v2"],
        ),
        (
            "fallback_service",
            app(router().fallback_service(s())),
            &["/v2"],
        ),
        (
            "fallback_service of a nested router",
            app(router().nest("/registry", router().fallback_service(s()))),
            &["/registry/v2"],
        ),
        (
            "route_service",
            app(router().route_service("/v2/{*rest}", s())),
            &["/v2"],
        ),
        (
            "route_service in a nested router",
            app(router().nest("/{t}", router().route_service("/v2/{*rest}", s()))),
            &["/acme/v2", "/v2/v2"],
        ),
        (
            "route_service in a router nested at the root of the API",
            app(router().nest("/v2", router().route_service("/{*rest}", s()))),
            &["/v2"],
        ),
        (
            "nest_service behind NormalizePath",
            normalized(router().nest_service("/v2", s())),
            &["/v2"],
        ),
        (
            "NormalizePath between the router and the service",
            app(router().nest_service("/v2", NormalizePathLayer::trim_trailing_slash().layer(s()))),
            &["/v2"],
        ),
        (
            "served_at without a router",
            app(s().served_at("/registry/v2").unwrap()),
            &["/registry/v2"],
        ),
        (
            "served_at with a slash at the end, as a fallback",
            app(router().fallback_service(s().served_at("/registry/v2/").unwrap())),
            &["/registry/v2"],
        ),
        (
            "served_at without a root of the API",
            app(s().served_at("/").unwrap()),
            &[""],
        ),
        (
            "nested_at behind something that took the prefix away",
            app(s()
                .nested_at("/r/v2")
                .unwrap()
                .map_request(|request| strip("/r/v2", request))),
            &["/r/v2"],
        ),
        (
            "nested_at where axum would say otherwise",
            app(router()
                .nest_service("/inner", s().nested_at("/outer/inner").unwrap())
                .map_request(|request| strip("/outer", request))),
            &["/outer/inner"],
        ),
        (
            "a Mount on the request, which wins over the builder",
            app(s()
                .served_at("/elsewhere")
                .unwrap()
                .map_request(|request| with_mount(Mount::served_at("/here/v2").unwrap(), request))),
            &["/here/v2"],
        ),
        (
            "a Mount on the request, which wins over axum",
            app(router()
                .nest_service("/v2", s())
                .map_request(|request: Request<Body>| {
                    let request = strip("/proxy", request);
                    with_mount(Mount::nested_at("/proxy/v2").unwrap(), request)
                })),
            &["/proxy/v2"],
        ),
        (
            "the default Mount on the request",
            app(s()
                .nested_at("/elsewhere")
                .unwrap()
                .map_request(|request| with_mount(Mount::default(), request))),
            &["/v2"],
        ),
    ]
}

/// The target of the only link, which has to be path-absolute.
#[track_caller]
fn next_page(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    if link.is_empty() {
        return None;
    }
    // protocol 66
    let target = link.strip_prefix('<').unwrap();
    let target = target.strip_suffix(">; rel=\"next\"").unwrap();
    assert!(
        target.starts_with('/') && !target.starts_with("//"),
        "{link}"
    );
    assert!(!target.contains(['<', '>', '"', '\\']), "{link}");
    Some(target.to_owned())
}

#[tokio::test]
async fn links_begin_with_the_prefix_that_a_client_sees_and_can_be_followed() {
    for (mounted, app, prefixes) in mounts() {
        for prefix in prefixes {
            for repository in REPOSITORIES {
                let list = format!("{prefix}/{repository}/tags/list");
                let mut uri = format!("{list}?n=1");
                for (page, a_tag) in TAGS.iter().enumerate() {
                    let answer = get(&app, &uri).await;
                    let context = format!("{mounted}: {uri}: {answer:?}");
                    assert_eq!(answer.status, 200, "{context}");
                    assert_eq!(answer.json()["name"], *repository, "{context}");
                    assert_eq!(
                        answer.json()["tags"],
                        serde_json::json!([a_tag]),
                        "{context}"
                    );
                    assert_eq!(
                        answer.extensions.get(),
                        Some(&Operation::ListTags),
                        "{context}"
                    );
                    match next_page(&answer) {
                        Some(next) => {
                            assert_eq!(next, format!("{list}?n=1&last={a_tag}"), "{context}");
                            uri = next;
                        }
                        None => assert_eq!(page, TAGS.len() - 1, "{context}"),
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn every_mount_serves_content_and_knows_what_is_not_there() {
    for (mounted, app, prefixes) in mounts() {
        for prefix in prefixes {
            for repository in REPOSITORIES {
                let context = format!("{mounted}: {prefix}: {repository}");
                let uri = format!("{prefix}/{repository}/manifests/b");
                let answer = get(&app, &uri).await;
                assert_eq!(answer.status, 200, "{context}");
                let digest = answer.header("docker-content-digest");
                // protocol 82
                let encoded = digest.replace(':', "%3A");
                let uri = format!("{prefix}/{repository}/manifests/{encoded}");
                assert_eq!(head(&app, &uri).await.status, 200, "{context}");
                let uri = format!("{prefix}/{repository}/blobs/{digest}");
                get(&app, &uri).await.assert_error(404, "BLOB_UNKNOWN");
                let uri = format!("{prefix}/{repository}/blobs/uploads/");
                let answer = ask(&app, "POST", &uri, &[]).await;
                answer.assert_error(405, "UNSUPPORTED");
                assert_eq!(answer.extensions.get(), Some(&Operation::StartUpload));
            }
            let unknown = format!("{prefix}/demo/unknown/list");
            get(&app, &unknown).await.assert_error(404, "UNSUPPORTED");
            let upper = format!("{prefix}/Demo/tags/list");
            get(&app, &upper).await.assert_error(400, "NAME_INVALID");
        }
    }
}

#[tokio::test]
async fn the_root_of_the_api_is_found_wherever_the_router_lets_it_through() {
    let s = registry;
    let nested = app(Router::new().nest_service("/v2", s()));
    let with_slash = app(Router::new().nest_service("/v2/", s()));
    let with_fallback = app(Router::new().nest("/v2", Router::new().fallback_service(s())));
    let prefixed = app(Router::new().nest_service("/registry", s()));
    let captured = app(Router::new().nest_service("/{tenant}", s()));
    let normalized = {
        let router = Router::new().nest_service("/v2", s());
        app(NormalizePathLayer::trim_trailing_slash().layer(router))
    };
    // protocol 62: `/v2/` and `/v2`, as far as axum hands them on.
    let pings: &[(&str, &App, &[&str], &[&str])] = &[
        (
            "bare",
            &app(s()),
            &["/v2", "/v2/"],
            &["/", "/v1/", "/v2x", "/v"],
        ),
        ("nest_service", &nested, &["/v2", "/v2/"], &[]),
        ("nest_service with a slash", &with_slash, &["/v2/"], &[]),
        ("nest with a fallback", &with_fallback, &["/v2"], &[]),
        (
            "a prefix",
            &prefixed,
            &["/registry/v2", "/registry/v2/"],
            &["/registry", "/registry/", "/registry/demo/tags/list"],
        ),
        (
            "a capture",
            &captured,
            &["/acme/v2", "/acme/v2/", "/v2/v2", "/v2/v2/"],
            &["/acme", "/acme/", "/v2", "/v2/", "/v2/demo/tags/list"],
        ),
        ("NormalizePath", &normalized, &["/v2", "/v2/"], &[]),
    ];
    for &(mounted, app, found, elsewhere) in pings {
        for uri in found {
            for method in ["GET", "HEAD"] {
                let answer = ask(app, method, uri, &[]).await;
                assert_eq!(answer.status, 200, "{mounted}: {method} {uri}");
                assert_eq!(answer.extensions.get(), Some(&Operation::Ping));
            }
        }
        for uri in elsewhere {
            get(app, uri).await.assert_error(404, "UNSUPPORTED");
        }
    }
}

// protocol 20: NormalizePath trims the slash, and clients must still be able to upload.
#[tokio::test]
async fn an_upload_is_recognised_with_and_without_its_last_slash() {
    let router = Router::new().nest_service("/v2", registry());
    let normalized = app(NormalizePathLayer::trim_trailing_slash().layer(router));
    for app in [normalized, app(registry())] {
        for uri in ["/v2/demo/blobs/uploads/", "/v2/demo/blobs/uploads"] {
            let answer = ask(&app, "POST", uri, &[]).await;
            answer.assert_error(405, "UNSUPPORTED");
            assert_eq!(answer.extensions.get(), Some(&Operation::StartUpload));
            let answer = ask(&app, "GET", uri, &[]).await;
            answer.assert_error(405, "UNSUPPORTED");
            assert_eq!(answer.extensions.get(), Some(&Operation::Invalid));
        }
    }
}

#[tokio::test]
async fn a_path_that_was_rewritten_in_between_answers_500_and_says_nothing_of_it() {
    let rewriting = |to: &'static str| {
        let service = registry().map_request(move |mut request: Request<Body>| {
            *request.uri_mut() = to.parse().unwrap();
            request
        });
        app(Router::new().nest_service("/secret/v2", service))
    };
    for to in [
        "/other/tags/list",
        "/v2/demo/tags/list?n=1",
        "/emo/tags/list",
        "*",
    ] {
        let answer = get(&rewriting(to), "/secret/v2/demo/tags/list?n=1").await;
        answer.assert_error(500, "UNKNOWN");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(
            text.contains("the registry cannot tell where it is mounted"),
            "{text}"
        );
        assert!(!text.contains("secret") && !text.contains(to), "{text}");
        assert_eq!(answer.header("link"), "");
    }
}

const HOSTILE: &[&[u8]] = &[
    b"//evil",
    b"//evil/a",
    b"///evil",
    b"/\\evil",
    b"/a\"b",
    b"/a'\"",
    b"/<a>",
    b"/a>; rel=\"x\"",
    b"/a/../b",
    b"/..",
    b"/.",
    b"/a/.",
    b"evil",
    b"evil/a",
    b"http://evil",
    b"https://evil/a",
    b"/a b",
    b"/a\tb",
    b"/a?b",
    b"/a#b",
    b"/a, /b",
    b"/a,/b",
    b",",
    b"/a{b}",
    b"/\xc3\xa9",
    b"/\xff",
];

fn forwarded(uri: &str, prefixes: &[&[u8]]) -> Request<Body> {
    let mut request = Request::get(uri).body(Body::empty()).unwrap();
    for prefix in prefixes {
        let value = HeaderValue::from_bytes(prefix).unwrap();
        request.headers_mut().append("x-forwarded-prefix", value);
    }
    request
}

#[tokio::test]
async fn a_hostile_forwarded_prefix_is_refused_if_trusted_and_ignored_if_not() {
    let trusting = registry().trust_forwarded_prefix(true);
    let trusting = [
        app(trusting.clone()),
        app(Router::new().nest_service("/v2", trusting)),
    ];
    let careful = [
        app(registry()),
        app(Router::new().nest_service("/v2", registry())),
        app(registry()
            .trust_forwarded_prefix(true)
            .trust_forwarded_prefix(false)),
    ];
    let uri = "/v2/demo/tags/list?n=1";
    for prefix in HOSTILE {
        for app in &trusting {
            let answer = send(app, forwarded(uri, &[prefix])).await;
            answer.assert_error(400, "UNSUPPORTED");
        }
        for app in &careful {
            let answer = send(app, forwarded(uri, &[prefix])).await;
            let next = next_page(&answer);
            assert_eq!(next.as_deref(), Some("/v2/demo/tags/list?n=1&last=a"));
        }
    }
    // Two proxies that each say something else: nobody can tell which one a client sees.
    for app in &trusting {
        let answer = send(app, forwarded(uri, &[b"/a", b"/b"])).await;
        answer.assert_error(400, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn a_trusted_forwarded_prefix_stands_in_front() {
    let registry = registry().trust_forwarded_prefix(true);
    let rows: &[(App, &str, &str, &str)] = &[
        (app(registry.clone()), "/v2", "/proxy", "/proxy/v2"),
        (app(registry.clone()), "/v2", "/a/b/", "/a/b/v2"),
        (app(registry.clone()), "/v2", "/", "/v2"),
        (app(registry.clone()), "/v2", "", "/v2"),
        (
            app(Router::new().nest_service("/{t}/v2", registry.clone())),
            "/acme/v2",
            "/proxy",
            "/proxy/acme/v2",
        ),
        (
            app(registry.clone().served_at("/r/v2").unwrap()),
            "/r/v2",
            "/v2",
            "/v2/r/v2",
        ),
        (
            app(registry.served_at("/").unwrap()),
            "",
            "/proxy",
            "/proxy",
        ),
    ];
    for (app, path, prefix, seen) in rows {
        let uri = format!("{path}/demo/tags/list?n=1");
        let answer = send(app, forwarded(&uri, &[prefix.as_bytes()])).await;
        let next = next_page(&answer).unwrap();
        assert_eq!(next, format!("{seen}/demo/tags/list?n=1&last=a"));
    }
}

#[tokio::test]
async fn no_path_makes_a_link_that_leads_to_another_host() {
    let s = registry;
    let apps = [
        app(s()),
        app(Router::new().fallback_service(s())),
        app(Router::new().nest_service("/{tenant}", s())),
        app(Router::new().nest_service("/{tenant}/v2", s())),
        app(Router::new().nest("/{a}", Router::new().nest_service("/{b}", s()))),
        app(Router::new().nest("/x", Router::new().fallback_service(s()))),
        app(Router::new().route_service("/{*rest}", s())),
        app(Router::new().route_service("/{a}/{*rest}", s())),
        app(s().served_at("/").unwrap()),
        app(s().nested_at("/x").unwrap()),
        app(NormalizePathLayer::trim_trailing_slash()
            .layer(Router::new().nest_service("/{tenant}", s()))),
    ];
    let beginnings = [
        "//evil",
        "///evil",
        "//",
        "/",
        "/..",
        "/.",
        "/%2e%2e",
        "/%2F%2Fevil",
        "/\\evil",
        "/a\"b",
        "/a'b",
        "/a;b",
        "/a//b",
        "//v2",
        "/é",
        "/%0d%0aX:y",
        "/{a}",
        "/a|b",
        "/<evil>",
        "/a@evil",
    ];
    let mut followed = 0;
    for app in &apps {
        for beginning in beginnings {
            for rest in ["/v2/demo/tags/list?n=1", "/demo/tags/list?n=1"] {
                let Ok(request) = Request::get(format!("{beginning}{rest}")).body(Body::empty())
                else {
                    continue; // not even a URI
                };
                let path = request.uri().path().to_owned();
                let response = app.clone().oneshot(request).await.unwrap();
                let status = response.status();
                assert!(
                    status == 200 || status.is_client_error(),
                    "{path}: {status}"
                );
                let Some(link) = response.headers().get(header::LINK) else {
                    continue;
                };
                let link = link.to_str().unwrap();
                let target = link.trim_start_matches('<').split('>').next().unwrap();
                assert!(
                    target.starts_with('/') && !target.starts_with("//"),
                    "{link}"
                );
                let answer = get(app, target).await;
                assert_eq!(answer.status, 200, "{path} links to {target}");
                assert_eq!(answer.json()["tags"], serde_json::json!(["b"]));
                followed += 1;
            }
        }
    }
    assert!(followed > 20, "only {followed} links were followed");
}

#[test]
fn a_prefix_that_links_cannot_begin_with_is_refused_by_the_builder() {
    for prefix in HOSTILE {
        let Ok(prefix) = std::str::from_utf8(prefix) else {
            continue;
        };
        if prefix == "/a,/b" {
            continue; // a comma may stand in a path; only in a header it makes a list
        }
        assert!(registry().served_at(prefix).is_err(), "{prefix}");
        assert!(registry().nested_at(prefix).is_err(), "{prefix}");
        assert!(Mount::served_at(prefix).is_err(), "{prefix}");
        let error = Mount::nested_at(prefix).unwrap_err().to_string();
        assert!(
            error.contains("is not an absolute path to mount at"),
            "{error}"
        );
    }
    for control in ["/a\nb", "/a\r\nX: y", "/a\0", "/\u{7f}"] {
        let error = registry().served_at(control).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error}");
    }
    let long = format!("/{}", "a".repeat(70_000));
    assert!(registry().served_at(&long).is_err(), "no URI is that long");
    for (prefix, shown) in [("/v2", "/v2"), ("/v2/", "/v2"), ("/", ""), ("", "")] {
        assert_eq!(Mount::served_at(prefix).unwrap().prefix(), shown);
        assert_eq!(Mount::nested_at(prefix).unwrap().prefix(), shown);
    }
}

fn parse(mount: &Mount, method: Method, uri: &str) -> Result<OciRequest, InvalidRequest> {
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    mount.parse(&request.into_parts().0)
}

#[test]
fn a_layer_outside_of_the_router_parses_the_whole_path_with_the_same_mount() {
    for mount in [
        Mount::nested_at("/registry/v2").unwrap(),
        Mount::served_at("/registry/v2").unwrap(),
    ] {
        let scope = |method: Method, uri: &str| {
            let request = parse(&mount, method, uri).unwrap();
            request.required_access().map(|access| access.to_string())
        };
        for repository in REPOSITORIES {
            let uri = format!("/registry/v2/{repository}/tags/list?n=5");
            let expected = format!("repository:{repository}:pull");
            assert_eq!(scope(Method::GET, &uri), Some(expected));
            let uri = format!("/registry/v2/{repository}/blobs/uploads");
            let expected = format!("repository:{repository}:pull,push");
            assert_eq!(scope(Method::POST, &uri), Some(expected));
        }
        assert_eq!(scope(Method::GET, "/registry/v2"), None);
        assert_eq!(scope(Method::GET, "/registry/v2/"), None);
        let catalog = parse(&mount, Method::GET, "/registry/v2/_catalog").unwrap();
        assert_eq!(catalog.required_access(), Some(Access::Catalog));
        for elsewhere in [
            "/v2/demo/tags/list",
            "/registry/v2x/demo/tags/list",
            "/",
            "/registry",
        ] {
            let error = parse(&mount, Method::GET, elsewhere).unwrap_err();
            assert!(matches!(error, InvalidRequest::UnknownPath), "{elsewhere}");
        }
    }
    let request = parse(&Mount::default(), Method::GET, "/v2/").unwrap();
    assert_eq!(request, OciRequest::Ping);
}

#[tokio::test]
async fn bare_hyper_serves_over_a_socket() {
    use http_body_util::BodyExt;
    use hyper_util::{rt::TokioIo, service::TowerToHyperService};

    let exchange = async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(registry());
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await
        });
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);

        let mut uri = "/v2/v2/foo/tags/list?n=1".to_owned();
        let mut tags = Vec::new();
        loop {
            let request = Request::get(&uri)
                .header("host", "registry")
                .body(Body::empty());
            let response = client.send_request(request.unwrap()).await.unwrap();
            let (parts, body) = response.into_parts();
            assert_eq!(parts.status, 200);
            let body = body.collect().await.unwrap().to_bytes();
            let length = parts.headers["content-length"].to_str().unwrap();
            assert_eq!(length, body.len().to_string());
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            tags.push(json["tags"][0].as_str().unwrap().to_owned());
            let Some(link) = parts.headers.get("link") else {
                break;
            };
            let target = link.to_str().unwrap().trim_start_matches('<');
            uri = target.split('>').next().unwrap().to_owned();
        }
        assert_eq!(tags, TAGS);

        // protocol 19 and 103: a HEAD over the wire keeps its length.
        let request = Request::head("/v2/demo/manifests/a").header("host", "registry");
        let response = client
            .send_request(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_ne!(response.headers()["content-length"], "0");

        drop(client);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    };
    tokio::time::timeout(Duration::from_secs(20), exchange)
        .await
        .unwrap();
}
