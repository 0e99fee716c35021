//! What a client remembers of whom it has to be: the registry's demand, and the tokens for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::{
    challenge::{Bearer, Demand, UnusableChallenge, challenges},
    credentials::{CredentialSource, Credentials},
    scope::Scope,
    token::{Acquisition, FORM, Token, TokenRequest},
};
use crate::{
    access::Access,
    client::{
        ClientError, ClientErrorKind, RegistryUrl,
        error::StatusError,
        origin::is_same_origin,
        retry::{Retrying, retry_after},
        transport::{Content, Outgoing, Transport, collect, unless_stalled},
    },
    name::RepositoryName,
};

/// For how many scopes tokens are kept. Beyond that those that nobody is using are let go.
const MOST_TOKENS: usize = 1_000;

/// A token is not used any more when this part of its life is left, or ten seconds.
const LAST_PART: u32 = 10;

/// Answers what the registry demands.
pub(in crate::client) struct Authenticator {
    registry: Uri,
    host: String,
    credentials: Arc<dyn CredentialSource>,
    /// What every token is asked for, in place of what a request needs.
    fixed: Vec<Access>,
    demand: Mutex<Option<Demand>>,
    answers: Mutex<HashMap<Scope, Slot>>,
    rotated: Mutex<Option<Rotated>>,
}

/// An identity token that the token server has replaced by another.
struct Rotated {
    given: String,
    newest: String,
}

/// The answer for one scope. Who has the lock fetches it, and the others wait for it.
type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

struct Held {
    authorization: HeaderValue,
    until: Instant,
}

impl Authenticator {
    pub(in crate::client) fn new(
        registry: &RegistryUrl,
        credentials: Arc<dyn CredentialSource>,
        fixed: Vec<Access>,
    ) -> Self {
        Self {
            registry: registry.root(),
            host: registry.host().to_owned(),
            credentials,
            fixed,
            demand: Mutex::default(),
            answers: Mutex::default(),
            rotated: Mutex::default(),
        }
    }

    /// The `Authorization` that the registry has demanded, if it has, for what `outgoing` needs and
    /// for `more`.
    pub(in crate::client) async fn authorize(
        &self,
        transport: &Transport,
        outgoing: &Outgoing,
        retrying: &Retrying,
        more: &Scope,
    ) -> Result<Option<HeaderValue>, ClientError> {
        // An upload may go on at another server, which has no part in this.
        if !is_same_origin(&outgoing.uri, &self.registry) {
            return Ok(None);
        }
        let Some(demand) = lock(&self.demand).clone() else {
            return Ok(None);
        };
        let slot = self.slot(self.scope_of(outgoing));
        let mut held = slot.lock().await;
        let now = retrying.clock.now();
        if let Some(held) = held.as_ref().filter(|held| now < held.until) {
            return Ok(Some(held.authorization.clone()));
        }
        *held = self
            .acquire(transport, outgoing, retrying, &demand, more)
            .await?;
        Ok(held.as_ref().map(|held| held.authorization.clone()))
    }

    /// Learns what `answer`, a 401 to `sent`, demands. If another answer to it may do, what more it
    /// has to be for.
    pub(in crate::client) async fn challenged(
        &self,
        outgoing: &Outgoing,
        answer: &HeaderMap,
        sent: Option<&HeaderValue>,
    ) -> Result<Option<Scope>, ClientError> {
        // What another server demands, where an upload went on, is not answered.
        if !is_same_origin(&outgoing.uri, &self.registry) {
            return Ok(None);
        }
        let demanded = match Demand::of(&challenges(answer)) {
            Ok(demanded) => demanded,
            // The answer itself says more than that it has no challenge.
            Err(UnusableChallenge::Missing) => return Ok(None),
            Err(error) => return Err(outgoing.failed(ClientErrorKind::Credentials(error.into()))),
        };
        let (demanded, more) = match demanded {
            Demand::Basic => (Demand::Basic, Scope::default()),
            Demand::Bearer(Bearer {
                realm,
                service,
                scope,
            }) => {
                let general = Bearer {
                    realm,
                    service,
                    scope: Scope::default(),
                };
                (Demand::Bearer(general), scope)
            }
        };
        {
            let mut known = lock(&self.demand);
            let is_weaker = matches!(
                (&*known, &demanded),
                (Some(Demand::Bearer(_)), Demand::Basic)
            );
            let is_known = known.as_ref() == Some(&demanded);
            // protocol 94: a password does not help where a token was refused
            if is_weaker || (is_known && sent.is_some() && demanded == Demand::Basic) {
                return Ok(None);
            }
            *known = Some(demanded);
        }
        let slot = self.slot(self.scope_of(outgoing));
        let mut held = slot.lock().await;
        // Another request may have got a new one in the meantime.
        if held.as_ref().map(|held| &held.authorization) == sent {
            *held = None;
        }
        Ok(Some(more))
    }

