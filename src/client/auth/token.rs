//! Tokens: how they are asked for, and what the answer says. The requests themselves are sent
//! elsewhere.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Uri, header,
    uri::{PathAndQuery, Scheme},
};
use serde_json::Value;

use super::{
    challenge::Bearer,
    credentials::{Credentials, secret_header},
    scope::Scope,
};
use crate::http::query;

mod date;

/// How the client calls itself to token servers.
const CLIENT_ID: &str = "tower-oci";

/// The `Content-Type` of [`TokenRequest::form`].
pub(crate) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// What a registry takes in place of a password, for a while.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The `Authorization` of requests to the registry.
    pub(crate) authorization: HeaderValue,
    /// How long it can be used, from when it was asked for: at least a minute, at most a day.
    pub(crate) expires: Duration,
    /// An identity token that replaces the one that was sent, or the password.
    pub(crate) refresh_token: Option<String>,
}

/// How a token is had.
#[derive(Debug)]
pub(crate) enum Acquisition {
    /// The credentials are one.
    Given(Token),
    /// It is asked for.
    Request(TokenRequest),
}

/// What a token server is asked.
///
/// Its secrets are in `authorization` and `form`. They are for the realm alone: a redirect of the
/// request must not take them elsewhere.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// The `Authorization` of the request.
    pub(crate) authorization: Option<HeaderValue>,
    /// The body of a POST, with the `Content-Type` [`FORM`].
    pub(crate) form: Option<Bytes>,
}

/// Why a token could not be had. No text of it has a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(
        "the registry wants credentials to be sent to {0} without encryption: only https is safe"
    )]
    InsecureRealm(String),
    #[error("the request for a token is too long: the registry demands too much")]
    TooLong,
    #[error("the token server's answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the token server's answer is not a JSON object with a token")]
    NoToken,
    #[error("the token has characters that tokens do not have")]
    InvalidToken,
}

/// Whether credentials for `registry` may be sent to the token server at `realm`: over https, and
/// over plain http only if they would be sent to the registry in that way too.
pub(crate) fn may_send_credentials(registry: &Uri, realm: &Uri) -> bool {
    realm.scheme() == Some(&Scheme::HTTPS)
        || (realm.scheme() == Some(&Scheme::HTTP) && registry.scheme() == Some(&Scheme::HTTP))
}

impl TokenRequest {
    /// Asks for a token for what `registry` demands and for all that is `wanted`.
    ///
    /// By GET, with user name and password if there are any: what every token server understands.
    /// With an identity token it is a POST.
    ///
    /// # Errors
    ///
    /// [`InsecureRealm`](TokenError::InsecureRealm): the credentials may not be sent there;
    /// [`InvalidToken`](TokenError::InvalidToken): the credentials are a token that is none;
    /// [`TooLong`](TokenError::TooLong).
    // protocol 95
    pub(crate) fn acquire(
        registry: &Uri,
        demand: &Bearer,
        wanted: &Scope,
        credentials: &Credentials,
    ) -> Result<Acquisition, TokenError> {
        let request = match credentials {
            Credentials::RegistryToken(token) => {
                return Ok(Acquisition::Given(Token::given(token)?));
            }
            Credentials::IdentityToken(token) => {
                check_realm(registry, demand)?;
                let grant = [("grant_type", "refresh_token"), ("refresh_token", token)];
                Self::post(demand, wanted, &grant)
            }
            Credentials::Basic { username, .. } => {
                check_realm(registry, demand)?;
                let authorization = credentials.basic_authorization();
                Self::get(demand, wanted, Some(username), authorization)?
            }
            Credentials::Anonymous => Self::get(demand, wanted, None, None)?,
        };
        Ok(Acquisition::Request(request))
    }

    /// Asks with a password by POST, for token servers that answer a GET with 404 or 405.
    ///
    /// # Errors
    ///
    /// [`InsecureRealm`](TokenError::InsecureRealm).
    // protocol 95
    pub(crate) fn with_password(
        registry: &Uri,
        demand: &Bearer,
        wanted: &Scope,
        username: &str,
        password: &str,
    ) -> Result<Self, TokenError> {
        check_realm(registry, demand)?;
        let grant = [
            ("grant_type", "password"),
            ("username", username),
            ("password", password),
        ];
        Ok(Self::post(demand, wanted, &grant))
    }

