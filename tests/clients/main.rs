//! Real clients, as Debian packages them, against a registry in this process: what arrives is
//! compared byte for byte with what was sent.
//!
//! A client that is not installed is skipped, and stderr says so. With
//! `TOWER_OCI_REQUIRE_CLIENTS=1` it is a failure.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/layouts.rs"]
mod layouts;
#[path = "../../examples/serve/repositories.rs"]
mod repositories;
#[path = "../../examples/serve/server.rs"]
#[allow(dead_code)] // its logging
mod server;

mod client;
mod curl;
mod images;
mod lists;
mod mounts;
mod pulls;
mod pushes;
mod refusals;
mod registry;
mod storage;
