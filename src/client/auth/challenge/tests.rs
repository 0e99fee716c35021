use http::HeaderValue;

use super::*;

pub(super) fn parsed(headers: &[&str]) -> Vec<Challenge> {
    let mut map = HeaderMap::new();
    for header in headers {
        let header = HeaderValue::from_bytes(header.as_bytes()).unwrap();
        map.append(header::WWW_AUTHENTICATE, header);
    }
    challenges(&map)
}

fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
    let parameters = parameters.iter();
    let parameters = parameters.map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Challenge {
        parameters: parameters.collect(),
        ..Challenge::new(scheme.to_owned())
    }
}

fn with_token68(scheme: &str, token68: &str) -> Challenge {
    Challenge {
        token68: Some(token68.to_owned()),
        ..challenge(scheme, &[])
    }
}

#[test]
fn the_examples_of_rfc_9110_are_read() {
    // §11.6.1: the challenge of one scheme, and of two in one header.
    assert_eq!(
        parsed(&[
            r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#
        ]),
        [
            challenge("Basic", &[("realm", "simple")]),
            challenge(
                "Newauth",
                &[
                    ("realm", "apps"),
                    ("type", "1"),
                    ("title", "Login to \"apps\"")
                ]
            ),
        ]
    );
    // The same list in several headers (§5.3), and in the other order.
    assert_eq!(
        parsed(&[
            r#"Newauth realm="apps", type=1, title="Login to \"apps\"""#,
            r#"Basic realm="simple""#,
        ]),
        [
            challenge(
                "Newauth",
                &[
                    ("realm", "apps"),
                    ("type", "1"),
                    ("title", "Login to \"apps\"")
                ]
            ),
            challenge("Basic", &[("realm", "simple")]),
        ]
    );
}

