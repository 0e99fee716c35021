use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    This,
    ThisInSha512,
    Other,
    NoDigest,
}

/// An entity tag in a list: of which content, weak, quoted.
type EntityTag = (Which, bool, bool);

#[derive(Clone, Debug)]
enum Condition {
    Star,
    /// Lines of tags.
    Tags(Vec<Vec<EntityTag>>),
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    let which = select(vec![
        Which::This,
        Which::This,
        Which::ThisInSha512,
        Which::Other,
        Which::NoDigest,
    ]);
    let tags = vec(
        (which, prop::bool::weighted(0.3), prop::bool::weighted(0.7)),
        0..4,
    );
    option::of(prop_oneof![
        1 => Just(Condition::Star),
        6 => vec(tags, 1..3).prop_map(Condition::Tags),
    ])
}

impl Condition {
    fn lines(&self, this: &str, this_in_sha512: &str) -> Vec<String> {
        let Self::Tags(lines) = self else {
            return vec!["*".to_owned()];
        };
        let text = |&(which, is_weak, is_quoted): &EntityTag| {
            let opaque = match which {
                Which::This => this.to_owned(),
                Which::ThisInSha512 => this_in_sha512.to_owned(),
                Which::Other => Algorithm::Sha256.digest("other").to_string(),
                Which::NoDigest if is_quoted => "a, b".to_owned(),
                Which::NoDigest => "ab".to_owned(),
            };
            let quote = if is_quoted { "\"" } else { "" };
            format!("{}{quote}{opaque}{quote}", if is_weak { "W/" } else { "" })
        };
        let line = |tags: &Vec<EntityTag>| tags.iter().map(text).collect::<Vec<_>>().join(", ");
        lines.iter().map(line).collect()
    }

    fn matches(&self, is_strong: bool) -> bool {
        match self {
            Self::Star => true,
            Self::Tags(lines) => lines
                .iter()
                .flatten()
                .any(|(which, is_weak, _)| *which == Which::This && !(is_strong && *is_weak)),
        }
    }
}

proptest! {
    #![proptest_config(cases(800))]

    // RFC 9110 §13.2.2, in its order
    #[test]
    fn conditions_are_judged_in_order_for_blobs_and_manifests(
        if_match in condition(),
        if_none_match in condition(),
        if_range in option::of(select(vec![
            ("this", true),
            ("\"this\"", true),
            ("W/\"this\"", false),
            ("W/this", false),
            ("\"sha256:0\"", false),
            ("Wed, 21 Oct 2026 07:28:00 GMT", false),
            ("*", false),
            ("", false),
        ])),
        target in 0..4,
        method in select(vec!["GET", "HEAD"]),
    ) {
        let (service, blob) = blob_registry(&noise(20));
        let manifest = wait(get(&service, "/v2/demo/manifests/latest"));
        let manifest_digest = manifest.header("docker-content-digest").to_owned();
        let (uri, this, content) = match target {
            0 => (blob.clone(), blob.rsplit('/').next().unwrap().to_owned(), noise(20)),
            1 => ("/v2/demo/manifests/latest".to_owned(), manifest_digest, manifest.body.clone()),
            2 => (format!("/v2/demo/manifests/{manifest_digest}"), manifest_digest, manifest.body.clone()),
            _ => ("/v2/demo/manifests/missing".to_owned(), manifest_digest, manifest.body.clone()),
        };
        let in_sha512 = Algorithm::Sha512.digest(&content).to_string();
        let mut request = Request::builder().method(method).uri(&uri).header("range", "bytes=1-2");
        for (header, condition) in [("if-match", &if_match), ("if-none-match", &if_none_match)] {
            for line in condition.iter().flat_map(|condition| condition.lines(&this, &in_sha512)) {
                request = request.header(header, line);
            }
        }
        if let Some((value, _)) = if_range {
            request = request.header("if-range", value.replace("this", &this));
        }
        let answer = wait(send(&service, request.body(Body::empty()).unwrap()));

        let expected = if target == 3 {
            404 // existence first
        } else if if_match.is_some_and(|condition| !condition.matches(true)) {
            412
        } else if if_none_match.is_some_and(|condition| condition.matches(false)) {
            304
        } else if method == "GET" && if_range.is_none_or(|(_, holds)| holds) {
            206
        } else {
            200
        };
        prop_assert_eq!(answer.status, expected);
        if [200, 206, 304].contains(&expected) {
            prop_assert_eq!(answer.header("etag"), format!("\"{this}\""));
            let by_tag = uri.ends_with("latest");
            let caching = if by_tag { "no-cache" } else { "private, max-age=31536000, immutable" };
            prop_assert_eq!(answer.header("cache-control"), caching);
        }
        if method == "GET" {
            match expected {
                200 => prop_assert_eq!(&answer.body, &content),
                206 => prop_assert_eq!(&answer.body, &content[1..3]),
                304 => {}
                412 => answer.assert_error(412, "DENIED"),
                _ => answer.assert_error(404, "MANIFEST_UNKNOWN"),
            }
        }
    }
}
