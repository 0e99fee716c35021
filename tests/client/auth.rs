//! Who the client is: tokens, passwords, and where they do not go.

use super::*;

/// What a registry with tokens has seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn note(&self, request: &Request<DynBody>) {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.map_or("-", |sent| sent.to_str().unwrap());
        let uri = request
            .uri()
            .to_string()
            .replace("http://registry.test", "");
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {uri} {authorization}", request.method()));
    }
}

const CHALLENGE: &str = r#"Bearer realm="http://auth.test/token",service="registry.test""#;

/// A registry that takes the token of its token server, which names the scope it is for.
fn builder_of_tokens(seen: Seen, lifetime: u64) -> Builder {
    client_of(move |request: Request<DynBody>| {
        seen.note(&request);
        let seen = seen.clone();
        async move {
            let _ = seen;
            if request.uri().host() == Some("auth.test") {
                // Long enough for others to ask for the same token meanwhile.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let body = format!(r#"{{"token":"t","expires_in":{lifetime}}}"#);
                return answer(200, &[] as &[(&str, &str)], body);
            }
            let sent = request.headers().get(header::AUTHORIZATION);
            if sent.is_none_or(|sent| sent != "Bearer t") {
                return answer(401, &[("www-authenticate", CHALLENGE)], "");
            }
            answer(200, &[] as &[(&str, &str)], r#"{"tags":[]}"#)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_once_and_kept_until_shortly_before_it_expires() {
    let seen = Seen::default();
    let client = builder_of_tokens(seen.clone(), 300).build();
    client.all_tags(&name("a")).await.unwrap();
    assert_eq!(
        seen.take(),
        [
            "GET /v2/a/tags/list?n=1000 -",
            "GET http://auth.test/token?service=registry.test&scope=repository%3Aa%3Apull -",
            "GET /v2/a/tags/list?n=1000 Bearer t",
        ]
    );
    // protocol: a cached token costs nothing more.
    client.all_tags(&name("a")).await.unwrap();
    assert_eq!(seen.take(), ["GET /v2/a/tags/list?n=1000 Bearer t"]);
    // For another repository the challenge is known.
    client.all_tags(&name("b")).await.unwrap();
    assert_eq!(
        seen.take(),
        [
            "GET http://auth.test/token?service=registry.test&scope=repository%3Ab%3Apull -",
            "GET /v2/b/tags/list?n=1000 Bearer t",
        ]
    );
    tokio::time::sleep(Duration::from_secs(295)).await;
    client.all_tags(&name("a")).await.unwrap();
    assert_eq!(seen.take().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_share_one_token() {
    let seen = Seen::default();
    let client = builder_of_tokens(seen.clone(), 300).build();
    let demo = name("demo");
    let requests = (0..20).map(|_| client.all_tags(&demo));
    for result in futures_util::future::join_all(requests).await {
        result.unwrap();
    }
    let fetched = seen
        .take()
        .iter()
        .filter(|line| line.contains("auth.test"))
        .count();
    assert_eq!(fetched, 1);
}

#[tokio::test(start_paused = true)]
async fn a_password_goes_to_the_token_server_and_never_down_to_basic() {
    let seen = Seen::default();
    let client = builder_of_tokens(seen.clone(), 300);
    let client = client
        .credentials(Credentials::basic("alice", "sesame"))
        .build();
    client.all_tags(&name("a")).await.unwrap();
    let lines = seen.take();
    assert!(
        lines[1].ends_with("account=alice Basic YWxpY2U6c2VzYW1l"),
        "{lines:?}"
    );
    assert!(lines[2].ends_with("Bearer t"), "{lines:?}");

    // Once it has asked for tokens, a registry gets no password.
    let first = Arc::new(Mutex::new(true));
    let seen = Seen::default();
    let noting = seen.clone();
    let client = client_of(move |request: Request<DynBody>| {
        noting.note(&request);
        let challenge = match std::mem::take(&mut *first.lock().unwrap()) {
            true => CHALLENGE,
            false => "Basic realm=\"x\"",
        };
        std::future::ready(match request.uri().host() {
            Some("auth.test") => answer(200, &[] as &[(&str, &str)], r#"{"token":"t"}"#),
            _ => answer(401, &[("www-authenticate", challenge)], ""),
        })
    });
    let client = client
        .credentials(Credentials::basic("alice", "sesame"))
        .build();
    let error = client.all_tags(&name("a")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    let leaked = |line: &&String| line.starts_with("GET /v2") && line.contains("Basic");
    assert_eq!(seen.take().iter().filter(leaked).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn basic_is_answered_with_the_password_and_a_wrong_one_is_not_sent_again() {
    let seen = Seen::default();
    let noting = seen.clone();
    let client = client_of(move |request: Request<DynBody>| {
        noting.note(&request);
        let sent = request.headers().get(header::AUTHORIZATION);
        std::future::ready(
            match sent.is_some_and(|sent| sent == "Basic YWxpY2U6c2VzYW1l") {
                true => answer(200, &[] as &[(&str, &str)], r#"{"tags":[]}"#),
                false => answer(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
            },
        )
    });
    let right = client
        .credentials(Credentials::basic("alice", "sesame"))
        .build();
    right.all_tags(&name("a")).await.unwrap();
    assert_eq!(seen.take().len(), 2);
    right.all_tags(&name("a")).await.unwrap();
    assert_eq!(seen.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_an_error_at_once() {
    let seen = Seen::default();
    let noting = seen.clone();
    let client = client_of(move |request: Request<DynBody>| {
        noting.note(&request);
        std::future::ready(answer(
            401,
            &[("www-authenticate", "Basic realm=\"x\"")],
            "",
        ))
    });
    let wrong = client
        .credentials(Credentials::basic("alice", "wrong"))
        .build();
    let error = wrong.all_tags(&name("a")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(seen.take().len(), 2);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("wrong"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn credentials_do_not_go_to_a_token_server_without_encryption() {
    let service = service_fn(|request: Request<DynBody>| async move {
        assert_eq!(
            request.uri().scheme_str(),
            Some("https"),
            "{}",
            request.uri()
        );
        Ok::<_, BoxError>(answer(401, &[("www-authenticate", CHALLENGE)], ""))
    });
    let url = "https://registry.test".parse().unwrap();
    let client = RegistryClient::builder(url, service);
    let client = client
        .credentials(Credentials::basic("alice", "sesame"))
        .build();
    let error = client.ping().await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::Credentials(_)),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_secret_does_not_follow_a_redirect_to_another_origin() {
    for target in ["http://other.test/x", "http://registry.test:81/x"] {
        let location = target.to_owned();
        let client = client_of(move |request: Request<DynBody>| {
            let sent = request.headers().get(header::AUTHORIZATION).cloned();
            let is_registry = request.uri().authority().unwrap() == "registry.test";
            std::future::ready(match (is_registry, sent) {
                (true, None) => answer(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
                (true, Some(_)) => answer(307, &[("location", location.clone())], ""),
                (false, None) => answer(200, &[] as &[(&str, &str)], r#"{"tags":[]}"#),
                (false, Some(_)) => panic!("a secret went to {}", request.uri()),
            })
        });
        let client = client
            .credentials(Credentials::basic("alice", "sesame"))
            .build();
        client.all_tags(&name("a")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_token_that_is_replaced_is_used_once() {
    let forms = Arc::new(Mutex::new(Vec::new()));
    let seen = forms.clone();
    let client = client_of(move |request: Request<DynBody>| {
        let seen = seen.clone();
        async move {
            if request.uri().host() != Some("auth.test") {
                return match request.headers().contains_key(header::AUTHORIZATION) {
                    true => answer(200, &[] as &[(&str, &str)], r#"{"tags":[]}"#),
                    false => answer(401, &[("www-authenticate", CHALLENGE)], ""),
                };
            }
            let form = request.into_body().collect().await.unwrap().to_bytes();
            let form = String::from_utf8(form.to_vec()).unwrap();
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(form);
                seen.len()
            };
            let body = format!(r#"{{"token":"t","refresh_token":"next{number}"}}"#);
            answer(200, &[] as &[(&str, &str)], body)
        }
    });
    let client = client
        .credentials(Credentials::IdentityToken("first".to_owned()))
        .build();
    for repository in ["a", "b", "c"] {
        client.all_tags(&name(repository)).await.unwrap();
    }
    let forms = forms.lock().unwrap();
    for (form, token) in forms.iter().zip(["first", "next1", "next2"]) {
        assert!(form.contains(&format!("refresh_token={token}&")), "{form}");
    }
    assert_eq!(forms.len(), 3);
}
