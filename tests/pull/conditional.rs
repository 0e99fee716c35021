use super::*;

async fn with(registry: &Registry, method: &str, uri: &str, condition: (&str, &str)) -> Answer {
    ask(registry, method, uri, &[condition]).await
}

/// The manifest by tag and by digest, and the layer: each with its digest.
fn entities(image: &Image) -> [(String, String); 3] {
    let digest = image.digest();
    [
        (
            "/v2/library/demo/manifests/latest".to_owned(),
            digest.to_string(),
        ),
        (
            format!("/v2/library/demo/manifests/{digest}"),
            digest.to_string(),
        ),
        (layer_uri(image), image.layers()[0].digest.to_string()),
    ]
}

// protocol 91, RFC 9110 §13.1.2
#[tokio::test]
async fn if_none_match_with_the_digest_is_304_in_every_form_of_it() {
    let (registry, image) = registry_with("layer");
    for (uri, digest) in entities(&image) {
        for known in [
            format!("\"{digest}\""),
            format!("W/\"{digest}\""),
            format!("\"other\", \"{digest}\""),
            digest.clone(),
            "*".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = with(&registry, method, &uri, ("if-none-match", &known)).await;
                assert_eq!(answer.status, 304, "{method} {uri} {known}");
                assert_eq!(answer.header("etag"), quoted(&digest));
                assert_ne!(answer.header("cache-control"), "");
            }
        }
        for other in ["\"other\"", "", "\"", "W/", "\"*\""] {
            let answer = with(&registry, "GET", &uri, ("if-none-match", other)).await;
            assert_eq!(answer.status, 200, "{uri} {other}");
        }
    }
}

// RFC 9110 §13.1.1
#[tokio::test]
async fn if_match_without_the_digest_is_412() {
    let (registry, image) = registry_with("layer");
    for (uri, digest) in entities(&image) {
        for meant in [
            format!("\"other\", \"{digest}\""),
            digest.clone(),
            "*".to_owned(),
        ] {
            let answer = with(&registry, "GET", &uri, ("if-match", &meant)).await;
            assert_eq!(answer.status, 200, "{uri} {meant}");
        }
        for meant in ["\"other\"".to_owned(), format!("W/\"{digest}\"")] {
            let answer = with(&registry, "GET", &uri, ("if-match", &meant)).await;
            answer.assert_error(412, "DENIED");
            let answer = with(&registry, "HEAD", &uri, ("if-match", &meant)).await;
            assert_eq!(answer.status, 412);
        }
    }
}

// RFC 9110 §13.2.2
#[tokio::test]
async fn if_match_is_judged_before_if_none_match() {
    let (registry, image) = registry_with("layer");
    for (uri, digest) in entities(&image) {
        let digest = quoted(&digest);
        let headers = [
            ("if-match", "\"other\""),
            ("if-none-match", digest.as_str()),
        ];
        let answer = ask(&registry, "GET", &uri, &headers).await;
        answer.assert_error(412, "DENIED");
    }
}

// pitfalls: 304 for content that does not exist
#[tokio::test]
async fn existence_is_decided_before_conditions() {
    let (registry, _) = registry_with("layer");
    let nothing = Algorithm::Sha256.digest(b"nothing");
    for condition in ["if-none-match", "if-match"] {
        for value in ["*".to_owned(), quoted(nothing), "\"other\"".to_owned()] {
            for kind in ["blobs", "manifests"] {
                let uri = format!("/v2/library/demo/{kind}/{nothing}");
                let answer = with(&registry, "GET", &uri, (condition, &value)).await;
                assert_eq!(answer.status, 404, "{uri} {condition}: {value}");
            }
        }
    }
}

// RFC 9110 §13.1.3
#[tokio::test]
async fn conditions_on_dates_are_ignored() {
    let (registry, image) = registry_with("layer");
    for condition in ["if-modified-since", "if-unmodified-since"] {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let answer = with(&registry, "GET", &layer_uri(&image), (condition, date)).await;
        assert_eq!(answer.status, 200);
    }
}

// RFC 9110 §13.1.5
#[tokio::test]
async fn if_range_lets_a_range_count_only_for_the_same_content() {
    let (registry, image) = registry_with("layer");
    let digest = image.layers()[0].digest;
    for (validator, status) in [
        (quoted(digest), 206),
        (digest.to_string(), 206),
        (format!("W/{}", quoted(digest)), 200),
        (quoted("other"), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
        ("*".to_owned(), 200),
    ] {
        let headers = [("range", "bytes=1-2"), ("if-range", validator.as_str())];
        let answer = ask(&registry, "GET", &layer_uri(&image), &headers).await;
        assert_eq!(answer.status, status, "{validator}");
    }
}
