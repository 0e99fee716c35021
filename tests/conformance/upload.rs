//! The ways in which the suite uploads a blob.

use super::*;

pub(crate) const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// The smallest chunk that the suite sends, but for the last.
pub(crate) const CHUNK: usize = 1024;

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Upload {
    /// POST, and all of it in a PUT.
    PostPut,
    /// All of it in a POST.
    Post,
    /// POST, chunks in PATCHes, and an empty PUT.
    Chunks,
    /// POST, chunks in PATCHes, and the last in the PUT.
    PutChunk,
    /// POST, all of it in a PATCH of unknown length, and an empty PUT.
    Stream,
}

impl Upload {
    pub(crate) const ALL: [Self; 5] = [
        Self::PostPut,
        Self::Post,
        Self::Chunks,
        Self::PutChunk,
        Self::Stream,
    ];

    /// Sends `content` as the blob `digest`, and returns the answer to the last request. All
    /// requests before it succeed.
    pub(crate) async fn send(
        self,
        registry: &Registry,
        repository: &str,
        digest: &Digest,
        content: &Bytes,
    ) -> Answer {
        if self == Self::Post {
            let uri = format!("/v2/{repository}/blobs/uploads/");
            let uri = with_parameter(&uri, "digest", digest);
            return put(registry, "POST", &uri, &[OCTETS], content.clone()).await;
        }
        let opened = open(registry, repository).await;
        let location = opened.header("location").to_owned();
        match self {
            Self::PostPut => {
                let end = with_parameter(&location, "digest", digest);
                put(registry, "PUT", &end, &[OCTETS], content.clone()).await
            }
            Self::Stream => {
                let answer = stream(registry, "PATCH", &location, &[OCTETS], content).await;
                let location = accepted(&answer, content.len());
                close(registry, &location, digest).await
            }
            _ => {
                let size = chunk_size(&opened, content);
                self.chunks(registry, location, digest, content, size).await
            }
        }
    }

    async fn chunks(
        self,
        registry: &Registry,
        mut location: String,
        digest: &Digest,
        content: &Bytes,
        size: usize,
    ) -> Answer {
        let mut offset = 0;
        while offset < content.len() {
            let end = (offset + size).min(content.len());
            let is_last = end == content.len();
            if is_last && self == Self::PutChunk {
                let uri = with_parameter(&location, "digest", digest);
                return chunk(registry, "PUT", &uri, content, offset..end).await;
            }
            let answer = chunk(registry, "PATCH", &location, content, offset..end).await;
            location = accepted(&answer, end);
            offset = end;
        }
        close(registry, &location, digest).await
    }
}

/// Opens a session.
pub(crate) async fn open(registry: &Registry, repository: &str) -> Answer {
    let uri = format!("/v2/{repository}/blobs/uploads/");
    let answer = put(registry, "POST", &uri, &[], "").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_ne!(answer.header("location"), "");
    answer
}

/// How large the chunks of `content` are in a session that was opened with this answer.
pub(crate) fn chunk_size(opened: &Answer, content: &Bytes) -> usize {
    let least = match opened.header("oci-chunk-min-length") {
        "" => CHUNK,
        least => least.parse::<usize>().unwrap().max(CHUNK),
    };
    least.max(content.len() / 3 + 1)
}

/// Sends the chunk of `content` at `range`.
pub(crate) async fn chunk(
    registry: &Registry,
    method: &str,
    uri: &str,
    content: &Bytes,
    range: std::ops::Range<usize>,
) -> Answer {
    let content_range = format!("{}-{}", range.start, range.end - 1);
    let headers = [OCTETS, ("content-range", content_range.as_str())];
    put(registry, method, uri, &headers, content.slice(range)).await
}

/// The location that follows a PATCH after which `offset` bytes have arrived.
pub(crate) fn accepted(answer: &Answer, offset: usize) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    let last = offset.saturating_sub(1);
    assert_eq!(answer.header("range"), format!("0-{last}"));
    assert_ne!(answer.header("location"), "");
    answer.header("location").to_owned()
}

/// Ends a session into which everything was sent.
pub(crate) async fn close(registry: &Registry, location: &str, digest: &Digest) -> Answer {
    let end = with_parameter(location, "digest", digest);
    put(registry, "PUT", &end, &[OCTETS], "").await
}
