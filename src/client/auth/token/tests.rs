use super::*;
use crate::client::auth::challenge::Bearer;

const REGISTRY: &str = "https://registry.example";

fn demand(realm: &'static str, service: Option<&str>, scope: &str) -> Bearer {
    Bearer {
        realm: Uri::from_static(realm),
        service: service.map(str::to_owned),
        scope: Scope::parse(scope),
    }
}

fn hub() -> Bearer {
    let scope = "repository:library/alpine:pull";
    demand(
        "https://auth.docker.io/token",
        Some("registry.docker.io"),
        scope,
    )
}

fn acquire(
    demand: &Bearer,
    wanted: &str,
    credentials: &Credentials,
) -> Result<Acquisition, TokenError> {
    let registry = Uri::from_static(REGISTRY);
    TokenRequest::acquire(&registry, demand, &Scope::parse(wanted), credentials)
}

fn request(demand: &Bearer, wanted: &str, credentials: &Credentials) -> TokenRequest {
    match acquire(demand, wanted, credentials).unwrap() {
        Acquisition::Request(request) => request,
        Acquisition::Given(token) => panic!("{token:?} is given"),
    }
}

#[test]
fn nobody_asks_by_get_without_authorization() {
    let request = request(&hub(), "", &Credentials::Anonymous);
    assert_eq!(request.method, Method::GET);
    assert_eq!(
        request.uri.to_string(),
        "https://auth.docker.io/token?service=registry.docker.io\
         &scope=repository%3Alibrary%2Falpine%3Apull"
    );
    assert_eq!((request.authorization, request.form), (None, None));
}

#[test]
fn a_password_is_sent_as_basic_and_its_user_is_named() {
    let request = request(&hub(), "", &Credentials::basic("al ice&b", "sesame"));
    assert_eq!(request.method, Method::GET);
    assert_eq!(
        request.uri.query().unwrap(),
        "service=registry.docker.io&scope=repository%3Alibrary%2Falpine%3Apull\
         &account=al%20ice%26b"
    );
    assert_eq!(request.authorization.unwrap(), "Basic YWwgaWNlJmI6c2VzYW1l");
    assert_eq!(request.form, None);
}

#[test]
fn every_scope_is_asked_for_once() {
    for (demanded, wanted, expected) in [
        ("", "", ""),
        ("repository:a:pull", "", "?scope=repository%3Aa%3Apull"),
        // Registries that demand no scope still need one (protocol 94).
        ("", "repository:a:pull", "?scope=repository%3Aa%3Apull"),
        (
            "repository:a:pull",
            "repository:a:push,pull repository:b:pull",
            "?scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull",
        ),
    ] {
        let demand = demand("https://a.example/t", None, demanded);
        let request = request(&demand, wanted, &Credentials::Anonymous);
        assert_eq!(
            request.uri.to_string(),
            format!("https://a.example/t{expected}")
        );
    }
}

#[test]
fn the_query_of_the_realm_is_kept() {
    for (realm, expected) in [
        (
            "https://a.example/t?x=%20y",
            "https://a.example/t?x=%20y&service=s%3D",
        ),
        ("https://a.example/t?", "https://a.example/t?service=s%3D"),
        ("https://a.example", "https://a.example/?service=s%3D"),
    ] {
        let demand = demand(realm, Some("s="), "");
        let request = request(&demand, "", &Credentials::Anonymous);
        assert_eq!(request.uri.to_string(), expected);
    }
}

#[test]
fn an_identity_token_is_sent_in_a_form() {
    let credentials = Credentials::IdentityToken("se+sa&me".to_owned());
    let request = request(&hub(), "repository:b:pull", &credentials);
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.uri.to_string(), "https://auth.docker.io/token");
    assert_eq!(request.authorization, None);
    assert_eq!(
        request.form.unwrap(),
        "grant_type=refresh_token&refresh_token=se%2Bsa%26me&service=registry.docker.io\
         &client_id=tower-oci\
         &scope=repository%3Ab%3Apull%20repository%3Alibrary%2Falpine%3Apull"
    );
}

