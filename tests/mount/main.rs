//! Where the service finds itself mounted, seen in the links that it makes.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body};
use common::*;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_http::normalize_path::NormalizePathLayer;
use tower_oci::{
    Access, ErrorCode, InvalidRequest, MemoryStore, Mount, OciRegistryService, OciRequest,
    Operation, ReadOnly, testing::ImageBuilder,
};

mod layer;
mod links;
mod prefixes;
mod socket;

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
