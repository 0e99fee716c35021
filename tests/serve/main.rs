//! The serve example: how its server treats connections, what its store has from where, and what
//! its mirrors ask of other registries.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/layouts.rs"]
mod layouts;
#[path = "../../examples/serve/mirror.rs"]
mod mirror;
#[path = "../../examples/serve/repositories.rs"]
mod repositories;
#[path = "../common/scripted.rs"]
mod scripted;
#[path = "../../examples/serve/server.rs"]
#[allow(dead_code)] // its logging
mod server;

mod connections;
mod mirrors;
mod stores;
