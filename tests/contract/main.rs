//! The contract suites, against what ships and against stores that break one promise each.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use std::sync::Arc;

use tower_oci::{
    DynSource, DynStore, MemoryStore, ReadOnly,
    testing::{
        Faulty, Fixture, source_suite, source_wrapper_suite, store_suite, store_wrapper_suite,
    },
};

mod broken;
mod discard;
mod faults;
mod holders;
mod wrappers;

/// A store that holds the images of the suite.
fn holding(fixture: &Fixture) -> MemoryStore {
    let store = MemoryStore::new();
    for (tag, image) in &fixture.images {
        store.add_image(&fixture.repository, tag.as_ref(), image);
    }
    store
}

#[tokio::test]
async fn what_ships_keeps_the_contract_of_a_source() {
    source_suite(async |fixture: &Fixture| holding(fixture))
        .await
        .unwrap();
    source_suite(async |fixture: &Fixture| Arc::new(holding(fixture)))
        .await
        .unwrap();
    source_suite(async |fixture: &Fixture| ReadOnly::new(holding(fixture)))
        .await
        .unwrap();
    source_suite(async |fixture: &Fixture| DynSource::new(holding(fixture)))
        .await
        .unwrap();
    source_suite(async |fixture: &Fixture| DynStore::new(holding(fixture)))
        .await
        .unwrap();
    source_suite(async |fixture: &Fixture| Faulty::new(holding(fixture)))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_ships_keeps_the_contract_of_a_store() {
    store_suite(async || MemoryStore::new()).await.unwrap();
    store_suite(async || Arc::new(MemoryStore::new()))
        .await
        .unwrap();
    store_suite(async || DynStore::new(MemoryStore::new()))
        .await
        .unwrap();
    store_suite(async || Faulty::new(MemoryStore::new()))
        .await
        .unwrap();
}

#[tokio::test]
async fn every_wrapper_hands_on_every_method() {
    store_wrapper_suite(Arc::new).await.unwrap();
    store_wrapper_suite(DynStore::new).await.unwrap();
    store_wrapper_suite(Faulty::new).await.unwrap();
    store_wrapper_suite(|spy| DynStore::new(Arc::new(Faulty::new(DynStore::new(spy)))))
        .await
        .unwrap();
    source_wrapper_suite(Arc::new).await.unwrap();
    source_wrapper_suite(DynSource::new).await.unwrap();
    source_wrapper_suite(ReadOnly::new).await.unwrap();
    source_wrapper_suite(|spy| DynSource::new(DynStore::new(spy)))
        .await
        .unwrap();
    source_wrapper_suite(|spy| ReadOnly::new(Arc::new(DynSource::new(spy))).into_inner())
        .await
        .unwrap();
}