    /// `?service=…&scope=…&scope=…&account=…`
    fn get(
        demand: &Bearer,
        wanted: &Scope,
        account: Option<&str>,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, TokenError> {
        let mut form = Form::new();
        form.service(demand);
        for scope in demand.scope.and(wanted).iter() {
            form.field("scope", &scope);
        }
        if let Some(account) = account {
            form.field("account", account);
        }
        Ok(Self {
            method: Method::GET,
            uri: with_query(&demand.realm, &form.finish()).ok_or(TokenError::TooLong)?,
            authorization,
            form: None,
        })
    }

    /// The same as a form, in which a list of scopes is one field (RFC 6749 §3.3).
    fn post(demand: &Bearer, wanted: &Scope, grant: &[(&'static str, &str)]) -> Self {
        let mut form = Form::new();
        for &(name, value) in grant {
            form.field(name, value);
        }
        form.service(demand);
        form.field("client_id", CLIENT_ID);
        let scopes: Vec<String> = demand.scope.and(wanted).iter().collect();
        if !scopes.is_empty() {
            form.field("scope", &scopes.join(" "));
        }
        Self {
            method: Method::POST,
            uri: demand.realm.clone(),
            authorization: None,
            form: Some(form.finish().into()),
        }
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

fn check_realm(registry: &Uri, demand: &Bearer) -> Result<(), TokenError> {
    if may_send_credentials(registry, &demand.realm) {
        return Ok(());
    }
    let host = demand.realm.authority().map(ToString::to_string);
    Err(TokenError::InsecureRealm(host.unwrap_or_default()))
}

/// Fields that are encoded as forms and queries are.
struct Form(query::PathAndQuery);

impl Form {
    fn new() -> Self {
        Self(query::PathAndQuery::new(String::new()))
    }

    fn field(&mut self, name: &'static str, value: &str) {
        self.0.parameter(name, &value);
    }

    fn service(&mut self, demand: &Bearer) {
        if let Some(service) = &demand.service {
            self.field("service", service);
        }
    }

    fn finish(self) -> String {
        self.0.finish().trim_start_matches('?').to_owned()
    }
}

/// A URI with `query` after the query that it has.
fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    if query.is_empty() {
        return Some(uri.clone());
    }
    let path_and_query = match uri.query() {
        None | Some("") => format!("{}?{query}", uri.path()),
        Some(before) => format!("{}?{before}&{query}", uri.path()),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

impl Token {
    /// How much of a token server's answer is read.
    pub(crate) const LARGEST_ANSWER: usize = 256 << 10;

    /// What a token is good for if the server does not say, or says less.
    // protocol 95
    const SHORTEST: Duration = Duration::from_secs(60);
    /// After that a new one is asked for, whatever the server says.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// Reads the answer of a token server: its body, and its headers for their `Date`.
    ///
    /// All but the token itself is read as far as it makes sense.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](TokenError::TooLarge), [`NoToken`](TokenError::NoToken),
    /// [`InvalidToken`](TokenError::InvalidToken).
    // protocol 95
    pub(crate) fn of_answer(headers: &HeaderMap, body: &[u8]) -> Result<Self, TokenError> {
        if body.len() > Self::LARGEST_ANSWER {
            return Err(TokenError::TooLarge(Self::LARGEST_ANSWER));
        }
        // The error could have the token in its text.
        let answer: Value = serde_json::from_slice(body).map_err(|_| TokenError::NoToken)?;
        let text = |name: &str| {
            let text = answer.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        // Servers send either or both; if they differ, it is the client's choice.
        let token = text("token").or_else(|| text("access_token"));
        let lifetime = answer.get("expires_in").and_then(seconds);
        let age = text("issued_at").and_then(|issued| age(issued, headers));
        let lifetime = lifetime.unwrap_or_default().max(Self::SHORTEST);
        Ok(Self {
            expires: lifetime
                .saturating_sub(age.unwrap_or_default())
                .clamp(Self::SHORTEST, Self::LONGEST),
            refresh_token: text("refresh_token").map(str::to_owned),
            ..Self::given(token.ok_or(TokenError::NoToken)?)?
        })
    }

    /// A token of which nothing is known.
    fn given(token: &str) -> Result<Self, TokenError> {
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let authorization = is_token.then(|| secret_header(&format!("Bearer {token}")));
        Ok(Self {
            authorization: authorization.flatten().ok_or(TokenError::InvalidToken)?,
            expires: Self::LONGEST,
            refresh_token: None,
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A number of seconds, which some servers send with a fraction or as a string.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }?;
    // What is too much for a duration is long enough.
    let longest = Token::LONGEST.as_secs_f64();
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(2.0 * longest)))
}

/// How long ago a token was issued when the server answered: some hand out the same one for a while.
///
/// Both dates are the server's, so it does not matter what the time is here. Without a `Date`, the
/// token is new.
fn age(issued_at: &str, headers: &HeaderMap) -> Option<Duration> {
    let answered = headers.get(header::DATE)?.to_str().ok()?;
    let answered = httpdate::parse_http_date(answered).ok()?;
    answered.duration_since(date::parse(issued_at)?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking
mod tests;
