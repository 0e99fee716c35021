//! What a registry says to a client in its headers: challenges, links, lengths and ranges, each line
//! of the input being one `Name: value`.
//!
//! Nothing panics, nothing goes on for ever, and no secret goes anywhere without being asked for.

#![no_main]

use std::{convert::Infallible, time::Instant};

use http::{HeaderName, HeaderValue, Request, Response, header};
use libfuzzer_sys::fuzz_target;
use tower::service_fn;
use tower_oci::{
    Algorithm, ByteRange, BytesBody, Clock, Cursor, DynBody, Page, RepositoryName,
    client::{Credentials, RegistryClient, RetryPolicy},
};

fuzz_target!(|input: &[u8]| {
    let headers: Vec<(HeaderName, HeaderValue)> = input
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            Some((name, value))
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(ask(headers));
});

/// A registry that answers every request with these headers: the first time as a 401, then with the
/// status of their number.
async fn ask(headers: Vec<(HeaderName, HeaderValue)>) {
    let is_challenge = headers
        .iter()
        .any(|(name, _)| name == header::WWW_AUTHENTICATE);
    let service = service_fn(move |request: Request<DynBody>| {
        let was_asked = request.headers().contains_key(header::AUTHORIZATION);
        // A password is for who has asked for one.
        assert!(!was_asked || is_challenge, "{request:?}");
        let status = match (
            is_challenge && !was_asked,
            request.headers().contains_key("range"),
        ) {
            (true, _) => 401,
            (false, true) => 206,
            (false, false) => 200,
        };
        let mut response =
            Response::new(DynBody::new(BytesBody::new(r#"{"tags":[],"token":"t"}"#)));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        response.headers_mut().extend(headers.iter().cloned());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let (Ok(url), Ok(name)) = (
        "https://registry.test".parse(),
        "a/b".parse::<RepositoryName>(),
    ) else {
        return;
    };
    let start = Instant::now();
    let clock = Clock::new(move || start).with_sleep(|_| Box::pin(std::future::pending()));
    let client = RegistryClient::builder(url, service)
        .credentials(Credentials::basic("user", "secret"))
        .retry(RetryPolicy::never())
        .clock(clock)
        .build();
    let digest = Algorithm::Sha256.digest("content");
    let cursor = Cursor::from_text("?a=b");
    let shown = [
        client.ping().await.err().map(|error| error.to_string()),
        client
            .tags(&name, Page::first(2))
            .await
            .err()
            .map(|error| error.to_string()),
        client
            .tags(&name, Page::first(2).after(&cursor))
            .await
            .err()
            .map(|error| error.to_string()),
        client
            .stat_blob(&name, &digest)
            .await
            .err()
            .map(|error| error.to_string()),
        client
            .blob(&name, &digest)
            .await
            .err()
            .map(|error| error.to_string()),
        client
            .blob_range(&name, &digest, ByteRange::FromTo(1, 2))
            .await
            .err()
            .map(|error| error.to_string()),
    ];
    for error in shown.into_iter().flatten() {
        assert!(
            !error.contains("secret") && error.len() < 64 << 10,
            "{error}"
        );
    }
}