#[test]
fn a_password_can_be_sent_in_a_form_too() {
    let registry = Uri::from_static(REGISTRY);
    let demand = demand("https://a.example/t?x=y", None, "");
    let wanted = Scope::default();
    let request = TokenRequest::with_password(&registry, &demand, &wanted, "alice", "se same");
    let request = request.unwrap();
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.uri.to_string(), "https://a.example/t?x=y");
    assert_eq!(request.authorization, None);
    let expected = "grant_type=password&username=alice&password=se%20same&client_id=tower-oci";
    assert_eq!(request.form.unwrap(), expected);
}

#[test]
fn a_registry_token_is_the_token() {
    let credentials = |token: &str| Credentials::RegistryToken(token.to_owned());
    let Ok(Acquisition::Given(token)) = acquire(&hub(), "", &credentials("abc.def")) else {
        panic!("it is not given");
    };
    assert_eq!(token.authorization, "Bearer abc.def");
    for broken in ["", "a b", "a\r\nX: y", "é"] {
        let error = acquire(&hub(), "", &credentials(broken)).unwrap_err();
        assert_eq!(error, TokenError::InvalidToken, "{broken}");
    }
}

#[test]
fn credentials_go_over_https_or_as_openly_as_to_the_registry() {
    for (registry, realm, expected) in [
        ("https://a.example", "https://a.example/t", true),
        ("https://a.example", "https://b.example/t", true),
        ("https://a.example", "http://a.example/t", false),
        ("https://a.example", "http://localhost/t", false),
        ("http://a.example", "http://b.example/t", true),
        ("http://a.example", "https://b.example/t", true),
        ("/v2/", "http://b.example/t", false),
        ("http://a.example", "/t", false),
        ("http://a.example", "ftp://b.example/t", false),
    ] {
        let (registry, realm) = (Uri::from_static(registry), Uri::from_static(realm));
        let allowed = may_send_credentials(&registry, &realm);
        assert_eq!(allowed, expected, "{registry} {realm}");
    }
}

#[test]
fn no_request_takes_credentials_where_they_may_not_go() {
    let demand = demand("http://a.example:81/t", None, "");
    let refused = TokenError::InsecureRealm("a.example:81".to_owned());
    for credentials in [
        Credentials::basic("alice", "sesame"),
        Credentials::IdentityToken("sesame".to_owned()),
    ] {
        let error = acquire(&demand, "", &credentials).unwrap_err();
        assert_eq!(error, refused);
    }
    let registry = Uri::from_static(REGISTRY);
    let request =
        TokenRequest::with_password(&registry, &demand, &Scope::default(), "alice", "sesame");
    assert_eq!(request.unwrap_err(), refused);
    // Who has no secret may ask.
    request_is_made(&demand);
}

fn request_is_made(demand: &Bearer) {
    let request = request(demand, "", &Credentials::Anonymous);
    assert_eq!(request.uri.to_string(), "http://a.example:81/t");
}

#[test]
fn a_demand_that_does_not_fit_in_a_uri_is_an_error() {
    let demand = demand("https://a.example/t", Some(&"%".repeat(60_000)), "");
    let error = acquire(&demand, "", &Credentials::Anonymous).unwrap_err();
    assert_eq!(error, TokenError::TooLong);
}

#[test]
fn debug_shows_no_secret() {
    let answer = br#"{"token":"sesame","refresh_token":"sesame"}"#;
    let token = Token::of_answer(&HeaderMap::new(), answer).unwrap();
    let password = request(&hub(), "", &Credentials::basic("alice", "sesame"));
    let identity = Credentials::IdentityToken("sesame".to_owned());
    let identity = request(&hub(), "", &identity);
    let encoded = "c2VzYW1l";
    for shown in [
        format!("{token:?} {:?}", token.authorization),
        format!("{password:?} {:?}", password.authorization),
        format!("{identity:?} {:?}", Acquisition::Request(identity.clone())),
    ] {
        let has_secret = shown.contains("sesame") || shown.contains(encoded);
        assert!(!has_secret, "{shown}");
    }
}

fn answered(body: &str) -> Result<Token, TokenError> {
    Token::of_answer(&HeaderMap::new(), body.as_bytes())
}

