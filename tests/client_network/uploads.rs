//! Pushes over bad networks.

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::{ServiceExt, service_fn};
use tower_oci::{BytesBody, DynBody};

use super::*;
use crate::wire::{End, Fault, Wire};

const MEGABYTE: u64 = 1 << 20;

/// Whole, and in pieces.
const CHUNKS: [Option<u64>; 2] = [None, Some(3 * MEGABYTE)];

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_the_registry_has_got_to() {
    for end in [End::Cut, End::Reset] {
        let server = Server::of(OciRegistryService::writable(MemoryStore::new())).await;
        // More connections than a request is tried again: each of them brings something.
        let wire = Wire::to(server.address, move |_| Fault::up(2_500_000, end)).await;
        let client = connect(&wire.url()).bounded();
        let pushed = push(&client, "demo", large(), &pieces(Some(MEGABYTE))).await;
        pushed.unwrap_or_else(|error| panic!("{end:?}: {error}"));
        assert!(wire.connections() >= 9, "{end:?}: {}", wire.connections());
        // A piece that broke comes again, and nothing else.
        assert!(wire.up() < 30 * MEGABYTE, "{end:?}: {}", wire.up());
        assert_pulled(&connect(&server.url()).bounded(), "demo", large()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_request_broke_is_sent_again() {
    for end in [End::Cut, End::Reset] {
        let server = Server::of(OciRegistryService::writable(MemoryStore::new())).await;
        let fault = move |number| match number {
            0..3 => Fault::up(7_000_000, end),
            _ => Fault::NONE,
        };
        let wire = Wire::to(server.address, fault).await;
        let client = connect(&wire.url()).bounded();
        push(&client, "demo", large(), &pieces(None)).await.unwrap();
        assert!(wire.connections() > 3, "{end:?}: {}", wire.connections());
        assert_pulled(&connect(&server.url()).bounded(), "demo", large()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_are_asked_for_again() {
    let image = index();
    for end in [End::Cut, End::Reset] {
        for chunk in [None, Some(30_000)] {
            let server = Server::of(OciRegistryService::writable(MemoryStore::new())).await;
            // The first ones break in the first answer, the later ones in the second or third.
            let fault = move |number| Fault::down(60 * (number as u64 + 1), end);
            let wire = Wire::to(server.address, fault).await;
            let mut policy = impatient();
            policy.retries = 20;
            let client = connect(&wire.url()).retry(policy).bounded();
            let pushed = push(&client, "demo", &image, &pieces(chunk)).await;
            pushed.unwrap_or_else(|error| panic!("{end:?} {chunk:?}: {error}"));
            assert_pulled(&connect(&server.url()).bounded(), "demo", &image).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stands_still_ends_at_the_deadline() {
    let server = Server::of(OciRegistryService::writable(MemoryStore::new())).await;
    let wire = Wire::to(server.address, |_| Fault::up(2_000_000, End::Stall)).await;
    for chunk in CHUNKS {
        let begin = Instant::now();
        let deadline = Duration::from_millis(500);
        let client = connect(&wire.url()).build().until(begin + deadline);
        let error = push(&client, "demo", large(), &pieces(chunk))
            .await
            .unwrap_err();
        assert!(matches!(error.kind(), ClientErrorKind::Deadline), "{error}");
        assert!(begin.elapsed() < PATIENCE / 4, "{:?}", begin.elapsed());
    }
}

/// A registry that forgets an upload when a request to it breaks, as distribution does up to 2.8.
async fn forgetful() -> Server {
    let registry = OciRegistryService::writable(MemoryStore::new());
    Server::of(service_fn(move |request: Request<Incoming>| {
        let is_status =
            request.method() == Method::GET && request.uri().path().contains("/uploads/");
        let registry = registry.clone();
        async move {
            if is_status {
                let mut gone = Response::new(DynBody::new(BytesBody::new("")));
                *gone.status_mut() = StatusCode::NOT_FOUND;
                return Ok(gone);
            }
            registry
                .oneshot(request)
                .await
                .map(|response| response.map(DynBody::new))
        }
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_forgotten_begins_anew() {
    let server = forgetful().await;
    for (number, chunk) in CHUNKS.into_iter().enumerate() {
        let fault = |number| match number {
            0..3 => Fault::up(7_000_000, End::Cut),
            _ => Fault::NONE,
        };
        let wire = Wire::to(server.address, fault).await;
        let client = connect(&wire.url()).bounded();
        let repository = format!("demo-{number}");
        push(&client, &repository, large(), &pieces(chunk))
            .await
            .unwrap();
        assert_pulled(&client, &repository, large()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_never_gets_further_than_before_is_given_up() {
    let server = forgetful().await;
    for chunk in CHUNKS {
        let wire = Wire::to(server.address, |_| Fault::up(7_000_000, End::Cut)).await;
        let client = connect(&wire.url()).bounded();
        let error = push(&client, "demo", large(), &pieces(chunk))
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), ClientErrorKind::Connection(_)),
            "{chunk:?}: {error}"
        );
        // Two beginnings at most get a little further than the one before.
        let most = 3 * (1 + impatient().retries);
        assert!(
            wire.connections() <= most,
            "{chunk:?}: {}",
            wire.connections()
        );
    }
}
