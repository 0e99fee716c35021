//! Measures one request again and again, after its answer was checked.

use bytes::Bytes;
use divan::Bencher;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use tower_oci::{BlobStore, BoxError};

use crate::registry::{Ask, Registry};

/// What the body of the right answer is.
pub(crate) enum Expected {
    Length(usize),
    /// A JSON document with so many entries in the list of this name.
    Entries(&'static str, usize),
}

/// How much of the answer is part of what is measured.
#[derive(Clone, Copy)]
pub(crate) enum Read {
    ToTheEnd,
    /// The response is dropped with its body unread.
    Nothing,
}

/// Measures a request, if its answer is the right one.
pub(crate) fn measure<S: BlobStore>(
    bencher: Bencher<'_, '_>,
    registry: &Registry<S>,
    request: &Ask,
    expected: &Expected,
    read: Read,
) -> Result<(), BoxError> {
    check(registry, request, expected)?;
    let bencher = bencher.with_inputs(|| request.clone());
    match read {
        Read::ToTheEnd => bencher.bench_local_values(|request| registry.exchange(request)),
        Read::Nothing => bencher.bench_local_values(|request| {
            registry.oneshot(request, async |answer| answer.status())
        }),
    }
    Ok(())
}

fn check<S: BlobStore>(
    registry: &Registry<S>,
    request: &Ask,
    expected: &Expected,
) -> Result<(), BoxError> {
    let (method, uri) = (request.method(), request.uri());
    let (status, body) = registry.oneshot(request.clone(), async |answer| {
        let status = answer.status();
        Ok::<_, BoxError>((status, answer.into_body().collect().await?.to_bytes()))
    })?;
    match status == StatusCode::OK && expected.is(&body)? {
        true => Ok(()),
        false => Err(format!("{method} {uri}: {status}, with {} bytes", body.len()).into()),
    }
}

impl Expected {
    fn is(&self, body: &Bytes) -> Result<bool, BoxError> {
        Ok(match self {
            Self::Length(length) => body.len() == *length,
            Self::Entries(list, count) => {
                let document: Value = serde_json::from_slice(body)?;
                let entries = document[list].as_array();
                entries.is_some_and(|entries| entries.len() == *count)
            }
        })
    }
}

/// Ends the program if a bench could not be measured.
#[allow(clippy::panic)] // divan's benches return nothing
pub(crate) fn done(measured: Result<(), BoxError>) {
    if let Err(error) = measured {
        panic!("not measured: {error}");
    }
}