    fn scope_of(&self, outgoing: &Outgoing) -> Scope {
        match self.fixed.is_empty() {
            true => outgoing.access.iter().collect(),
            false => self.fixed.iter().collect(),
        }
    }

    fn slot(&self, scope: Scope) -> Slot {
        let mut answers = lock(&self.answers);
        if answers.len() >= MOST_TOKENS && !answers.contains_key(&scope) {
            answers.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        answers.entry(scope).or_default().clone()
    }

    async fn acquire(
        &self,
        transport: &Transport,
        outgoing: &Outgoing,
        retrying: &Retrying,
        demand: &Demand,
        more: &Scope,
    ) -> Result<Option<Held>, ClientError> {
        let refused = |error| outgoing.failed(ClientErrorKind::Credentials(error));
        let repository = self.repository_of(outgoing);
        let credentials = self.credentials.credentials(&self.host, repository).await;
        let credentials = self.newest(credentials.map_err(refused)?);
        let now = retrying.clock.now();
        let held = |authorization, lifetime: Duration| {
            let last = (lifetime / LAST_PART).min(Duration::from_secs(10));
            Held {
                authorization,
                until: now + lifetime.saturating_sub(last),
            }
        };
        let bearer = match demand {
            Demand::Basic => {
                const DAY: Duration = Duration::from_secs(24 * 3600);
                let authorization = credentials.basic_authorization();
                return Ok(authorization.map(|authorization| held(authorization, DAY)));
            }
            Demand::Bearer(bearer) => Bearer {
                scope: more.clone(),
                ..bearer.clone()
            },
        };
        let wanted = self.scope_of(outgoing);
        let acquisition = TokenRequest::acquire(&self.registry, &bearer, &wanted, &credentials);
        let token = match acquisition.map_err(|error| refused(error.into()))? {
            Acquisition::Given(token) => token,
            Acquisition::Request(request) => {
                match fetch(transport, retrying, &request).await {
                    // protocol 95: some token servers take passwords by POST only
                    Err(error) if is_only_post(&error) => {
                        let Credentials::Basic { username, password } = &credentials else {
                            return Err(error);
                        };
                        let request = TokenRequest::with_password(
                            &self.registry,
                            &bearer,
                            &wanted,
                            username,
                            password,
                        );
                        let request = request.map_err(|error| refused(error.into()))?;
                        fetch(transport, retrying, &request).await?
                    }
                    token => token?,
                }
            }
        };
        if let (Credentials::IdentityToken(sent), Some(newest)) = (credentials, token.refresh_token)
        {
            self.rotate(sent, newest);
        }
        Ok(Some(held(token.authorization, token.expires)))
    }

    /// The credentials, with what the token server wants in the place of an identity token that may
    /// be used only once.
    fn newest(&self, credentials: Credentials) -> Credentials {
        match (&*lock(&self.rotated), credentials) {
            (Some(Rotated { given, newest }), Credentials::IdentityToken(token))
                if token == *given =>
            {
                Credentials::IdentityToken(newest.clone())
            }
            (_, credentials) => credentials,
        }
    }

    fn rotate(&self, sent: String, newest: String) {
        let mut rotated = lock(&self.rotated);
        let given = match rotated.take() {
            Some(Rotated { given, newest }) if newest == sent => given,
            _ => sent,
        };
        *rotated = Some(Rotated { given, newest });
    }

    /// The repository that a request is about, if it is about one.
    fn repository_of<'a>(&self, outgoing: &'a Outgoing) -> Option<&'a RepositoryName> {
        match outgoing.access.first().filter(|_| self.fixed.is_empty()) {
            Some(Access::Repository { name, .. }) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

fn is_only_post(error: &ClientError) -> bool {
    let status = error.status();
    *error.method() == Method::GET
        && [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED]
            .iter()
            .any(|only_post| status == Some(*only_post))
}

/// Asks a token server. A form is not sent to where it redirects.
async fn fetch(
    transport: &Transport,
    retrying: &Retrying,
    request: &TokenRequest,
) -> Result<Token, ClientError> {
    let mut outgoing = Outgoing::new(request.method.clone(), request.uri.clone());
    if let Some(form) = &request.form {
        outgoing.follows = false;
        outgoing = outgoing
            .content(Content::Bytes(form.clone()))
            .header(header::CONTENT_TYPE, FORM);
    }
    let authorization = request.authorization.as_ref();
    let exchange = transport.exchange(&outgoing, authorization);
    let (response, _) = unless_stalled(&outgoing, retrying, exchange).await?;
    let (parts, body) = response.into_parts();
    let body = collect(&outgoing, retrying, body, Token::LARGEST_ANSWER as u64).await?;
    if !parts.status.is_success() {
        let after = retry_after(&parts.headers, &retrying.clock);
        let shown = &body[..body.len().min(StatusError::MOST_READ)];
        return Err(outgoing.failed(StatusError::new(parts.status, shown, after)));
    }
    let token = Token::of_answer(&parts.headers, &body);
    token.map_err(|error| outgoing.failed(ClientErrorKind::Credentials(error.into())))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
