//! Headers of any bytes, on every operation, through a registry with content.
//!
//! Nothing panics; every answer has the protocol's form and is no 500; and a refused request leaves
//! the registry as it was.

#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_oci::{Algorithm, Digest, MediaType, MemoryStore, OciRegistryService};
use tower_oci_fuzz::{Frames, Registry, ask, send};

const BLOB: &[u8] = b"0123456789";
const NEW_BLOB: &[u8] = b"hello";

const STATUSES: &[u16] = &[
    200, 201, 202, 204, 206, 304, 400, 404, 405, 412, 413, 416, 507,
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    operation: Operation,
    headers: Vec<(Name, Value<'a>)>,
    content: Content<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Operation {
    Ping,
    GetManifest,
    HeadManifest,
    GetManifestByDigest,
    GetBlob,
    HeadBlob,
    StartUpload,
    PushBlob,
    MountBlob,
    UploadStatus,
    AppendUpload,
    FinishUpload,
    CancelUpload,
    PutManifest,
    PutManifestByDigest,
    DeleteTag,
    DeleteManifest,
    DeleteBlob,
    ListTags,
    ListReferrers,
    ListRepositories,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name {
    ContentRange,
    ContentLength,
    ContentType,
    Range,
    IfRange,
    IfMatch,
    IfNoneMatch,
    Expect,
    Accept,
    Host,
    ForwardedPrefix,
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
    /// The length of the body.
    Length,
    /// The range of the body behind what has arrived.
    Piece,
    Numbers(u64, u64),
    Ranges(Vec<(Option<u8>, Option<u8>)>),
    EntityTags(Vec<(Which, bool, bool)>),
    Type(Type),
    Continue,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Which {
    Blob,
    Manifest,
    NewManifest,
    Nothing,
    Star,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Type {
    Manifest,
    ManifestWithParameter,
    Index,
    Json,
    Schema1,
}

#[derive(Arbitrary, Debug)]
enum Content<'a> {
    /// What the operation is for.
    Right,
    Frames(Vec<&'a [u8]>),
}

fuzz_target!(|input: Input<'_>| -> Corpus {
    let world = World::new();
    let Some(request) = world.request(&input) else {
        return Corpus::Reject;
    };
    let before = world.store.used_bytes();
    let answer = send(&world.registry, request);
    let status = answer.status.as_u16();
    assert!(STATUSES.contains(&status), "{answer:?}");
    if answer.is_refusal() {
        assert_eq!(world.store.used_bytes(), before, "{answer:?}");
        world.check_unchanged();
    }
    Corpus::Keep
});

/// A registry with an image, a second manifest without it, and an upload that has begun.
struct World {
    store: MemoryStore,
    registry: Registry,
    upload: String,
    blob: Digest,
    manifest: Digest,
    manifest_bytes: Vec<u8>,
    new_manifest: Digest,
    new_manifest_bytes: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        let registry = OciRegistryService::writable(store.clone());
        let blob = Algorithm::Sha256.digest(BLOB);
        let manifest_bytes = manifest(&blob, "first");
        let new_manifest_bytes = manifest(&blob, "second");
        let mut world = Self {
            store,
            registry,
            upload: String::new(),
            blob,
            manifest: Algorithm::Sha256.digest(&manifest_bytes),
            manifest_bytes,
            new_manifest: Algorithm::Sha256.digest(&new_manifest_bytes),
            new_manifest_bytes,
        };
        let uri = format!("/v2/demo/blobs/uploads/?digest={blob}");
        world.set_up("POST", &uri, BLOB, 201);
        world.set_up("PUT", "/v2/demo/manifests/a", &world.manifest_bytes, 201);
        world.upload = world.set_up("POST", "/v2/demo/blobs/uploads/", b"", 202);
        world.set_up("PATCH", &world.upload, b"abc", 202);
        world
    }

    fn set_up(&self, method: &str, uri: &str, body: &[u8], expected: u16) -> String {
        let request = Request::builder().method(method).uri(uri);
        let answer = send(&self.registry, request.body(Frames::of([body])).unwrap());
        assert_eq!(answer.status, expected, "{answer:?}");
        answer.header("location").to_owned()
    }

    fn check_unchanged(&self) {
        let answer = ask(&self.registry, "GET", "/v2/demo/manifests/a");
        assert_eq!(answer.body, self.manifest_bytes);
        let answer = ask(
            &self.registry,
            "GET",
            &format!("/v2/demo/blobs/{}", self.blob),
        );
        assert_eq!(answer.body, BLOB);
        let answer = ask(&self.registry, "GET", &self.upload);
        assert_eq!(
            (answer.status.as_u16(), answer.header("range")),
            (204, "0-2")
        );
    }

    /// The request, or nothing if a header cannot have such a value at all.
    fn request(&self, input: &Input<'_>) -> Option<Request<Frames>> {
        let (method, path) = self.target(input.operation);
        let pieces = match &input.content {
            Content::Right => vec![self.right_content(input.operation)],
            Content::Frames(pieces) => pieces.clone(),
        };
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let mut request = Request::new(Frames::of(pieces));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in input.headers.iter().take(6) {
            let value = self.value(value, length);
            let value = HeaderValue::from_bytes(&value).ok()?;
            request.headers_mut().append(name.header(), value);
        }
        Some(request)
    }

    fn target(&self, operation: Operation) -> (&'static str, String) {
        use Operation as O;
        let (blob, manifest, upload) = (self.blob, self.manifest, &self.upload);
        let new_blob = Algorithm::Sha256.digest(NEW_BLOB);
        let whole = Algorithm::Sha256.digest([b"abc", NEW_BLOB].concat());
        let (method, path) = match operation {
            O::Ping => ("GET", "/".to_owned()),
            O::GetManifest => ("GET", "/demo/manifests/a".to_owned()),
            O::HeadManifest => ("HEAD", "/demo/manifests/a".to_owned()),
            O::GetManifestByDigest => ("GET", format!("/demo/manifests/{manifest}")),
            O::GetBlob => ("GET", format!("/demo/blobs/{blob}")),
            O::HeadBlob => ("HEAD", format!("/demo/blobs/{blob}")),
            O::StartUpload => ("POST", "/demo/blobs/uploads/".to_owned()),
            O::PushBlob => ("POST", format!("/demo/blobs/uploads/?digest={new_blob}")),
            O::MountBlob => (
                "POST",
                format!("/other/blobs/uploads/?mount={blob}&from=demo"),
            ),
            O::UploadStatus => return ("GET", upload.clone()),
            O::AppendUpload => return ("PATCH", upload.clone()),
            O::FinishUpload => return ("PUT", format!("{upload}?digest={whole}")),
            O::CancelUpload => return ("DELETE", upload.clone()),
            O::PutManifest => ("PUT", "/demo/manifests/a".to_owned()),
            O::PutManifestByDigest => {
                let digest = self.new_manifest;
                ("PUT", format!("/demo/manifests/{digest}?tag=b&tag=c"))
            }
            O::DeleteTag => ("DELETE", "/demo/manifests/a".to_owned()),
            O::DeleteManifest => ("DELETE", format!("/demo/manifests/{manifest}")),
            O::DeleteBlob => ("DELETE", format!("/demo/blobs/{blob}")),
            O::ListTags => ("GET", "/demo/tags/list".to_owned()),
            O::ListReferrers => ("GET", format!("/demo/referrers/{manifest}")),
            O::ListRepositories => ("GET", "/_catalog".to_owned()),
        };
        (method, format!("/v2{path}"))
    }

    fn right_content(&self, operation: Operation) -> &[u8] {
        match operation {
            Operation::PutManifest | Operation::PutManifestByDigest => &self.new_manifest_bytes,
            _ => NEW_BLOB,
        }
    }

    fn value(&self, value: &Value<'_>, length: usize) -> Vec<u8> {
        match value {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Number(number) => number.to_string().into_bytes(),
            Value::Length => length.to_string().into_bytes(),
            Value::Piece => format!("3-{}", (length + 3).saturating_sub(1)).into_bytes(),
            Value::Numbers(first, last) => format!("{first}-{last}").into_bytes(),
            Value::Ranges(ranges) => {
                let number =
                    |number: &Option<u8>| number.map_or(String::new(), |n| (n % 16).to_string());
                let ranges = ranges
                    .iter()
                    .map(|(first, last)| format!("{}-{}", number(first), number(last)));
                let ranges: Vec<String> = ranges.collect();
                format!("bytes={}", ranges.join(",")).into_bytes()
            }
            Value::EntityTags(tags) => {
                let tags = tags.iter().map(|tag| self.entity_tag(tag));
                tags.collect::<Vec<_>>().join(", ").into_bytes()
            }
            Value::Type(media_type) => media_type.text().into_bytes(),
            Value::Continue => b"100-continue".to_vec(),
        }
    }

    fn entity_tag(&self, (which, is_weak, is_quoted): &(Which, bool, bool)) -> String {
        let opaque = match which {
            Which::Blob => self.blob.to_string(),
            Which::Manifest => self.manifest.to_string(),
            Which::NewManifest => self.new_manifest.to_string(),
            Which::Nothing => "a, b".to_owned(),
            Which::Star => return "*".to_owned(),
        };
        let (weak, quote) = (
            if *is_weak { "W/" } else { "" },
            if *is_quoted { "\"" } else { "" },
        );
        format!("{weak}{quote}{opaque}{quote}")
    }
}

fn manifest(blob: &Digest, name: &str) -> Vec<u8> {
    let (media_type, size) = (MediaType::OCI_MANIFEST, BLOB.len());
    let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{blob}","size":{size}}}"#);
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{descriptor},"layers":[],"annotations":{{"name":"{name}"}}}}"#
    )
    .into_bytes()
}

impl Name {
    fn header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::ContentRange => "content-range",
            Self::ContentLength => "content-length",
            Self::ContentType => "content-type",
            Self::Range => "range",
            Self::IfRange => "if-range",
            Self::IfMatch => "if-match",
            Self::IfNoneMatch => "if-none-match",
            Self::Expect => "expect",
            Self::Accept => "accept",
            Self::Host => "host",
            Self::ForwardedPrefix => "x-forwarded-prefix",
        })
    }
}

impl Type {
    fn text(self) -> String {
        match self {
            Self::Manifest => MediaType::OCI_MANIFEST.to_string(),
            Self::ManifestWithParameter => format!("{}; charset=utf-8", MediaType::OCI_MANIFEST),
            Self::Index => MediaType::OCI_INDEX.to_string(),
            Self::Json => "application/json".to_owned(),
            Self::Schema1 => "application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned(),
        }
    }
}
