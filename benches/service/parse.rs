//! `OciRequest::parse`: every kind of request, and one that is none of the protocol's.

use std::{fmt, hint::black_box};

use divan::Bencher;
use http::Method;
use tower_oci::{Algorithm, BoxError, OciRequest, Operation};

use crate::{measure::done, registry::REPOSITORY};

/// A request, and what it is.
struct Case {
    name: &'static str,
    method: Method,
    path: String,
    query: String,
}

#[divan::bench(args = cases())]
fn request(bencher: Bencher<'_, '_>, case: &Case) {
    done(case.check());
    bencher.bench_local(|| {
        OciRequest::parse(
            black_box(&case.method),
            black_box(&case.path),
            black_box(&case.query),
        )
    });
}

/// Each name begins with that of the operation.
fn cases() -> Vec<Case> {
    let digest = Algorithm::Sha256.digest(b"demo");
    let page = "n=100&last=v0000500";
    let by_digest = format!("manifests/{digest}");
    let blob = format!("blobs/{digest}");
    let referrers = format!("referrers/{digest}");
    let upload = "blobs/uploads/4bd1ab33-7e0c-4b2f-9f6a-2a52e9d3b0a1";
    let get = Method::GET;
    let case = |name, method: &Method, path: &str, query: &str| Case {
        name,
        method: method.clone(),
        path: format!("/{REPOSITORY}/{path}"),
        query: query.to_owned(),
    };
    let at = |path: &str, case: Case| Case {
        path: path.to_owned(),
        ..case
    };
    vec![
        at("/", case("ping", &get, "", "")),
        case("get_manifest by tag", &get, "manifests/latest", ""),
        case("get_manifest by digest", &get, &by_digest, ""),
        case(
            "head_manifest by tag",
            &Method::HEAD,
            "manifests/latest",
            "",
        ),
        case("head_manifest by digest", &Method::HEAD, &by_digest, ""),
        case("get_blob", &get, &blob, ""),
        case("head_blob", &Method::HEAD, &blob, ""),
        case("start_upload", &Method::POST, "blobs/uploads/", ""),
        case(
            "push_blob",
            &Method::POST,
            "blobs/uploads/",
            &format!("digest={digest}"),
        ),
        case(
            "mount_blob",
            &Method::POST,
            "blobs/uploads/",
            &format!("mount={digest}&from=library/base"),
        ),
        case("upload_status", &get, upload, ""),
        case("append_upload", &Method::PATCH, upload, ""),
        case(
            "finish_upload",
            &Method::PUT,
            upload,
            &format!("digest={digest}"),
        ),
        case("cancel_upload", &Method::DELETE, upload, ""),
        case("put_manifest", &Method::PUT, "manifests/latest", ""),
        case(
            "put_manifest with tags",
            &Method::PUT,
            &by_digest,
            "tag=1&tag=1.2&tag=1.2.3",
        ),
        case("delete_manifest", &Method::DELETE, &by_digest, ""),
        case("delete_blob", &Method::DELETE, &blob, ""),
        case("list_tags", &get, "tags/list", page),
        case(
            "list_referrers",
            &get,
            &referrers,
            "artifactType=application/vnd.example.signature",
        ),
        at("/_catalog", case("list_repositories", &get, "", page)),
        case("invalid", &get, "layers/latest", ""),
    ]
}

impl Case {
    fn check(&self) -> Result<(), BoxError> {
        let parsed = OciRequest::parse(&self.method, &self.path, &self.query);
        let operation = parsed.map_or(Operation::Invalid, |request| request.operation());
        match self.name.split(' ').next() == Some(operation.as_str()) {
            true => Ok(()),
            false => Err(format!("{self} is {operation}").into()),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}
