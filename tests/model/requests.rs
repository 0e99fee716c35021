//! Operations as requests.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, request::Builder};

use super::{
    operations::{
        ByteRange, Conditions, EntityTags, Framing, Length, Operation, Page, Piece, PieceRange,
        PutManifest, PutTo, Reference, SentAs,
    },
    pieces::Pieces,
    universe::{CONTENTS, DOCKER, DOCUMENTS, Named, OPAQUE},
};

/// How many bytes a client sends at once.
const PIECE: usize = 3_000;

/// What a client sends after the end of the content that it has.
const FILLER: u8 = b'.';

/// The body of a request, and what its headers say of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) pieces: Vec<Bytes>,
    /// Whether it ends with an error.
    pub(crate) breaks: bool,
    pub(crate) content_length: Option<usize>,
    pub(crate) content_range: ContentRange,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ContentRange {
    #[default]
    None,
    /// From this byte on, so many.
    Of {
        start: usize,
        length: usize,
    },
    Malformed,
}

impl Sent {
    pub(crate) fn framed(bytes: &Bytes, framing: Framing) -> Self {
        let length = bytes.len();
        let (sent, content_length) = match framing {
            Framing::Whole => {
                let pieces = vec![bytes.clone()];
                let content_length = Some(length);
                return Self {
                    pieces,
                    content_length,
                    ..Self::default()
                };
            }
            Framing::InPieces => (length, Some(length)),
            Framing::Streamed => (length, None),
            Framing::Broken => (length / 2, Some(length)),
            Framing::TooShort => (length, Some(length + 1)),
            Framing::TooLong => (length, Some(length.saturating_sub(1))),
        };
        let sent = bytes.slice(..sent);
        Self {
            pieces: sent
                .chunks(PIECE)
                .map(|piece| sent.slice_ref(piece))
                .collect(),
            breaks: framing == Framing::Broken,
            content_length,
            content_range: ContentRange::None,
        }
    }

