use super::*;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$")
        .unwrap()
});
static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$").unwrap());
static DIGEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([a-z0-9]+([+._-][a-z0-9]+)*):[a-zA-Z0-9=_-]+$").unwrap());
static SUPPORTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$").unwrap());
static ALGORITHM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9]+([+._-][a-z0-9]+)*$").unwrap());
static MEDIA_TYPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$")
        .unwrap()
});

fn any_digest_text() -> impl Strategy<Value = String> {
    prop_oneof![
        a_digest().prop_map(|digest| digest.to_string()),
        matching("sha256:[a-f0-9]{63,65}"),
        matching("sha512:[a-f0-9]{127,129}"),
        matching("(sha256|sha384|blake3|a[+._-]b|sha256[+._-]b64u)[:.][a-zA-Z0-9=_-]{0,70}"),
    ]
}

proptest! {
    #![proptest_config(cases(1500))]

    // protocol 2
    #[test]
    fn names_are_those_of_the_specification(
        text in prop_oneof![name_text(), mutated(name_text()), any::<String>()]
    ) {
        let parsed = text.parse::<RepositoryName>();
        prop_assert_eq!(parsed.is_ok(), NAME.is_match(&text) && text.len() <= 255, "{:?}", text);
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed.as_str(), text);
        }
    }

    // protocol 3
    #[test]
    fn tags_are_those_of_the_specification(
        text in prop_oneof![
            mutated(a_tag().prop_map(|tag| tag.to_string())),
            matching("[a-zA-Z0-9._-]{0,130}"),
            any::<String>(),
        ]
    ) {
        let parsed = text.parse::<Tag>();
        prop_assert_eq!(parsed.is_ok(), TAG.is_match(&text), "{:?}", text);
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed.as_str(), &text);
            prop_assert_eq!(text.parse::<Reference>().unwrap(), Reference::Tag(parsed));
        }
    }

    // protocol 4
    #[test]
    fn digests_are_those_of_the_specification(
        text in prop_oneof![any_digest_text(), mutated(any_digest_text()), any::<String>()]
    ) {
        let is_digest = DIGEST.captures(&text);
        let algorithm = is_digest.and_then(|parts| parts.get(1)).map(|part| part.as_str());
        match text.parse::<Digest>() {
            Ok(digest) => {
                prop_assert!(SUPPORTED.is_match(&text), "{:?}", text);
                prop_assert_eq!(digest.to_string(), &text[..]);
                prop_assert_eq!(text.parse::<Reference>().unwrap(), Reference::Digest(digest));
                let parts = format!("{}:{}", digest.algorithm(), digest.encoded());
                prop_assert_eq!(parts, &text[..]);
                prop_assert!(Tag::referrers_of(&digest).as_str().parse::<Tag>().is_ok());
            }
            Err(InvalidDigest::Unsupported { .. }) => {
                let is_other = algorithm.is_some_and(|name| name != "sha256" && name != "sha512");
                prop_assert!(is_other, "{:?}", text);
            }
            Err(_) => {
                prop_assert!(!SUPPORTED.is_match(&text), "{:?}", text);
                let is_known = algorithm.is_none_or(|name| name == "sha256" || name == "sha512");
                prop_assert!(is_known, "{:?}", text);
                prop_assert!(!text.contains(':') || text.parse::<Reference>().is_err());
            }
        }
    }

    #[test]
    fn algorithms_are_known_unsupported_or_malformed(
        text in prop_oneof![
            mutated(select(vec!["sha256", "sha512", "sha256+b64u", "a.b"]).prop_map(str::to_owned)),
            any::<String>(),
        ]
    ) {
        match text.parse::<Algorithm>() {
            Ok(algorithm) => prop_assert_eq!(algorithm.as_str(), text),
            Err(error) => {
                let is_unsupported = matches!(error, InvalidDigest::Unsupported { .. });
                prop_assert_eq!(is_unsupported, ALGORITHM.is_match(&text), "{:?}", text);
            }
        }
    }

    #[test]
    fn media_types_lose_their_parameters_and_nothing_else(
        text in prop_oneof![
            matching("[a-z]{1,5}/[a-z.+]{0,8}"),
            mutated(Just(MediaType::OCI_MANIFEST.to_string())),
            matching("[a-z]{126,129}/[a-z]{126,129}"),
            any::<String>(),
        ],
        parameters in select(vec!["", ";", "; charset=utf-8", " ;q=1", "\t; a=\"b/c\"; d"]),
    ) {
        let bare = text.split(';').next().unwrap().trim_matches([' ', '\t']);
        match format!("{text}{parameters}").parse::<MediaType>() {
            Ok(parsed) => {
                prop_assert!(MEDIA_TYPE.is_match(bare), "{:?}", text);
                prop_assert_eq!(parsed.as_str(), bare);
                prop_assert_eq!(&parsed.as_str().parse::<MediaType>().unwrap(), &parsed);
            }
            Err(_) => prop_assert!(!MEDIA_TYPE.is_match(bare), "{:?}", text),
        }
    }
}

#[test]
fn names_end_at_255_bytes_and_tags_at_128() {
    for (length, is_name) in [(254, true), (255, true), (256, false), (100_000, false)] {
        assert_eq!(
            "a".repeat(length).parse::<RepositoryName>().is_ok(),
            is_name
        );
        let segments = format!("{}a", "a/".repeat(length / 2));
        let parsed = segments.parse::<RepositoryName>();
        assert_eq!(parsed.is_ok(), segments.len() <= 255);
    }
    for (length, is_tag) in [(127, true), (128, true), (129, false)] {
        assert_eq!("a".repeat(length).parse::<Tag>().is_ok(), is_tag);
    }
}
