use super::*;

const HOSTILE: &[&[u8]] = &[
    b"//evil",
    b"//evil/a",
    b"///evil",
    b"/\\evil",
    b"/a\"b",
    b"/a'\"",
    b"/<a>",
    b"/a>; rel=\"x\"",
    b"/a/../b",
    b"/..",
    b"/.",
    b"/a/.",
    b"evil",
    b"evil/a",
    b"http://evil",
    b"https://evil/a",
    b"/a b",
    b"/a\tb",
    b"/a?b",
    b"/a#b",
    b"/a, /b",
    b"/a,/b",
    b",",
    b"/a{b}",
    b"/\xc3\xa9",
    b"/\xff",
];

fn forwarded(uri: &str, prefixes: &[&[u8]]) -> Request<Body> {
    let mut request = Request::get(uri).body(Body::empty()).unwrap();
    for prefix in prefixes {
        let value = HeaderValue::from_bytes(prefix).unwrap();
        request.headers_mut().append("x-forwarded-prefix", value);
    }
    request
}

#[tokio::test]
async fn a_hostile_forwarded_prefix_is_refused_if_trusted_and_ignored_if_not() {
    let trusting = registry().trust_forwarded_prefix(true);
    let trusting = [
        app(trusting.clone()),
        app(Router::new().nest_service("/v2", trusting)),
    ];
    let careful = [
        app(registry()),
        app(Router::new().nest_service("/v2", registry())),
        app(registry()
            .trust_forwarded_prefix(true)
            .trust_forwarded_prefix(false)),
    ];
    let uri = "/v2/demo/tags/list?n=1";
    for prefix in HOSTILE {
        for app in &trusting {
            let answer = send(app, forwarded(uri, &[prefix])).await;
            answer.assert_error(400, "UNSUPPORTED");
        }
        for app in &careful {
            let answer = send(app, forwarded(uri, &[prefix])).await;
            let next = next_page(&answer);
            assert_eq!(next.as_deref(), Some("/v2/demo/tags/list?n=1&last=a"));
        }
    }
    // Two proxies that each say something else: nobody can tell which one a client sees.
    for app in &trusting {
        let answer = send(app, forwarded(uri, &[b"/a", b"/b"])).await;
        answer.assert_error(400, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn a_trusted_forwarded_prefix_stands_in_front() {
    let registry = registry().trust_forwarded_prefix(true);
    let rows: &[(App, &str, &str, &str)] = &[
        (app(registry.clone()), "/v2", "/proxy", "/proxy/v2"),
        (app(registry.clone()), "/v2", "/a/b/", "/a/b/v2"),
        (app(registry.clone()), "/v2", "/", "/v2"),
        (app(registry.clone()), "/v2", "", "/v2"),
        (
            app(Router::new().nest_service("/{t}/v2", registry.clone())),
            "/acme/v2",
            "/proxy",
            "/proxy/acme/v2",
        ),
        (
            app(registry.clone().served_at("/r/v2").unwrap()),
            "/r/v2",
            "/v2",
            "/v2/r/v2",
        ),
        (
            app(registry.served_at("/").unwrap()),
            "",
            "/proxy",
            "/proxy",
        ),
    ];
    for (app, path, prefix, seen) in rows {
        let uri = format!("{path}/demo/tags/list?n=1");
        let answer = send(app, forwarded(&uri, &[prefix.as_bytes()])).await;
        let next = next_page(&answer).unwrap();
        assert_eq!(next, format!("{seen}/demo/tags/list?n=1&last=a"));
    }
}

#[test]
fn a_prefix_that_links_cannot_begin_with_is_refused_by_the_builder() {
    for prefix in HOSTILE {
        let Ok(prefix) = std::str::from_utf8(prefix) else {
            continue;
        };
        if prefix == "/a,/b" {
            continue; // a comma may stand in a path; only in a header it makes a list
        }
        assert!(registry().served_at(prefix).is_err(), "{prefix}");
        assert!(registry().nested_at(prefix).is_err(), "{prefix}");
        assert!(Mount::served_at(prefix).is_err(), "{prefix}");
        let error = Mount::nested_at(prefix).unwrap_err().to_string();
        assert!(
            error.contains("is not an absolute path to mount at"),
            "{error}"
        );
    }
    for control in ["/a\nb", "/a\r\nX: y", "/a\0", "/\u{7f}"] {
        let error = registry().served_at(control).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error}");
    }
    let long = format!("/{}", "a".repeat(70_000));
    assert!(registry().served_at(&long).is_err(), "no URI is that long");
    for (prefix, shown) in [("/v2", "/v2"), ("/v2/", "/v2"), ("/", ""), ("", "")] {
        assert_eq!(Mount::served_at(prefix).unwrap().prefix(), shown);
        assert_eq!(Mount::nested_at(prefix).unwrap().prefix(), shown);
    }
}
