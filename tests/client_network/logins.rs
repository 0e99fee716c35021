//! Tokens of a token server, with credentials that were stored before.

use std::{env, fs, os::unix::fs::PermissionsExt, process::Command, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tempfile::TempDir;
use tower::{ServiceExt, service_fn};
use tower_oci::{
    DynBody, ErrorCode, Mount,
    client::{Credentials, DockerConfig},
};

use super::*;
use crate::{
    distribution::{Distribution, Login},
    tokens::{IDENTITY, PASSWORD, Tokens, USER},
};

/// A registry that takes the tokens of a token server, and nothing else.
struct Guarded {
    tokens: Arc<Tokens>,
    registry: Server,
}

impl Guarded {
    async fn start() -> Self {
        let tokens = Arc::new(Tokens::start().await);
        let registry = OciRegistryService::writable(store_with(&index()));
        let asked = tokens.clone();
        let registry = Server::of(service_fn(move |request: Request<Incoming>| {
            let (tokens, registry) = (asked.clone(), registry.clone());
            async move {
                match refusal(&tokens, &request) {
                    Some(refusal) => Ok(refusal),
                    None => registry
                        .oneshot(request)
                        .await
                        .map(|it| it.map(DynBody::new)),
                }
            }
        }))
        .await;
        Self { tokens, registry }
    }

    fn host(&self) -> String {
        self.registry.address.to_string()
    }

    fn connect(&self) -> ClientBuilder<HttpService> {
        connect(&format!("http://{}", self.host()))
    }
}

/// What a registry says to a request without a token that is good for it.
fn refusal(tokens: &Tokens, request: &Request<Incoming>) -> Option<Response<DynBody>> {
    let scope = Mount::default().parse(request).unwrap().required_access();
    let scope = scope.map(|scope| scope.to_string());
    if let Some(sent) = request.headers().get(header::AUTHORIZATION) {
        let sent = sent.to_str().unwrap();
        assert!(sent.starts_with("Bearer "), "the registry was sent {sent}");
        if tokens.takes(sent, scope.as_deref()) {
            return None;
        }
    }
    let status = StatusCode::UNAUTHORIZED;
    let mut refusal = ErrorCode::Unauthorized.response(status, "no token for that");
    let challenge = tokens.challenge(scope.as_deref());
    refusal
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
    Some(refusal.map(DynBody::new))
}

/// A configuration file with this entry for a registry.
async fn config(folder: &TempDir, host: &str, entry: serde_json::Value) -> DockerConfig {
    let file = folder.path().join("config.json");
    let auths = serde_json::json!({"auths": {"other.example": {"auth": "eDp5"}, host: entry}});
    fs::write(&file, auths.to_string()).unwrap();
    DockerConfig::read(&file).await.unwrap()
}

fn stored_password(password: &str) -> serde_json::Value {
    serde_json::json!({"auth": STANDARD.encode(format!("{USER}:{password}"))})
}

/// Pulls and pushes with a client that may.
async fn assert_works(client: &RegistryClient) {
    client.ping().await.unwrap();
    assert_pulled(client, "demo", &index()).await;
    push(client, "team/copy", &index(), &pieces(Some(30_000)))
        .await
        .unwrap();
    assert_pulled(client, "team/copy", &index()).await;
    client
        .repositories(tower_oci::Page::first(10))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_password_gets_tokens_from_the_token_server() {
    let (guarded, folder) = (Guarded::start().await, TempDir::new().unwrap());
    let config = config(&folder, &guarded.host(), stored_password(PASSWORD)).await;
    let client = guarded.connect().credentials(config).bounded();
    assert_works(&client).await;
    let asked = guarded.tokens.asked();
    let mut scopes = Vec::new();
    for asked in &asked {
        assert_eq!(
            (&asked.method, asked.all("account"), asked.all("tenant")),
            (&Method::GET, vec![USER], vec!["1"])
        );
        let password = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        assert_eq!(
            asked.authorization.as_deref(),
            Some(&*format!("Basic {password}"))
        );
        scopes.push(asked.all("scope").join(" "));
    }
    // One for each that was needed, and each once.
    scopes.sort();
    let expected = [
        "",
        "registry:catalog:*",
        "repository:demo:pull",
        "repository:team/copy:pull",
        "repository:team/copy:pull,push",
    ];
    assert_eq!(scopes, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_identity_token_gets_them_too() {
    let (guarded, folder) = (Guarded::start().await, TempDir::new().unwrap());
    let mut entry = stored_password("");
    entry["identitytoken"] = IDENTITY.into();
    let config = config(&folder, &guarded.host(), entry).await;
    let client = guarded.connect().credentials(config).bounded();
    assert_works(&client).await;
    for asked in guarded.tokens.asked() {
        assert_eq!(
            (&asked.method, &asked.authorization),
            (&Method::POST, &None)
        );
        assert_eq!(asked.all("client_id"), ["tower-oci"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stored_entry_everybody_gets_what_everybody_may() {
    let (guarded, folder) = (Guarded::start().await, TempDir::new().unwrap());
    let config = config(&folder, "another.example", stored_password(PASSWORD)).await;
    let client = guarded.connect().credentials(config).bounded();
    assert_pulled(&client, "demo", &index()).await;
    let error = push(&client, "copy", &index(), &pieces(None))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{error}");
    assert!(error.to_string().contains("no token for that"), "{error}");
    assert!(
        guarded
            .tokens
            .asked()
            .iter()
            .all(|asked| asked.authorization.is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_stored_password_is_the_token_server_s_error() {
    let (guarded, folder) = (Guarded::start().await, TempDir::new().unwrap());
    for entry in [
        stored_password("hunter2"),
        serde_json::json!({"username": "mallory", "password": "hunter2"}),
        serde_json::json!({"identitytoken": "hunter2"}),
    ] {
        let config = config(&folder, &guarded.host(), entry).await;
        let client = guarded.connect().credentials(config);
        let client = client
            .on_retry(|event| panic!("tried again: {}", event.error))
            .bounded();
        let error = client.manifest(&name("demo"), &latest()).await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{error}");
        let realm = guarded.tokens.realm();
        let (token_server, _) = realm.split_once('?').unwrap();
        assert!(error.uri().starts_with(token_server), "{error}");
        assert!(error.to_string().contains("wrong "), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_that_is_not_there_is_an_error_that_names_it() {
    let registry = Server::of(service_fn(|_: Request<Incoming>| async {
        let status = StatusCode::UNAUTHORIZED;
        let mut refusal = ErrorCode::Unauthorized.response(status, "no token for that");
        let challenge = "Bearer realm=\"http://127.0.0.1:1/token\"".parse().unwrap();
        refusal
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        Ok(refusal)
    }))
    .await;
    let client = connect(&registry.url()).bounded();
    let error = client
        .all_tags(&name("demo"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("GET http://127.0.0.1:1/token"), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_others_takes_the_tokens() {
    let tokens = Tokens::start().await;
    let Some(registry) = Distribution::start(Login::Token(&tokens.described())).await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let config = config(&folder, &registry.address, stored_password(PASSWORD)).await;
    let client = connect(&registry.url()).credentials(config).bounded();
    push(&client, "demo", &index(), &pieces(None))
        .await
        .unwrap();
    assert_works(&client).await;
    // To mount needs the right to read where it comes from.
    let mut options = PushOptions::default();
    options.mount_from = Some(name("demo"));
    let pushed = push(&client, "mounted", &index(), &options).await.unwrap();
    assert_eq!((pushed.sent, pushed.mounted, pushed.present), (0, 5, 0));
    // Who is not known may pull.
    let anybody = connect(&registry.url())
        .credentials(Credentials::Anonymous)
        .bounded();
    assert_pulled(&anybody, "demo", &index()).await;
    let error = push(&anybody, "copy", &index(), &pieces(None))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{error}");
}

/// The PATH says where a credential helper is, and cannot be changed in a process with several
/// threads. So this runs the ignored test below in a process of its own.
#[test]
fn a_credential_helper_has_the_password() {
    let folder = TempDir::new().unwrap();
    let helper = folder.path().join("docker-credential-test");
    let asked = folder.path().join("asked");
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = get ] || exit 9\ncat >>'{asked}'; echo >>'{asked}'\n\
         printf '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n",
        asked = asked.display(),
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "logins::inner::the_helper_is_asked",
            "--nocapture",
        ])
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("ASKED", &asked)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{shown}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(shown.contains("1 passed"), "{shown}");
}

/// What runs in a process of its own.
mod inner {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs an environment"]
    async fn the_helper_is_asked() {
        let asked = env::var("ASKED").unwrap();
        let (guarded, folder) = (Guarded::start().await, TempDir::new().unwrap());
        let file = folder.path().join("config.json");
        let host = guarded.host();
        for config in [
            serde_json::json!({"credHelpers": {&host: "test"}}),
            serde_json::json!({"credsStore": "test", "auths": {&host: {}}}),
        ] {
            fs::write(&file, config.to_string()).unwrap();
            let config = DockerConfig::read(&file).await.unwrap();
            let client = guarded.connect().credentials(config).bounded();
            assert_works(&client).await;
            // Once for each token.
            let lines = fs::read_to_string(&asked).unwrap();
            let lines: Vec<&str> = lines.lines().collect();
            assert_eq!(lines, vec![host.as_str(); guarded.tokens.asked().len()]);
        }
    }
}
