//! One request on its way: credentials, redirects, retries.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, Either, select};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use tower_service::Service;

use super::{
    ClientError, ClientErrorKind,
    auth::{Authenticator, Scope},
    error::StatusError,
    origin::{is_same_origin, resolve},
    retry::{Retrying, retry_after},
};
use crate::{
    access::Access,
    body::{BoxError, BytesBody, DynBody},
    source::SourceError,
};

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 10;

/// Any tower service that a client can send its requests through, without its type.
pub(super) struct Transport {
    service: Box<dyn Fn(Request<DynBody>) -> Answer + Send + Sync>,
    pub(super) authenticator: Authenticator,
    user_agent: HeaderValue,
}

type Answer = BoxFuture<'static, Result<Response<DynBody>, BoxError>>;

impl Transport {
    pub(super) fn new<S, B>(
        service: S,
        authenticator: Authenticator,
        user_agent: HeaderValue,
    ) -> Self
    where
        S: Service<Request<DynBody>, Response = Response<B>, Error: Into<BoxError>>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        // Locked to be cloned only: a service need not be shared between threads.
        let service = Mutex::new(service);
        let call = move |request| -> Answer {
            let mut service = service
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx))
                    .await
                    .map_err(Into::into)?;
                let response = service.call(request).await.map_err(Into::into)?;
                Ok(response.map(DynBody::new))
            })
        };
        Self {
            service: Box::new(call),
            authenticator,
            user_agent,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// A request that can be sent as often as it takes.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    /// What it needs the right to do.
    pub(super) access: Vec<Access>,
    /// Whether redirects are followed.
    pub(super) follows: bool,
    /// Statuses that are answers, besides those of success.
    pub(super) accepts: &'static [StatusCode],
}

/// The body of a request.
#[derive(Clone)]
pub(super) enum Content {
    Bytes(Bytes),
    /// So many bytes, which are opened anew for each attempt.
    Stream(u64, Arc<Open>),
}

type Open = dyn Fn() -> BoxFuture<'static, Result<DynBody, SourceError>> + Send + Sync;

impl Content {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(length, _) => *length,
        }
    }

    async fn open(&self) -> Result<DynBody, SourceError> {
        match self {
            Self::Bytes(bytes) => Ok(DynBody::new(BytesBody::new(bytes.clone()))),
            Self::Stream(_, open) => open().await,
        }
    }
}

impl Outgoing {
    pub(super) fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            content: Content::Bytes(Bytes::new()),
            access: Vec::new(),
            follows: true,
            accepts: &[],
        }
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(super) fn access(mut self, access: impl IntoIterator<Item = Access>) -> Self {
        self.access.extend(access);
        self
    }

    pub(super) fn content(self, content: Content) -> Self {
        Self { content, ..self }
    }

    pub(super) fn accepts(self, accepts: &'static [StatusCode]) -> Self {
        Self { accepts, ..self }
    }

    pub(super) fn failed(&self, kind: impl Into<ClientErrorKind>) -> ClientError {
        ClientError::new(&self.method, &self.uri, kind)
    }

    pub(super) fn broke_protocol(&self, what: impl Into<String>) -> ClientError {
        self.failed(ClientErrorKind::Protocol(what.into()))
    }

    fn is_redirect(&self, status: StatusCode) -> bool {
        let is_read = self.method == Method::GET || self.method == Method::HEAD;
        match status.as_u16() {
            301..=303 => is_read,
            307 | 308 => true,
            _ => false,
        }
    }
}

impl Transport {
    /// Sends `outgoing`, again where that helps, until it is answered with success or with a status
    /// that it accepts.
    pub(super) async fn send(
        &self,
        outgoing: &Outgoing,
        retrying: &Retrying,
    ) -> Result<Response<DynBody>, ClientError> {
        let mut retries = retrying.run();
        loop {
            match self.send_once(outgoing, retrying).await {
                Ok(response) => return Ok(response),
                Err(error) => retries.wait(error).await?,
            }
        }
    }

    /// The same, without sending it again.
    pub(super) async fn send_once(
        &self,
        outgoing: &Outgoing,
        retrying: &Retrying,
    ) -> Result<Response<DynBody>, ClientError> {
        let attempt = self.attempt(outgoing, retrying);
        before_deadline(outgoing, retrying, attempt).await
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing,
        retrying: &Retrying,
    ) -> Result<Response<DynBody>, ClientError> {
        let authenticator = &self.authenticator;
        let nothing = Scope::default();
        let sent = authenticator
            .authorize(self, outgoing, retrying, &nothing)
            .await?;
        let exchange = self.exchange_in_time(outgoing, retrying, sent.as_ref());
        let (mut response, from) = exchange.await?;
        // What another server demands that it redirected to is not the registry's.
        if response.status() == StatusCode::UNAUTHORIZED && is_same_origin(&from, &outgoing.uri) {
            let headers = response.headers();
            let more = authenticator
                .challenged(outgoing, headers, sent.as_ref())
                .await?;
            let authorization = match more {
                Some(more) => {
                    authenticator
                        .authorize(self, outgoing, retrying, &more)
                        .await?
                }
                None => None,
            };
            if authorization.is_some() {
                let authorization = authorization.as_ref();
                let exchange = self.exchange_in_time(outgoing, retrying, authorization);
                (response, _) = exchange.await?;
            }
        }
        let status = response.status();
        if status.is_success() || outgoing.accepts.contains(&status) {
            return check_encoding(outgoing, response);
        }
        if !outgoing.follows && outgoing.is_redirect(status) {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers(), &retrying.clock);
        // Its beginning tells enough, and what breaks off in it changes nothing.
        let body = beginning(
            outgoing,
            retrying,
            response.into_body(),
            StatusError::MOST_READ,
        )
        .await;
        Err(outgoing.failed(StatusError::new(status, &body, retry_after)))
    }

