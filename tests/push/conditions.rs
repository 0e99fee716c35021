//! Conditional pushes: `If-Match` and `If-None-Match`.

use super::*;

/// The documents that these tests push.
fn documents() -> [String; 3] {
    ["one", "two", "three"].map(empty_index)
}

fn quoted(document: &str) -> String {
    format!("\"{}\"", sha256(document))
}

async fn push_if(
    registry: &Registry,
    reference: &str,
    conditions: &[(&str, &str)],
    document: &str,
) -> Answer {
    let uri = format!("/v2/demo/manifests/{reference}");
    let mut headers = vec![("content-type", INDEX)];
    headers.extend(conditions);
    put(registry, "PUT", &uri, &headers, document.to_owned()).await
}

/// Asserts that a push of `document` to the tag `a` goes through, or fails and changes nothing.
async fn assert_judged(
    registry: &Registry,
    conditions: &[(&str, &str)],
    document: &str,
    is_pushed: bool,
) {
    let before = tagged(registry, "demo", "a").await;
    let answer = push_if(registry, "a", conditions, document).await;
    let after = tagged(registry, "demo", "a").await;
    if is_pushed {
        assert_eq!(answer.status, 201, "{conditions:?}");
        assert_eq!(after, sha256(document).to_string());
    } else {
        answer.assert_error(412, "DENIED");
        assert_eq!(after, before, "{conditions:?}");
        assert_no_manifest(registry, "demo", sha256(document)).await;
    }
}

// protocol 91, RFC 9110 §13.1.2
#[tokio::test]
async fn a_tag_that_must_not_exist_is_pushed_once() {
    let registry = registry();
    let [one, two, _] = documents();
    let create = [("if-none-match", "*")];
    assert_judged(&registry, &create, &one, true).await;
    assert_judged(&registry, &create, &two, false).await;
    // Not even the same again.
    let answer = push_if(&registry, "a", &create, &one).await;
    answer.assert_error(412, "DENIED");
    let answer = push_if(&registry, "b", &create, &one).await;
    assert_eq!(answer.status, 201);
}

// protocol 91, RFC 9110 §13.1.1
#[tokio::test]
async fn a_tag_is_moved_only_from_where_the_client_saw_it() {
    let [one, two, three] = documents().map(|document| quoted(&document));
    let bare = sha256(&documents()[0]).to_string();
    let weak = format!("W/{one}");
    for (if_match, is_pushed) in [
        (&*one, true),
        ("*", true),
        (&format!("{two}, {one}"), true),
        (&format!("{one},{three}"), true),
        (&format!(" {two} ,, {one} "), true),
        (&format!("{weak}, {one}"), true),
        // Some clients forget the quotes.
        (&bare, true),
        (&two, false),
        (&format!("{two}, {three}"), false),
        // A weak tag does not match strongly.
        (&weak, false),
        (&format!("{two}, {weak}"), false),
        ("", false),
        ("\"\"", false),
        ("\"*\"", false),
        ("\"latest\"", false),
        ("nonsense", false),
        ("\"open", false),
    ] {
        let registry = registry();
        let [one, two, _] = documents();
        push_if(&registry, "a", &[], &one).await;
        assert_judged(&registry, &[("if-match", if_match)], &two, is_pushed).await;
        // Of a tag that does not exist nothing holds.
        let answer = push_if(&registry, "other", &[("if-match", if_match)], &one).await;
        answer.assert_error(412, "DENIED");
        assert_no_manifest(&registry, "demo", "other").await;
    }
}

// protocol 91, RFC 9110 §13.1.2
#[tokio::test]
async fn a_tag_is_not_moved_from_where_the_client_does_not_want_it() {
    let [one, two, three] = documents().map(|document| quoted(&document));
    for (if_none_match, is_pushed) in [
        (&*one, false),
        (&format!("{two}, {one}"), false),
        // Weakness does not matter here.
        (&format!("W/{one}"), false),
        (&two, true),
        (&format!("{two}, {three}"), true),
        ("\"nonsense\"", true),
        ("", true),
    ] {
        let registry = registry();
        let [one, two, _] = documents();
        push_if(&registry, "a", &[], &one).await;
        let conditions = [("if-none-match", if_none_match)];
        assert_judged(&registry, &conditions, &two, is_pushed).await;
        let answer = push_if(&registry, "other", &conditions, &one).await;
        assert_eq!(answer.status, 201);
    }
}

