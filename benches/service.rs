//! What it costs to answer a request, without sockets: the request goes into the service, and the
//! body of the response is read to its end.
//!
//! ```sh
//! cargo bench --bench service                    # all, in about two minutes
//! cargo bench --bench service -- manifest_get    # those whose name has this in it
//! cargo bench --bench service -- --list
//! ```
//!
//! Every request goes through the `block_on` of a tokio runtime with one thread. `nothing` is what
//! that costs alone; it is part of every other number except those of `parse`. Where a layout
//! reads files on other threads, the machine decides what waking them costs.
//!
//! Each bench makes its content itself, when it is asked for. A million tags take some seconds, and
//! a layout is left alone for two seconds until it trusts its files.

#[path = "service/lists.rs"]
mod lists;
#[path = "service/measure.rs"]
mod measure;
#[path = "service/parse.rs"]
mod parse;
#[path = "service/pull.rs"]
mod pull;
#[path = "service/registry.rs"]
mod registry;

use divan::Divan;

fn main() {
    // Enough for the median of what wakes other threads up.
    Divan::default().sample_count(500).config_with_args().main();
}
