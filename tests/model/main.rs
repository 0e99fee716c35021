//! Models: random operations against an oracle that is obviously right, and the same operations from
//! several tasks at once, with requests that are dropped in the middle.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking
#![allow(clippy::result_large_err)] // the oracle refuses with a whole answer

#[path = "../common/mod.rs"]
mod common;

mod compare;
mod concurrent;
mod operations;
mod oracle;
mod pieces;
mod requests;
mod sequential;
mod setup;
mod strategies;
mod universe;