    /// A piece of an upload of `content`, of which `offset` bytes have arrived.
    pub(crate) fn piece(content: usize, offset: usize, piece: Piece) -> Self {
        let content = &CONTENTS[content];
        let begin = if piece.range == PieceRange::FromStart {
            0
        } else {
            offset
        };
        let rest = content.slice(begin.min(content.len())..);
        let bytes = match piece.length {
            Length::Rest => rest,
            Length::UpTo(length) => rest.slice(..length.min(rest.len())),
            Length::Exactly(length) => {
                let filled = rest.iter().copied().chain(std::iter::repeat(FILLER));
                filled.take(length).collect()
            }
        };
        let length = bytes.len();
        let content_range = match piece.range {
            PieceRange::Malformed => ContentRange::Malformed,
            PieceRange::TooLong => ContentRange::Of {
                start: offset,
                length: length + 1,
            },
            PieceRange::Right if length > 0 => ContentRange::Of {
                start: offset,
                length,
            },
            PieceRange::FromStart if length > 0 => ContentRange::Of { start: 0, length },
            PieceRange::Gap if length > 0 => ContentRange::Of {
                start: offset + 1,
                length,
            },
            _ => ContentRange::None,
        };
        Self {
            content_range,
            ..Self::framed(&bytes, piece.framing)
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub(crate) fn request(self, mut request: Builder) -> Request<Body> {
        if let Some(length) = self.content_length {
            request = request.header("content-length", length);
        }
        match self.content_range {
            ContentRange::None => {}
            ContentRange::Of { start, length } => {
                let range = format!("{start}-{}", start + length - 1);
                request = request.header("content-range", range);
            }
            ContentRange::Malformed => request = request.header("content-range", "bytes 0-1/2"),
        }
        let body = Pieces::new(self.pieces).breaking(self.breaks);
        request.body(Body::new(body)).unwrap()
    }
}

/// The request of an operation that brings `sent`, where `location` is that of its session.
pub(crate) fn request(operation: &Operation, sent: Sent, location: &str) -> Request<Body> {
    let (method, uri) = match operation {
        Operation::PutManifest(put) => return put_manifest(put, sent),
        Operation::Append { .. } => ("PATCH", location.to_owned()),
        Operation::Finish { .. } => ("PUT", location.to_owned()),
        Operation::Status { .. } => ("GET", location.to_owned()),
        Operation::Cancel { .. } => ("DELETE", location.to_owned()),
        other => begin(other)
            .or_else(|| delete(other))
            .or_else(|| read(other))
            .unwrap_or_else(|| panic!("{other:?} is no request")),
    };
    let request = Request::builder().method(method).uri(uri);
    sent.request(with_conditions(request, operation))
}

type MethodAndUri = (&'static str, String);

fn begin(operation: &Operation) -> Option<MethodAndUri> {
    let (repository, query) = match operation {
        Operation::Start {
            repository,
            algorithm,
            ..
        } => {
            let hint = algorithm.map(|algorithm| format!("?digest-algorithm={algorithm}"));
            (repository, hint.unwrap_or_default())
        }
        Operation::Mount {
            repository,
            blob,
            from,
        } => {
            let from = from.map(|from| format!("&from={from}"));
            let from = from.unwrap_or_default();
            (repository, format!("?mount={}{from}", blob.blob()))
        }
        Operation::Push {
            repository, blob, ..
        } => (repository, format!("?digest={}", blob.blob())),
        _ => return None,
    };
    Some(("POST", uploads(repository, &query)))
}

fn delete(operation: &Operation) -> Option<MethodAndUri> {
    let uri = match operation {
        Operation::DeleteTag {
            repository, tag, ..
        } => manifest(repository, Reference::Tag(tag)),
        Operation::DeleteManifest {
            repository,
            document,
            ..
        } => manifest(repository, Reference::Digest(*document)),
        Operation::DeleteBlob {
            repository, blob, ..
        } => blob_uri(repository, *blob),
        _ => return None,
    };
    Some(("DELETE", uri))
}

fn read(operation: &Operation) -> Option<MethodAndUri> {
    Some(match operation {
        Operation::ListTags { repository, page } => {
            let query = query(*page);
            ("GET", format!("/v2/{repository}/tags/list?{query}"))
        }
        Operation::ListRepositories { page } => ("GET", format!("/v2/_catalog?{}", query(*page))),
        Operation::ListReferrers {
            repository,
            subject,
            artifact_type,
            n,
        } => {
            let filter = artifact_type.map(|filter| format!("artifactType={filter}&"));
            let page = query(Page { n: *n, last: None });
            let query = filter.unwrap_or_default() + &page;
            let subject = subject.manifest();
            let uri = format!("/v2/{repository}/referrers/{subject}?{query}");
            ("GET", uri)
        }
        Operation::ReadManifest {
            repository,
            reference,
            is_head,
            ..
        } => (get_or_head(*is_head), manifest(repository, *reference)),
        Operation::ReadBlob {
            repository,
            blob,
            is_head,
            ..
        } => (get_or_head(*is_head), blob_uri(repository, *blob)),
        _ => return None,
    })
}

fn with_conditions(request: Builder, operation: &Operation) -> Builder {
    use Operation as O;
    match operation {
        O::DeleteTag { conditions, .. }
        | O::DeleteManifest { conditions, .. }
        | O::ReadManifest { conditions, .. } => conditional(request, conditions, Named::manifest),
        O::DeleteBlob { conditions, .. } => conditional(request, conditions, Named::blob),
        O::ReadBlob {
            range: Some(range), ..
        } => {
            let range = match range {
                ByteRange::From(first) => format!("bytes={first}-"),
                ByteRange::FromTo(first, last) => format!("bytes={first}-{last}"),
                ByteRange::Suffix(length) => format!("bytes=-{length}"),
            };
            request.header("range", range)
        }
        _ => request,
    }
}

fn put_manifest(put: &PutManifest, sent: Sent) -> Request<Body> {
    let document = &DOCUMENTS[put.document];
    let to = match put.to {
        PutTo::Tag(tag) => tag,
        PutTo::Digest(algorithm) => Named {
            number: put.document,
            algorithm,
        }
        .manifest(),
        PutTo::WrongDigest(other) => other.manifest(),
    };
    let tags: Vec<String> = put.tags.iter().map(|tag| format!("tag={tag}")).collect();
    let uri = format!("/v2/{}/manifests/{to}?{}", put.repository, tags.join("&"));
    let mut request = Request::put(uri);
    let media_type = match put.sent_as {
        SentAs::Own => Some(document.media_type),
        SentAs::Missing => None,
        SentAs::Docker => Some(DOCKER),
        SentAs::Opaque => Some(OPAQUE),
    };
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    sent.request(conditional(request, &put.conditions, Named::manifest))
}

fn conditional(
    mut request: Builder,
    conditions: &Conditions,
    digest: impl Fn(Named) -> &'static str,
) -> Builder {
    let headers = [
        ("if-match", &conditions.if_match),
        ("if-none-match", &conditions.if_none_match),
    ];
    for (name, tags) in headers {
        let value = match tags {
            None => continue,
            Some(EntityTags::Any) => "*".to_owned(),
            Some(EntityTags::Of(named)) => {
                let tags: Vec<_> = named
                    .iter()
                    .map(|&n| format!("\"{}\"", digest(n)))
                    .collect();
                tags.join(", ")
            }
        };
        request = request.header(name, value);
    }
    request
}

/// The location of the session with this number, or of none, as it is asked for in `through`.
pub(crate) fn location(
    locations: &[String],
    index: Option<usize>,
    through: Option<&str>,
) -> String {
    let unknown = "/v2/c/blobs/uploads/00000000000000000000000000000000".to_owned();
    let location = index.map_or(unknown, |index| locations[index].clone());
    match (through, location.rsplit_once('/')) {
        (Some(through), Some((_, id))) => uploads(through, id),
        _ => location,
    }
}

fn uploads(repository: &str, rest: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{rest}")
}

fn manifest(repository: &str, reference: Reference) -> String {
    let reference = match reference {
        Reference::Tag(tag) => tag,
        Reference::Digest(document) => document.manifest(),
    };
    format!("/v2/{repository}/manifests/{reference}")
}

fn blob_uri(repository: &str, blob: Named) -> String {
    format!("/v2/{repository}/blobs/{}", blob.blob())
}

fn query(page: Page) -> String {
    let n = page.n.map(|n| format!("n={n}"));
    let last = page.last.map(|last| format!("last={last}"));
    n.into_iter().chain(last).collect::<Vec<_>>().join("&")
}

fn get_or_head(is_head: bool) -> &'static str {
    if is_head { "HEAD" } else { "GET" }
}
