//! A small token server. Its tokens are of the form that distribution takes.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tower::service_fn;
use tower_oci::BytesBody;

use crate::{certificates::Authority, distribution::TokenServer, server::Server};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "open sesame: ä";
/// What is taken in place of the password.
pub(crate) const IDENTITY: &str = "identity/of+alice=";

const SERVICE: &str = "the registry, of tests";
const ISSUER: &str = "tests";

/// A running token server, which ends with this. Everybody may pull, and alice may do everything.
pub(crate) struct Tokens {
    server: Server,
    office: Arc<Office>,
}

/// What a token server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The fields of its query or form.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
}

impl Asked {
    /// The values of all fields with a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

struct Office {
    authority: Authority,
    asked: Mutex<Vec<Asked>>,
    /// The tokens, with the scopes that they are good for.
    issued: Mutex<Vec<(String, Vec<Scope>)>>,
}

/// `repository:NAME:ACTIONS`
#[derive(Clone, Debug)]
struct Scope {
    kind: String,
    name: String,
    actions: Vec<String>,
}

impl Scope {
    fn parse(text: &str) -> Self {
        let (kind, rest) = text.split_once(':').unwrap();
        let (name, actions) = rest.rsplit_once(':').unwrap();
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions: actions.split(',').map(str::to_owned).collect(),
        }
    }

    fn includes(&self, other: &Self) -> bool {
        let same = (&self.kind, &self.name) == (&other.kind, &other.name);
        same && other
            .actions
            .iter()
            .all(|action| self.actions.contains(action))
    }
}

impl Tokens {
    pub(crate) async fn start() -> Self {
        let office = Arc::new(Office {
            authority: Authority::new("tokens"),
            asked: Mutex::default(),
            issued: Mutex::default(),
        });
        let answering = office.clone();
        let server = Server::of(service_fn(move |request: Request<Incoming>| {
            let office = answering.clone();
            async move { Ok::<_, Infallible>(office.answer(request).await) }
        }))
        .await;
        Self { server, office }
    }

    /// Where it is. Its URL has a query of its own.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token?tenant=1", self.server.address)
    }

    /// What a registry has to know of it.
    pub(crate) fn described(&self) -> TokenServer {
        TokenServer {
            realm: self.realm(),
            service: SERVICE.to_owned(),
            issuer: ISSUER.to_owned(),
            certificate: self.office.authority.pem(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.office.asked.lock().unwrap().clone()
    }

    /// Whether `authorization` is a token that is good for `scope`, or for nothing in particular.
    pub(crate) fn takes(&self, authorization: &str, scope: Option<&str>) -> bool {
        let issued = self.office.issued.lock().unwrap();
        let token = authorization.strip_prefix("Bearer ");
        let granted = issued
            .iter()
            .find(|(issued, _)| Some(issued.as_str()) == token);
        let wanted = scope.map(Scope::parse);
        granted.is_some_and(|(_, granted)| {
            wanted.is_none_or(|wanted| granted.iter().any(|it| it.includes(&wanted)))
        })
    }

    /// What a registry says to who has no token that is good for `scope`.
    pub(crate) fn challenge(&self, scope: Option<&str>) -> String {
        let scope = scope
            .map(|scope| format!(",scope=\"{scope}\""))
            .unwrap_or_default();
        format!(
            "Bearer realm=\"{}\",service=\"{SERVICE}\"{scope}",
            self.realm()
        )
    }
}

impl Office {
    async fn answer(&self, request: Request<Incoming>) -> Response<BytesBody> {
        let (parts, body) = request.into_parts();
        let form = body.collect().await.unwrap().to_bytes();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let form = String::from_utf8(form.to_vec()).unwrap();
        let authorization = parts.headers.get(header::AUTHORIZATION);
        let asked = Asked {
            method: parts.method,
            fields: [query, form]
                .iter()
                .flat_map(|fields| decoded(fields))
                .collect(),
            authorization: authorization.map(|it| it.to_str().unwrap().to_owned()),
        };
        self.asked.lock().unwrap().push(asked.clone());
        let is_alice = match (&asked.authorization, &asked.all("refresh_token")[..]) {
            (None, []) => false,
            (Some(basic), []) => {
                let password = STANDARD.encode(format!("{USER}:{PASSWORD}"));
                if *basic != format!("Basic {password}") {
                    return refusal("wrong user name or password");
                }
                true
            }
            (None, [IDENTITY]) if asked.all("grant_type") == ["refresh_token"] => true,
            _ => return refusal("wrong refresh token"),
        };
        if asked.all("service") != [SERVICE] {
            return refusal("not for this service");
        }
        let token = self.issue(&asked, is_alice);
        let answer = json!({"token": token, "expires_in": 300});
        Response::new(BytesBody::new(answer.to_string()))
    }

    fn issue(&self, asked: &Asked, is_alice: bool) -> String {
        let scopes = asked.all("scope");
        let scopes = scopes.iter().flat_map(|scopes| scopes.split(' '));
        let scopes = scopes.map(|scope| {
            let mut scope = Scope::parse(scope);
            scope.actions.retain(|action| is_alice || action == "pull");
            scope
        });
        let scopes: Vec<Scope> = scopes.filter(|scope| !scope.actions.is_empty()).collect();
        let access = scopes.iter().map(
            |Scope {
                 kind,
                 name,
                 actions,
             }| { json!({"type": kind, "name": name, "actions": actions}) },
        );
        let number = self.issued.lock().unwrap().len();
        let token = self.signed(&json!(access.collect::<Vec<Value>>()), number);
        self.issued.lock().unwrap().push((token.clone(), scopes));
        token
    }

    /// A JSON web token (RFC 7519), signed with ES256.
    fn signed(&self, access: &Value, number: usize) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let certificate = STANDARD.encode(self.authority.der());
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": USER, "aud": SERVICE, "access": access,
            "iat": now, "nbf": now - 10, "exp": now + 300, "jti": number.to_string(),
        });
        let [head, claims] = [head, claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
        let signed = format!("{head}.{claims}");
        let signature = self.authority.signature(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn refusal(why: &str) -> Response<BytesBody> {
    let answer = json!({"details": why}).to_string();
    let mut refusal = Response::new(BytesBody::new(answer));
    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
    refusal
}

/// The fields of a query or form.
fn decoded(fields: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let fields = fields.split('&').filter_map(|field| field.split_once('='));
    fields
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
