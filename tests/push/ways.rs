//! The ways in which clients upload a blob.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One POST with everything.
    Single,
    /// The same, chunked.
    SingleStreamed,
    /// POST, then PUT with everything.
    Put,
    /// The same, chunked.
    PutStreamed,
    /// Chunks with `Content-Range`, and a PUT with nothing.
    Chunks,
    /// A chunk in a PATCH, and the last one in the PUT, both with `Content-Range`.
    LastChunkInPut,
    /// A PATCH with everything and without `Content-Range`, chunked.
    Stream,
    /// Several of those in a row.
    Streams,
    /// One of those with a length, and the rest in the PUT.
    RestInPut,
}

impl Way {
    pub(crate) const ALL: [Self; 9] = [
        Self::Single,
        Self::SingleStreamed,
        Self::Put,
        Self::PutStreamed,
        Self::Chunks,
        Self::LastChunkInPut,
        Self::Stream,
        Self::Streams,
        Self::RestInPut,
    ];

    /// Those that open a session first.
    pub(crate) fn with_session() -> impl Iterator<Item = Self> {
        let single = [Self::Single, Self::SingleStreamed];
        Self::ALL
            .into_iter()
            .filter(move |way| !single.contains(way))
    }

    /// Uploads `content`, and returns the answer to the last request.
    pub(crate) async fn upload<S: BlobStore>(
        self,
        registry: &Registry<S>,
        repository: &str,
        digest: impl Display,
        content: &Bytes,
    ) -> Answer {
        if matches!(self, Self::Single | Self::SingleStreamed) {
            let uri = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
            return self.send_all(registry, "POST", &uri, content).await;
        }
        let location = start(registry, repository).await;
        self.continue_at(registry, &location, digest, content).await
    }

    /// Uploads `content` to a session that is open.
    pub(crate) async fn continue_at<S: BlobStore>(
        self,
        registry: &Registry<S>,
        location: &str,
        digest: impl Display,
        content: &Bytes,
    ) -> Answer {
        let uri = format!("{location}?digest={digest}");
        let middle = content.len() / 2;
        let (first, last) = (content.slice(..middle), content.slice(middle..));
        let (of_first, of_last) = (range_of(0, &first), range_of(middle, &last));
        match self {
            Self::Single | Self::SingleStreamed | Self::Put | Self::PutStreamed => {
                return self.send_all(registry, "PUT", &uri, content).await;
            }
            Self::Chunks => {
                assert_taken(&patch(registry, location, &of_first, first).await);
                assert_taken(&patch(registry, location, &of_last, last).await);
            }
            Self::LastChunkInPut => {
                assert_taken(&patch(registry, location, &of_first, first).await);
                return finish(registry, location, digest, &of_last, last).await;
            }
            Self::Stream => {
                assert_taken(&self.send_all(registry, "PATCH", location, content).await);
            }
            Self::Streams => {
                for piece in [first, last] {
                    assert_taken(&self.send_all(registry, "PATCH", location, &piece).await);
                }
            }
            Self::RestInPut => {
                assert_taken(&patch(registry, location, "", first).await);
                return finish(registry, location, digest, "", last).await;
            }
        }
        finish(registry, location, digest, "", "").await
    }

    async fn send_all<S: BlobStore>(
        self,
        registry: &Registry<S>,
        method: &str,
        uri: &str,
        content: &Bytes,
    ) -> Answer {
        if matches!(self, Self::Single | Self::Put) {
            return put(registry, method, uri, OCTETS, content.clone()).await;
        }
        let third = content.len().div_ceil(3).max(1);
        let body = pieces(content.chunks(third).map(Bytes::copy_from_slice));
        send_body(registry, method, uri, OCTETS, body).await
    }
}

const OCTETS: &[(&str, &str)] = &[("content-type", "application/octet-stream")];

/// The `Content-Range` of `piece`, if it has one: that of nothing cannot be written.
fn range_of(start: usize, piece: &Bytes) -> String {
    match piece.len() {
        0 => String::new(),
        length => format!("{start}-{}", start + length - 1),
    }
}

#[track_caller]
fn assert_taken(answer: &Answer) {
    assert_eq!(answer.status, 202, "{answer:?}");
}
