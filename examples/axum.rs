//! A registry in an axum app, beside other routes and behind layers from other crates:
//! `cargo run --example axum`, then `curl -u demo:secret http://127.0.0.1:3000/v2/demo/tags/list`.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_extra::{
    TypedHeader,
    headers::{Authorization, authorization::Basic},
    typed_header::TypedHeaderRejection,
};
use governor::middleware::NoOpMiddleware;
use http::{StatusCode, header};
use subtle::ConstantTimeEq;
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::PeerIpKeyExtractor,
};
use tower_http::{compression::CompressionLayer, limit::RequestBodyLimitLayer, trace::TraceLayer};
use tower_oci::{
    BlobSource, BoxError, ErrorCode, MemoryStore, OciRegistryService, Operation,
    testing::ImageBuilder,
};
use tracing::{Span, field::Empty, info_span};

/// The limits of the app.
pub(crate) struct Limits {
    /// The most bytes in the body of a request.
    pub(crate) body: usize,
    /// The most requests that are being answered; further ones wait. One counts until the head of
    /// its answer is there, so this does not limit how many blobs stream at once.
    pub(crate) requests: usize,
    /// How often a client may ask, by its address.
    pub(crate) rate: Rate,
}

pub(crate) type Rate = GovernorConfig<PeerIpKeyExtractor, NoOpMiddleware>;

/// The user that may pull, and the password.
pub(crate) type User = (&'static str, &'static str);

/// The app: a page of its own at `/`, and the registry at `/v2`.
pub(crate) fn app<S: BlobSource>(source: S, user: User, limits: Limits) -> Router {
    // The first layer is the outermost: it sees what the others refuse.
    let layers = ServiceBuilder::new()
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(|request: &Request| {
                    let (method, path) = (request.method(), request.uri().path());
                    info_span!("registry", %method, path, operation = Empty, status = Empty)
                })
                .on_response(|response: &Response, _: Duration, span: &Span| {
                    span.record("status", response.status().as_u16());
                    // A label with few values, whatever the paths are: for metrics too.
                    if let Some(operation) = response.extensions().get::<Operation>() {
                        span.record("operation", operation.as_str());
                    }
                }),
        )
        // Before the password is looked at, so that guessing it is limited too.
        .layer(GovernorLayer::new(limits.rate).error_handler(refuse_for_now))
        .layer(middleware::from_fn_with_state(user, authenticate))
        .layer(GlobalConcurrencyLimitLayer::new(limits.requests))
        .layer(RequestBodyLimitLayer::new(limits.body));
    // Not `layer`, which would act on the paths that are nobody's too.
    let registry = Router::new()
        .nest_service("/v2", OciRegistryService::new(source))
        .route_layer(layers);

    // A layer acts on the routes that were there before it: blobs are never compressed, which
    // would take away their length and make ranges meaningless (protocol 72).
    Router::new()
        .route(
            "/",
            get(async || "A page of this app; its registry is at /v2/.\n"),
        )
        .layer(CompressionLayer::new())
        .merge(registry)
}

/// Lets `user` through. Without credentials `/v2/` is refused as well: from that clients learn
/// that there is a login at all (protocol 63).
async fn authenticate(
    State((name, password)): State<User>,
    credentials: Result<TypedHeader<Authorization<Basic>>, TypedHeaderRejection>,
    request: Request,
    next: Next,
) -> Response {
    let known = credentials.is_ok_and(|credentials| {
        let same_name = credentials.username().as_bytes().ct_eq(name.as_bytes());
        let same_password = credentials.password().as_bytes().ct_eq(password.as_bytes());
        (same_name & same_password).into()
    });
    if known {
        return next.run(request).await;
    }
    let refused = ErrorCode::Unauthorized.response(StatusCode::UNAUTHORIZED, "a login is needed");
    let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="registry""#)];
    (challenge, refused.map(Body::new)).into_response()
}

/// The answer to a client that sends too many requests (protocol 9).
fn refuse_for_now(error: GovernorError) -> Response {
    let GovernorError::TooManyRequests { wait_time, .. } = error else {
        return error.into_response().into_response();
    };
    let refused = ErrorCode::TooManyRequests.response(
        StatusCode::TOO_MANY_REQUESTS,
        "too many requests, try again later",
    );
    let retry = [(header::RETRY_AFTER, wait_time.max(1).to_string())];
    (retry, refused.map(Body::new)).into_response()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let store = MemoryStore::new();
    let image = ImageBuilder::new().file("etc/motd", "hello").build()?;
    store.add_image(&"demo".parse()?, Some(&"latest".parse()?), &image);

    tracing_subscriber::fmt().init();
    let mut rate = GovernorConfigBuilder::default();
    let rate = rate.per_millisecond(20).burst_size(100).finish();
    let rate = rate.ok_or("a rate limit needs a period and a burst")?;
    let addresses = rate.limiter().clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            addresses.retain_recent();
        }
    });

    let limits = Limits {
        body: 4 << 20,
        requests: 256,
        rate,
    };
    let app = app(store, ("demo", "secret"), limits);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    // The rate limit tells clients apart by their addresses.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}
