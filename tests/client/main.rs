//! The client, against registries in this process.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use common::{name, noise, tag};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use tower::{ServiceExt, service_fn};
use tower_oci::{
    BoxError, BytesBody, Clock, DynBody, Image, MemoryStore, OciRegistryService, Reference,
    RemoteSource,
    client::{
        ClientBuilder, ClientErrorKind, Credentials, PushOptions, RegistryClient, RetryPolicy,
    },
    testing::{ImageBuilder, IndexBuilder},
};

mod auth;
mod hostile;
mod lying;
mod proxy;
mod retries;
mod round;
mod unreliable;

/// What a registry of a test answers with.
type Answer = Response<DynBody>;

/// A client of a registry that answers as `answer` does, on the clock of the test: time stands still
/// while something is going on, and else jumps to where the next pause ends.
fn client_of<F>(answer: impl Fn(Request<DynBody>) -> F + Clone + Send + 'static) -> Builder
where
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, BoxError>(answer.await) }
    });
    let service = tower::util::BoxCloneService::new(service);
    RegistryClient::builder("http://registry.test".parse().unwrap(), service)
        .clock(Clock::new(|| tokio::time::Instant::now().into_std()))
}

type Builder =
    ClientBuilder<tower::util::BoxCloneService<Request<DynBody>, Response<DynBody>, BoxError>>;

/// A client of a registry that always answers the same.
fn client_of_answer(status: u16, headers: &[(&'static str, &str)], body: &'static [u8]) -> Builder {
    let headers: Vec<(&str, String)> = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    client_of(move |_| std::future::ready(answer(status, &headers, body)))
}

fn answer<V: AsRef<str>>(status: u16, headers: &[(&str, V)], body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, value.as_ref());
    }
    answer
        .body(DynBody::new(BytesBody::new(body.into())))
        .unwrap()
}

/// A registry that works, over `store`.
async fn ask(store: &MemoryStore, request: Request<DynBody>) -> Answer {
    let registry = OciRegistryService::writable(store.clone());
    registry.oneshot(request).await.unwrap().map(DynBody::new)
}

/// A client of a registry that works.
fn client_over(store: MemoryStore) -> RegistryClient {
    client_of(move |request| {
        let store = store.clone();
        async move { ask(&store, request).await }
    })
    .build()
}

/// An index of two images with layers of some size.
fn index() -> Image {
    let image = |seed: usize| {
        ImageBuilder::new()
            .file("a", noise(100_000 + seed))
            .file("b", "")
            .build()
            .unwrap()
    };
    IndexBuilder::new()
        .image(&image(1))
        .image(&image(2))
        .build()
        .unwrap()
}
