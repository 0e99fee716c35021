//! What the targets share: a request goes in, and an answer that was checked comes out.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_oci::{BoxError, MemoryStore, OciRegistryService, Operation};

/// A registry that takes everything.
pub type Registry = OciRegistryService<MemoryStore>;

/// The codes of the specification.
// protocol 8
const CODES: &[&str] = &[
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
];

/// A response whose body was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub operation: Operation,
    pub body: Bytes,
}

impl Answer {
    /// The value of a header that is there at most once; empty if it is not there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} is there more than once");
        value
    }

    pub fn is_refusal(&self) -> bool {
        self.status.as_u16() >= 400
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The codes of an error, and the digests in it.
    pub fn errors(&self) -> Vec<(String, Option<String>)> {
        let json = self.json();
        let errors = json["errors"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
        let errors = errors.map(|error| {
            (
                text(&error["code"]).unwrap(),
                text(&error["detail"]["digest"]),
            )
        });
        errors.collect()
    }

    /// Asserts what holds for every answer, whatever was asked.
    #[track_caller]
    fn assert_form(&self, method: &Method) {
        // Only what is announced to be huge finds the storage full.
        let is_full = self.status == StatusCode::INSUFFICIENT_STORAGE;
        assert!(self.status.as_u16() < 500 || is_full, "{self:?}");
        // protocol 61
        assert_eq!(
            self.header("docker-distribution-api-version"),
            "registry/2.0"
        );
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        let length = self.header("content-length");
        match self.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
                assert_eq!((length, self.body.len()), ("", 0), "{self:?}");
            }
            _ if method == Method::HEAD => {
                assert!(!length.is_empty() && self.body.is_empty(), "{self:?}");
            }
            _ => assert_eq!(length, self.body.len().to_string(), "{self:?}"),
        }
        let is_not_allowed = self.status == StatusCode::METHOD_NOT_ALLOWED;
        assert_eq!(
            is_not_allowed,
            self.headers.contains_key("allow"),
            "{self:?}"
        );
        if self.is_refusal() {
            assert_eq!(self.header("content-type"), "application/json");
            assert_eq!(self.header("cache-control"), "no-store");
            if method != Method::HEAD {
                self.assert_envelope();
            }
        }
    }

    #[track_caller]
    fn assert_envelope(&self) {
        let errors = self.errors();
        assert!((1..=100).contains(&errors.len()), "{self:?}");
        let is_full = self.status == StatusCode::INSUFFICIENT_STORAGE;
        let is_known = |code: &str| CODES.contains(&code) || (is_full && code == "UNKNOWN");
        assert!(errors.iter().all(|(code, _)| is_known(code)), "{self:?}");
        let json = self.json();
        let message = json["errors"][0]["message"].as_str().unwrap();
        // An error is never much longer than the excerpt of its cause: 80 characters, escaped.
        assert!(
            (1..2000).contains(&message.len()) && !message.contains(char::is_control),
            "{self:?}"
        );
    }
}

/// Sends `request`, and checks the form of the answer.
#[track_caller]
pub fn send(registry: &Registry, request: Request<Frames>) -> Answer {
    let mut answer = Pending::new(registry, request);
    answer
        .poll()
        .expect("nothing holds the body back, and still there is no answer")
}

/// Sends a request without a body.
#[track_caller]
pub fn ask(registry: &Registry, method: &str, uri: &str) -> Answer {
    let request = Request::builder().method(method).uri(uri);
    send(registry, request.body(Frames::default()).unwrap())
}

/// A request under way. Dropping it is what a server does when the client leaves.
pub struct Pending {
    method: Method,
    answer: Pin<Box<dyn Future<Output = Answer>>>,
}

impl Pending {
    pub fn new(registry: &Registry, request: Request<Frames>) -> Self {
        let method = request.method().clone();
        let answer = registry.clone().oneshot(request);
        let answer = async {
            let (parts, body) = answer.await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let operation = parts.extensions.get::<Operation>().copied();
            Answer {
                status: parts.status,
                headers: parts.headers,
                operation: operation.unwrap(),
                body,
            }
        };
        Self {
            method,
            answer: Box::pin(answer),
        }
    }

    /// The answer, if nothing holds the body of the request back.
    #[track_caller]
    pub fn poll(&mut self) -> Option<Answer> {
        // A long body is hashed in steps, between which others get their turn.
        const STEPS: usize = 10_000;
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..STEPS {
            if let Poll::Ready(answer) = self.answer.as_mut().poll(&mut context) {
                answer.assert_form(&self.method);
                return Some(answer);
            }
        }
        None
    }
}

/// Runs a future that waits for nothing.
#[track_caller]
pub fn now<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

/// The body of a request, in the frames that it arrives in.
#[derive(Debug, Default)]
pub struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    gate: Option<Arc<AtomicBool>>,
    fails: bool,
}

impl Frames {
    /// These pieces, of which any may be empty.
    pub fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut frames = Self::default();
        for piece in pieces {
            frames.push(piece);
        }
        frames
    }

    pub fn push(&mut self, piece: &[u8]) {
        let piece = Bytes::copy_from_slice(piece);
        self.frames.push_back(Frame::data(piece));
    }

    pub fn push_trailers(&mut self) {
        self.frames.push_back(Frame::trailers(HeaderMap::new()));
    }

    /// The same, with an error at its end: the connection is lost.
    pub fn failing(self, fails: bool) -> Self {
        Self { fails, ..self }
    }

    /// The same, whose end comes only when `gate` is open.
    pub fn held_by(self, gate: &Arc<AtomicBool>) -> Self {
        let gate = Some(gate.clone());
        Self { gate, ..self }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let gate = self.gate.as_ref();
        if gate.is_some_and(|gate| !gate.load(Ordering::Relaxed)) {
            return Poll::Pending;
        }
        let error = std::mem::take(&mut self.fails).then(|| Err("the connection is lost".into()));
        Poll::Ready(error)
    }
}