#[test]
fn every_rule_of_the_grammar_is_read() {
    let realm = |scheme| challenge(scheme, &[("realm", "a")]);
    let bare = |scheme| challenge(scheme, &[]);
    for (header, expected) in [
        // #challenge: empty elements (§5.6.1.2) and white space.
        ("", vec![]),
        (", ,\t,", vec![]),
        (r#", Basic realm="a" ,, , "#, vec![realm("Basic")]),
        (
            r#",,Basic realm="a",,,Bearer realm="a",,"#,
            vec![realm("Basic"), realm("Bearer")],
        ),
        // #auth-param has empty elements too.
        (
            r#"Bearer ,realm="a",, ,service="b""#,
            vec![challenge("Bearer", &[("realm", "a"), ("service", "b")])],
        ),
        // auth-scheme alone.
        ("Negotiate", vec![bare("Negotiate")]),
        ("Negotiate , NTLM", vec![bare("Negotiate"), bare("NTLM")]),
        (
            r#"Negotiate,Basic realm="a""#,
            vec![bare("Negotiate"), realm("Basic")],
        ),
        ("X!#$%&'*+-.^_`|~9", vec![bare("X!#$%&'*+-.^_`|~9")]),
        // 1*SP, and tabs as they come.
        ("Basic   \t  realm=\"a\"", vec![realm("Basic")]),
        // BWS around the equals sign (§5.6.3).
        ("Basic realm \t= \t\"a\"", vec![realm("Basic")]),
        (
            "Bearer realm = a , service\t=\tb",
            vec![challenge("Bearer", &[("realm", "a"), ("service", "b")])],
        ),
        // token68, with the characters and the padding that it may have.
        (
            "Negotiate aZ09-._~+/==, Basic realm=\"a\"",
            vec![with_token68("Negotiate", "aZ09-._~+/=="), realm("Basic")],
        ),
        ("A b", vec![with_token68("A", "b")]),
        ("A b=", vec![with_token68("A", "b=")]),
        (
            "A realm=,B c",
            vec![with_token68("A", "realm="), with_token68("B", "c")],
        ),
        // auth-param: a token or a quoted-string, which may be empty or hold anything.
        ("Basic realm=a", vec![realm("Basic")]),
        (
            "Basic realm=\"\"",
            vec![challenge("Basic", &[("realm", "")])],
        ),
        (
            r#"Basic realm="a, Bearer realm=b, \"c\" \\ \d""#,
            vec![challenge(
                "Basic",
                &[("realm", r#"a, Bearer realm=b, "c" \ d"#)],
            )],
        ),
        (
            "Basic realm=\"tab\t Grüße\"",
            vec![challenge("Basic", &[("realm", "tab\t Grüße")])],
        ),
    ] {
        assert_eq!(parsed(&[header]), expected, "{header}");
    }
}

#[test]
fn schemes_and_names_have_no_case() {
    let challenges = parsed(&[r#"bEARER REALM="https://a.example/T", Scope="Repository:A:pull""#]);
    assert!(challenges[0].is("Bearer"));
    assert_eq!(
        challenges[0].parameter("realm"),
        Some("https://a.example/T")
    );
    assert_eq!(challenges[0].parameter("scope"), Some("Repository:A:pull"));
    assert_eq!(challenges[0].parameter("service"), None);
}

#[test]
fn of_a_parameter_that_comes_twice_the_first_counts() {
    assert_eq!(
        parsed(&[r#"Bearer realm="a", REALM="b", service=c, realm=d, Basic realm="e""#]),
        [
            challenge("Bearer", &[("realm", "a"), ("service", "c")]),
            challenge("Basic", &[("realm", "e")])
        ]
    );
}

#[test]
fn bytes_that_are_no_utf_8_are_replaced() {
    let mut headers = HeaderMap::new();
    let header = HeaderValue::from_bytes(b"Basic realm=\"\xff\\\xfe\", Bearer a=b").unwrap();
    headers.append(header::WWW_AUTHENTICATE, header);
    assert_eq!(
        challenges(&headers),
        [
            challenge("Basic", &[("realm", "\u{fffd}\u{fffd}")]),
            challenge("Bearer", &[("a", "b")])
        ]
    );
}

#[test]
fn garbage_ends_its_own_challenge_only() {
    let bearer = |parameters| Some(challenge("Bearer", parameters));
    for (first, headers) in [
        // What comes before the garbage is kept, and what comes after it is not.
        (
            bearer(&[("realm", "a")]),
            &[
                r#"Bearer realm="a", @@@, service="s""#,
                r#"Bearer realm="a", = , service="s""#,
                r#"Bearer realm="a", =x, service="s""#,
                r#"Bearer realm="a" x, service="s""#,
                r#"Bearer realm="a" service="s""#,
                r#"Bearer realm="a", "x, y", service="s""#,
                r#"Bearer realm="a", service=, scope="c""#,
                r#"Bearer realm="a", service=a@b, scope="c""#,
                r#"Bearer realm="a", service="a""b,c", scope="c""#,
            ] as &[&str],
        ),
        // A value that is none. Registries must quote URLs.
        (
            bearer(&[]),
            &[
                r#"Bearer realm=https://a.example/t, service="s""#,
                r#"Bearer realm=/, service="s""#,
                r#"Bearer realm="a""b,c", service="s""#,
                r#"Bearer realm=a@b, service="s""#,
                r#"Bearer @, realm="a""#,
                r#"Bearer a b, realm="a""#,
            ],
        ),
        // token68 has no parameters beside it.
        (
            Some(with_token68("Negotiate", "abc")),
            &[r#"Negotiate abc, service="s""#],
        ),
        // No scheme, and parameters of nobody.
        (
            None,
            &[
                r#"Bearer =a, service="s""#,
                r#"Be@rer realm="a", service="s""#,
                r#""Bearer" realm="a", service="s""#,
                r#""quoted, \", Bearer realm=a", service="s""#,
                r#"realm="a", service="s""#,
            ],
        ),
    ] {
        let good = challenge("Basic", &[("realm", "b")]);
        let expected: Vec<_> = first.into_iter().chain([good]).collect();
        for header in headers {
            let list = format!(r#"{header}, Basic realm="b""#);
            assert_eq!(parsed(&[&list]), expected, "{header}");
            assert_eq!(
                parsed(&[header, r#"Basic realm="b""#]),
                expected,
                "{header}"
            );
        }
    }
}

#[test]
fn a_quote_that_is_never_closed_ends_its_header_only() {
    for header in [
        r#"Bearer realm="a, Basic realm=b"#,
        r#"Bearer realm="a\", Basic realm=b"#,
        r#"Bearer realm="a\"#,
        r#"Bearer ", Basic realm=b"#,
    ] {
        let expected = [
            challenge("Bearer", &[]),
            challenge("Basic", &[("realm", "b")]),
        ];
        assert_eq!(parsed(&[header, "Basic realm=b"]), expected, "{header}");
    }
}

#[test]
fn work_and_memory_are_bounded() {
    // protocol 92: nobody needs this much.
    let parameters: String = (0..1_000).map(|n| format!("p{n}=v,")).collect();
    let found = parsed(&[&format!("Bearer {parameters}")]);
    assert_eq!(found[0].parameters.len(), MOST_PARAMETERS);

    let found = parsed(&[&"Basic realm=a,".repeat(1_000), "Bearer realm=b"]);
    assert_eq!(found.len(), MOST_CHALLENGES);

    let longest = format!("Basic realm=\"{}\"", "a".repeat(LONGEST_HEADER - 14));
    assert_eq!(parsed(&[&longest]).len(), 1);
    assert_eq!(parsed(&[&format!("{longest} "), "Basic"]).len(), 1);

    // What a quadratic parser would not finish.
    for piece in [
        "\"", "\\", "=", "a=\"", "a=\"\\", "a ", "a =", "@,", "a=b ", "A b c,", "\t",
    ] {
        let header = piece.repeat(LONGEST_HEADER / piece.len());
        parsed(&[&header]);
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn written((name, value): &(String, String)) -> String {
        format!(
            "{name}=\"{}\"",
            value.replace('\\', "\\\\").replace('"', "\\\"")
        )
    }

    proptest! {
        /// Whatever is written by the grammar is read as it was meant.
        #[test]
        fn what_is_written_is_read(
            schemes in prop::collection::vec(
                ("[A-Za-z][a-z0-9!#-]{0,6}", prop::collection::btree_map("[a-z*]{1,4}", "[ -~é]{0,9}", 0..4)),
                0..6,
            ),
        ) {
            let expected: Vec<_> = schemes
                .into_iter()
                .map(|(scheme, parameters)| Challenge {
                    parameters: parameters.into_iter().collect(),
                    ..Challenge::new(scheme)
                })
                .collect();
            let header = expected.iter().map(|challenge| {
                let parameters: Vec<_> = challenge.parameters.iter().map(written).collect();
                format!("{} {}", challenge.scheme, parameters.join(", "))
            });
            let header = header.collect::<Vec<_>>().join(" , ");
            prop_assert_eq!(parsed(&[&header]), expected);
        }

        /// Whatever is sent, a good challenge in a header of its own is read.
        #[test]
        fn garbage_never_reaches_another_header(
            garbage in "[ -~\té]{0,60}|([a-c=, \"\\\\]){0,40}",
        ) {
            let good = challenge("Basic", &[("realm", "a")]);
            let found = parsed(&[&garbage, "Basic realm=\"a\""]);
            prop_assert_eq!(found.last(), Some(&good));
            prop_assert!(found.len() <= MOST_CHALLENGES);
        }
    }
}
