//! The example `copy`, as it is run in a terminal: built, and started as a process of its own.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../client_network/certificates.rs"]
#[allow(dead_code)] // each of these modules is used in part
mod certificates;
#[path = "../clients/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../clients/images.rs"]
#[allow(dead_code)]
mod images;
#[path = "../common/layouts.rs"]
mod layouts;
#[path = "../../examples/copy/place.rs"]
#[allow(dead_code)]
mod place;
#[path = "../clients/registry.rs"]
#[allow(dead_code)]
mod registry;
#[path = "../../examples/serve/repositories.rs"]
#[allow(dead_code)]
mod repositories;
#[path = "../../examples/serve/server.rs"]
#[allow(dead_code)]
mod server;
#[path = "../client_network/server.rs"]
#[allow(dead_code)]
mod tls;

mod access;
mod compared;
mod copies;
mod mistakes;
mod places;
mod program;
mod real;
mod referrers;
mod selection;
mod stopped;
mod terminal;