// RFC 9110 §5.3 and §13.2.2
#[tokio::test]
async fn conditions_may_stand_on_several_lines_and_all_have_to_hold() {
    let [one, two, three] = documents().map(|document| quoted(&document));
    for (conditions, is_pushed) in [
        ([("if-match", &*two), ("if-match", &one)], true),
        ([("if-match", &two), ("if-match", &three)], false),
        ([("if-none-match", &two), ("if-none-match", &one)], false),
        ([("if-match", &one), ("if-none-match", &two)], true),
        ([("if-match", &one), ("if-none-match", "*")], false),
        ([("if-match", &two), ("if-none-match", &three)], false),
    ] {
        let registry = registry();
        let [one, two, _] = documents();
        push_if(&registry, "a", &[], &one).await;
        assert_judged(&registry, &conditions, &two, is_pushed).await;
    }
}

// Dates say nothing of what is named by its digest.
#[tokio::test]
async fn conditions_with_dates_are_ignored() {
    let registry = registry();
    for (document, name) in documents().iter().zip([
        "if-unmodified-since",
        "if-modified-since",
        "if-unmodified-since",
    ]) {
        let date = [(name, "Thu, 01 Jan 1970 00:00:00 GMT")];
        assert_judged(&registry, &date, document, true).await;
    }
}

// protocol 91
#[tokio::test]
async fn by_digest_the_conditions_are_about_the_digest_and_not_the_tags() {
    let registry = registry();
    let [one, two, _] = documents();
    let by_digest = format!("{}?tag=a&tag=b", sha256(&one));
    let answer = push_if(&registry, &by_digest, &[("if-match", "*")], &one).await;
    answer.assert_error(412, "DENIED");
    for reference in [sha256(&one).to_string(), "a".to_owned(), "b".to_owned()] {
        assert_no_manifest(&registry, "demo", reference).await;
    }
    push_if(&registry, "a", &[], &two).await;
    // The tag exists; the digest does not.
    let create = [("if-none-match", "*")];
    let answer = push_if(&registry, &by_digest, &create, &one).await;
    assert_eq!(answer.status, 201);
    for tag in ["a", "b"] {
        assert_eq!(
            tagged(&registry, "demo", tag).await,
            sha256(&one).to_string()
        );
    }
    let by_digest = format!("{}?tag=c", sha256(&one));
    let answer = push_if(&registry, &by_digest, &create, &one).await;
    answer.assert_error(412, "DENIED");
    assert_no_manifest(&registry, "demo", "c").await;
    let answer = push_if(&registry, &by_digest, &[("if-match", &quoted(&one))], &one).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        tagged(&registry, "demo", "c").await,
        sha256(&one).to_string()
    );
}

// protocol 91: a failed condition leaves no referrer behind
#[tokio::test]
async fn a_push_that_fails_its_condition_is_no_referrer() {
    let registry = registry();
    let subject = sha256("subject");
    push_if(&registry, "a", &[], &documents()[0]).await;
    let document = json!({ "subject": descriptor(MANIFEST, subject, 7) }).to_string();
    let answer = push_if(&registry, "a", &[("if-none-match", "*")], &document).await;
    answer.assert_error(412, "DENIED");
    assert_eq!(answer.header("oci-subject"), "");
    let listed = get(&registry, &format!("/v2/demo/referrers/{subject}")).await;
    assert_eq!(listed.json()["manifests"], json!([]));
}

// protocol 39 and 91: one that is refused for its parts has not used its condition up
#[tokio::test]
async fn a_push_that_is_refused_does_not_create_the_tag() {
    let registry = registry();
    push_if(&registry, "b", &[], &documents()[0]).await;
    let create = [("if-none-match", "*")];
    let missing = json!({ "manifests": [descriptor(MANIFEST, sha256("missing"), 7)] });
    let answer = push_if(&registry, "a", &create, &missing.to_string()).await;
    answer.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
    assert_judged(&registry, &create, &documents()[1], true).await;
}

// pitfalls: one compare-and-swap
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_pushes_at_once_that_create_a_tag_one_succeeds() {
    let registry = registry();
    for round in 0..20 {
        let pushes = (0..8).map(|push| {
            let (registry, tag) = (registry.clone(), format!("tag{round}"));
            tokio::spawn(async move {
                let document = empty_index(&format!("{round} {push}"));
                let create = [("if-none-match", "*")];
                let answer = push_if(&registry, &tag, &create, &document).await;
                (answer.status.as_u16(), sha256(&document).to_string())
            })
        });
        let pushes: Vec<_> = pushes.collect();
        let mut winners = Vec::new();
        for push in pushes {
            match push.await.unwrap() {
                (201, digest) => winners.push(digest),
                (status, digest) => {
                    assert_eq!(status, 412);
                    assert_no_manifest(&registry, "demo", digest).await;
                }
            }
        }
        let found = tagged(&registry, "demo", &format!("tag{round}")).await;
        assert_eq!(winners, [found]);
    }
}