#[test]
fn the_token_has_one_of_two_names() {
    for body in [
        r#"{"token":"a"}"#,
        r#"{"access_token":"a"}"#,
        r#"{"token":"a","access_token":"b"}"#,
        r#"{"token":"","access_token":"a"}"#,
        r#"{"token":null,"access_token":"a"}"#,
        r#"{"token":["x"],"access_token":"a","other":{"token":"b"}}"#,
    ] {
        let token = answered(body).unwrap();
        assert_eq!(token.authorization, "Bearer a", "{body}");
        assert!(token.authorization.is_sensitive());
        assert_eq!(token.refresh_token, None);
    }
    let token = answered(r#"{"token":"a","refresh_token":"b"}"#).unwrap();
    assert_eq!(token.refresh_token.as_deref(), Some("b"));
}

#[test]
fn an_answer_without_a_token_is_an_error_without_its_text() {
    for body in [
        "",
        "null",
        "[]",
        r#""sesame""#,
        "{}",
        r#"{"token":""}"#,
        r#"{"token":{"a":"sesame"}}"#,
        r#"{"token":"sesame"#,
        r#"{"token":"a"} sesame"#,
        &"[".repeat(100_000),
    ] {
        let error = answered(body).unwrap_err();
        assert_eq!(error, TokenError::NoToken, "{body}");
        assert!(!error.to_string().contains("sesame"));
    }
    for token in ["a b", "a\\r\\nb", "a\\u0000", "é", " a"] {
        let error = answered(&format!(r#"{{"token":"{token}"}}"#)).unwrap_err();
        assert_eq!(error, TokenError::InvalidToken, "{token}");
    }
}

#[test]
fn an_answer_is_bounded() {
    let body = format!(
        r#"{{"token":"a"}}{}"#,
        " ".repeat(Token::LARGEST_ANSWER - 13)
    );
    assert_eq!(body.len(), Token::LARGEST_ANSWER);
    assert!(answered(&body).is_ok());
    let error = answered(&format!("{body} ")).unwrap_err();
    assert_eq!(error, TokenError::TooLarge(Token::LARGEST_ANSWER));
}

#[test]
fn a_token_is_good_for_at_least_a_minute() {
    // protocol 95
    for (expires_in, expected) in [
        ("null", 60),
        ("0", 60),
        ("-5", 60),
        ("59", 60),
        ("61", 61),
        ("300", 300),
        ("300.5", 300),
        ("\"300\"", 300),
        ("\" 3e2 \"", 300),
        ("\"NaN\"", 60),
        ("\"soon\"", 60),
        ("true", 60),
        ("[300]", 60),
        ("86400", 86_400),
        ("99999999999999999999999", 86_400),
        ("1e300", 86_400),
        ("\"inf\"", 86_400),
    ] {
        let body = format!(r#"{{"token":"a","expires_in":{expires_in}}}"#);
        let token = answered(&body).unwrap();
        assert_eq!(token.expires.as_secs(), expected, "{expires_in}");
    }
    assert_eq!(answered(r#"{"token":"a"}"#).unwrap().expires.as_secs(), 60);
}

#[test]
fn a_token_that_is_not_new_is_good_for_less() {
    let date = "Mon, 06 May 2024 07:10:00 GMT";
    for (date, issued_at, expected) in [
        (date, r#""2024-05-06T07:08:00Z""#, 180),
        (date, r#""2024-05-06T09:08:20.5+02:00""#, 200),
        (date, r#""2024-05-06T07:10:00Z""#, 300),
        // The future, long ago, and what is no date.
        (date, r#""2024-05-06T08:10:00Z""#, 300),
        (date, r#""2020-05-06T08:10:00Z""#, 60),
        (date, r#""0001-01-01T00:00:00Z""#, 300),
        (date, r#""now""#, 300),
        (date, "1714979280", 300),
        (date, "null", 300),
        ("", r#""2024-05-06T07:08:00Z""#, 300),
    ] {
        let mut headers = HeaderMap::new();
        if !date.is_empty() {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        let body = format!(r#"{{"token":"a","expires_in":300,"issued_at":{issued_at}}}"#);
        let token = Token::of_answer(&headers, body.as_bytes()).unwrap();
        assert_eq!(token.expires.as_secs(), expected, "{date} {issued_at}");
    }
}
