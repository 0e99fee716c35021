//! The grammar of requests: `METHOD path?query`.
//!
//! Nothing panics; what is parsed is written back to the same request; and a layer outside, with
//! `Mount::parse`, sees the same as the service inside.

#![no_main]

use http::{Method, Request, Uri};
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_oci::{
    ArtifactType, Digest, InvalidRequest, MediaType, MemoryStore, Mount, OciRegistryService,
    OciRequest, Operation, Reference, RepositoryName, Tag, UploadId,
};
use tower_oci_fuzz::{Frames, send};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    check_names(text);
    let Some((method, target)) = text.split_once(' ') else {
        return Corpus::Keep;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return Corpus::Reject;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parsed = OciRequest::parse(&method, path, query);
    match &parsed {
        Ok(request) => check_request(&method, request),
        Err(error) => check_error(error.clone()),
    }
    if let Ok(uri) = format!("/v2{target}").parse::<Uri>() {
        check_service(&method, uri, parsed, (path, query));
    }
    Corpus::Keep
});

/// Each checked type shows the text that it was parsed from.
fn check_names(text: &str) {
    macro_rules! check {
        ($($name:ty),+) => {
            $(
                if let Ok(parsed) = text.parse::<$name>() {
                    assert_eq!(parsed.to_string(), text);
                }
            )+
        };
    }
    check!(
        RepositoryName,
        Tag,
        Digest,
        Reference,
        UploadId,
        ArtifactType
    );
    if let Ok(media_type) = text.parse::<MediaType>() {
        // Without its parameters.
        assert!(text.contains(media_type.as_str()));
        assert_eq!(media_type.as_str().parse().ok(), Some(media_type));
    }
}

fn check_request(method: &Method, request: &OciRequest) {
    let written = request.path_and_query();
    let (path, query) = written.split_once('?').unwrap_or((&written, ""));
    let again = OciRequest::parse(&request.method(), path, query);
    assert_eq!(again.as_ref(), Ok(request));
    // With the method that it came with, too: HEAD of a list is GET of it without the body.
    let again = OciRequest::parse(method, path, query);
    assert_eq!(again.as_ref(), Ok(request));
    assert!(format!("/v2{written}").parse::<Uri>().is_ok());

    let needs_repository = request.repository().is_some();
    let scope = request.required_access().map(|access| access.to_string());
    assert_eq!(
        needs_repository,
        scope.is_some_and(|scope| scope.starts_with("repository:"))
    );
    assert_ne!(request.operation(), Operation::Invalid);
    let _ = request.optional_access();
}

fn check_error(error: InvalidRequest) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains(char::is_control));
    assert!(error.into_response().status().is_client_error());
}

/// Sends the same request to a registry, if it still is the same in `uri`.
fn check_service(
    method: &Method,
    uri: Uri,
    parsed: Result<OciRequest, InvalidRequest>,
    (path, query): (&str, &str),
) {
    // A fragment is cut off, and a path without a slash goes on with the name before it.
    let is_same =
        uri.path().strip_prefix("/v2") == Some(path) && uri.query().unwrap_or_default() == query;
    if !is_same || !(path.is_empty() || path.starts_with('/')) {
        return;
    }
    let request = Request::builder().method(method).uri(uri);
    let request = request.body(Frames::default()).unwrap();
    assert_eq!(Mount::default().parse(&request), parsed);
    let answer = send(&OciRegistryService::writable(MemoryStore::new()), request);
    let operation = parsed.map_or(Operation::Invalid, |request| request.operation());
    assert_eq!(answer.operation, operation);
}
