//! One of the hot requests, as often as it is told to: what `benches/instructions/run` counts the
//! instructions of.
//!
//! `instructions list` names the cases, `instructions CASE REQUESTS` runs one of them.

#![allow(clippy::print_stdout)] // a program that is run by a script

#[path = "../service/registry.rs"]
mod registry;

use std::env;

use http::{Method, StatusCode};
use registry::{Part, Registry, Storage, image, pull};
use tower_oci::{BlobStore, BoxError};

/// Requests that come before those that are asked for: threads and caches are there after them.
const WARM_UP: usize = 100;

const USAGE: &str = "usage: instructions list, or instructions CASE REQUESTS";

struct Case {
    name: &'static str,
    part: Part,
    method: Method,
    storage: Storage,
}

const CASES: [Case; 5] = [
    Case {
        name: "manifest_get_by_tag_memory",
        part: Part::ManifestByTag,
        method: Method::GET,
        storage: Storage::Memory,
    },
    Case {
        name: "manifest_get_by_tag_layout",
        part: Part::ManifestByTag,
        method: Method::GET,
        storage: Storage::Layout,
    },
    Case {
        name: "manifest_head_by_digest_memory",
        part: Part::ManifestByDigest,
        method: Method::HEAD,
        storage: Storage::Memory,
    },
    Case {
        name: "manifest_head_by_digest_layout",
        part: Part::ManifestByDigest,
        method: Method::HEAD,
        storage: Storage::Layout,
    },
    Case {
        name: "blob_get_layout",
        part: Part::FirstLayer,
        method: Method::GET,
        storage: Storage::Layout,
    },
];

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => {
            for case in &CASES {
                println!("{}", case.name);
            }
            Ok(())
        }
        [name, requests] => {
            let case = CASES.iter().find(|case| case.name == name);
            case.ok_or("there is no such case")?.run(requests.parse()?)
        }
        _ => Err(USAGE.into()),
    }
}

impl Case {
    fn run(&self, requests: usize) -> Result<(), BoxError> {
        let image = image()?;
        match self.storage {
            Storage::Memory => self.ask(&Registry::in_memory(&image)?, requests),
            Storage::Layout => self.ask(&Registry::on_disk(&image)?, requests),
        }
    }

    fn ask<S: BlobStore>(&self, registry: &Registry<S>, requests: usize) -> Result<(), BoxError> {
        let (request, length) = pull(&image()?, self.part, self.method.clone())?;
        for _ in 0..WARM_UP + requests {
            let answer = registry.exchange(request.clone())?;
            if answer != (StatusCode::OK, length) {
                return Err(format!("{}: the answer is wrong: {answer:?}", self.name).into());
            }
        }
        Ok(())
    }
}
