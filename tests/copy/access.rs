//! Registries that demand something: a password, a certificate.

use std::convert::Infallible;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Request, Response, StatusCode, header};
use serde_json::json;
use tower::{ServiceExt, service_fn};
use tower_oci::{BytesBody, DynBody, OciRegistryService};

use crate::{
    certificates::Authority,
    compared::{assert_only, two_platforms},
    images::store_with,
    program::Program,
    registry::Server,
    server::Arriving,
    tls,
};

/// A registry with `demo:latest`, for alice alone.
async fn with_login() -> Server {
    let registry = OciRegistryService::writable(store_with("demo", &two_platforms()));
    let alice = format!("Basic {}", STANDARD.encode("alice:sesame"));
    let service = service_fn(move |request: Request<Arriving>| {
        let is_alice = request
            .headers()
            .get(header::AUTHORIZATION)
            .is_some_and(|it| *it == *alice);
        let answer = registry.clone().oneshot(request);
        async move {
            if is_alice {
                return Ok::<_, Infallible>(answer.await?.map(DynBody::new));
            }
            let mut refusal = Response::new(DynBody::new(BytesBody::new("who are you?")));
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            let challenge = header::HeaderValue::from_static("Basic realm=\"test\"");
            refusal
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            Ok(refusal)
        }
    });
    Server::of_service(service).await
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_where_docker_and_podman_store_them() {
    let (program, server) = (Program::new(), with_login().await);
    let (from, to) = (
        format!("{}/demo:latest", server.address),
        format!("{}/copy:v1", server.address),
    );
    let error = program.fail(&[&from, "oci:layout:v1"]).await;
    assert!(
        error.contains(": 401 Unauthorized: who are you?"),
        "{error}"
    );

    let login = |password: &str| {
        let auth = STANDARD.encode(format!("alice:{password}"));
        json!({"auths": {&server.address: {"auth": auth}}}).to_string()
    };
    program.write("auth.json", login("sesame"));
    program.copy(&[&from, "oci:layout:v1"]).await;
    program.copy(&["oci:layout:v1", &to]).await;
    program.copy(&[&to, "oci:back:v1"]).await;
    assert_only(&program.path("back"), "v1", &two_platforms());

    let error = program.fail(&["--anonymous", &from, "oci:no:v1"]).await;
    assert!(error.contains(": 401 Unauthorized: "), "{error}");
    program.write("auth.json", login("barley"));
    let error = program.fail(&[&from, "oci:no:v1"]).await;
    assert!(
        error.contains(": 401 Unauthorized: ") && !error.contains("barley"),
        "{error}"
    );
    program.write("auth.json", "no JSON");
    let error = program.fail(&[&from, "oci:no:v1"]).await;
    assert!(
        error.contains("auth.json is no Docker configuration"),
        "{error}"
    );
    // Who does not ask for it is not told.
    program.copy(&["oci:layout:v1", "oci:other:v1"]).await;
    assert!(!program.path("no").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_from_files() {
    let (program, servers, clients) = (
        Program::new(),
        Authority::new("servers"),
        Authority::new("clients"),
    );
    let identity = servers.server(&["localhost"]);
    let registry = OciRegistryService::new(store_with("demo", &two_platforms()));
    let options = tls::Options {
        tls: Some(identity.serving(&["h2", "http/1.1"], Some(&clients))),
        ..tls::Options::default()
    };
    let server = tls::Server::with(registry, options).await;
    let me = clients.client("me");
    program.write("ca.pem", servers.pem());
    program.write("me.pem", &me.certificate);
    program.write("me.key", &me.key);
    program.write("nothing.pem", "");

    let from = format!("{}/demo:latest", server.url());
    let ca = ["--ca", "ca.pem"];
    let certificate = ["--cert", "me.pem", "--key", "me.key"];
    let places = [&*from, "oci:layout:v1"];
    program
        .copy(&[&ca[..], &certificate, &places].concat())
        .await;
    assert_only(&program.path("layout"), "v1", &two_platforms());

    let places = [&*from, "oci:no:v1"];
    for (options, expected) in [
        (&["--ca", "none.pem"][..], "none.pem: No such file"),
        (&["--ca", "nothing.pem"], "nothing.pem: "),
        (
            &["--cert", "nothing.pem", "--key", "me.key"],
            "nothing.pem: ",
        ),
        (
            &["--cert", "me.pem", "--key", "none.key"],
            "none.key: No such file",
        ),
    ] {
        let error = program.fail(&[options, &places].concat()).await;
        assert!(error.contains(expected), "{options:?}: {error}");
    }
}