    /// The same, of which the head of the answer comes in time. Who is sent something may take longer
    /// to answer.
    async fn exchange_in_time(
        &self,
        outgoing: &Outgoing,
        retrying: &Retrying,
        authorization: Option<&HeaderValue>,
    ) -> Result<(Response<DynBody>, Uri), ClientError> {
        let exchange = self.exchange(outgoing, authorization);
        match outgoing.method == Method::GET || outgoing.method == Method::HEAD {
            true => unless_stalled(outgoing, retrying, exchange).await,
            false => exchange.await,
        }
    }

    /// Sends a request, follows where it is redirected to, and says where the answer is from.
    pub(super) async fn exchange(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
    ) -> Result<(Response<DynBody>, Uri), ClientError> {
        let mut uri = outgoing.uri.clone();
        let mut redirects = 0;
        loop {
            // A secret stays where it belongs (protocol 7).
            let authorization = authorization.filter(|_| is_same_origin(&uri, &outgoing.uri));
            let response = self.exchange_at(outgoing, &uri, authorization).await?;
            if !outgoing.follows || !outgoing.is_redirect(response.status()) {
                return Ok((response, uri));
            }
            redirects += 1;
            if redirects > MOST_REDIRECTS {
                let what = format!("it redirects more than {MOST_REDIRECTS} times");
                return Err(outgoing.broke_protocol(what));
            }
            let location = response.headers().get(header::LOCATION);
            let target = location
                .and_then(|location| location.to_str().ok())
                .and_then(|location| resolve(&uri, location))
                .ok_or_else(|| outgoing.broke_protocol("it redirects to nowhere"))?;
            let is_downgrade = uri.scheme_str() == Some("https");
            if is_downgrade && target.scheme_str() != Some("https") {
                return Err(outgoing.broke_protocol("it redirects from https to another scheme"));
            }
            uri = target;
        }
    }

    async fn exchange_at(
        &self,
        outgoing: &Outgoing,
        uri: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<DynBody>, ClientError> {
        let body = outgoing.content.open().await;
        let body = body.map_err(|error| outgoing.failed(ClientErrorKind::Content(error)))?;
        let mut request = Request::new(body);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.extend(outgoing.headers.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        // Content is what its digest names, and nothing that a proxy makes of it (protocol 72).
        let identity = HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        if outgoing.method != Method::GET && outgoing.method != Method::HEAD {
            headers.insert(header::CONTENT_LENGTH, outgoing.content.length().into());
        }
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let response = (self.service)(request).await;
        response.map_err(|error| outgoing.failed(ClientErrorKind::Connection(error)))
    }
}

/// Ends `work` at the deadline.
pub(super) async fn before_deadline<T>(
    outgoing: &Outgoing,
    retrying: &Retrying,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let Some(deadline) = retrying.deadline else {
        return work.await;
    };
    let clock = &retrying.clock;
    let left = deadline.saturating_duration_since(clock.now());
    if left.is_zero() {
        return Err(outgoing.failed(ClientErrorKind::Deadline));
    }
    match select(pin!(work), pin!(clock.sleep(left))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(outgoing.failed(ClientErrorKind::Deadline)),
    }
}

/// Ends `work` when it has taken as long as a download may stand still.
pub(super) async fn unless_stalled<T>(
    outgoing: &Outgoing,
    retrying: &Retrying,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let stall = retrying.policy.longest_stall;
    match select(pin!(work), pin!(retrying.clock.sleep(stall))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => {
            let error = format!("nothing arrived for {stall:?}").into();
            Err(outgoing.failed(ClientErrorKind::Connection(error)))
        }
    }
}

/// Refuses what was encoded although that was not asked for.
fn check_encoding(
    outgoing: &Outgoing,
    response: Response<DynBody>,
) -> Result<Response<DynBody>, ClientError> {
    let mut encodings = response.headers().get_all(header::CONTENT_ENCODING).iter();
    match encodings.find(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        None => Ok(response),
        Some(_) => Err(outgoing.broke_protocol("it has a Content-Encoding that was not asked for")),
    }
}

/// All of a body that has at most `limit` bytes.
pub(super) async fn collect(
    outgoing: &Outgoing,
    retrying: &Retrying,
    mut body: DynBody,
    limit: u64,
) -> Result<Bytes, ClientError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = next_piece(outgoing, retrying, &mut body).await? {
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(outgoing.failed(ClientErrorKind::TooLarge(limit)));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// The next piece of a body, within the time that it may stand still.
async fn next_piece(
    outgoing: &Outgoing,
    retrying: &Retrying,
    body: &mut DynBody,
) -> Result<Option<Bytes>, ClientError> {
    let next = async {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        let frame = frame.transpose();
        let frame = frame.map_err(|error| outgoing.failed(ClientErrorKind::Connection(error)))?;
        Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
    };
    unless_stalled(outgoing, retrying, next).await
}

/// At most the first `most` bytes of a body, as far as they come.
async fn beginning(
    outgoing: &Outgoing,
    retrying: &Retrying,
    mut body: DynBody,
    most: usize,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = next_piece(outgoing, retrying, &mut body).await {
        let fits = piece.len().min(most - bytes.len());
        bytes.extend_from_slice(&piece[..fits]);
        if bytes.len() == most {
            break;
        }
    }
    bytes
}
