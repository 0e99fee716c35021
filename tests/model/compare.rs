//! Whether a registry is what the oracle says.

use axum::body::Body;
use http::Request;
use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::Value;

use super::{
    common::{Answer, get, head, send},
    oracle::{Expected, Oracle},
    setup::Registry,
    universe::{
        CONTENT_COUNT, CONTENTS, DOCUMENT_COUNT, DOCUMENTS, REPOSITORIES, SUBJECTS, TAGS, all_named,
    },
};

pub(crate) type Checked = Result<(), TestCaseError>;

/// Sends `request`, and checks that the answer is the one that is expected.
pub(crate) async fn send_expecting(
    registry: &Registry,
    request: Request<Body>,
    expected: &Expected,
) -> Result<Answer, TestCaseError> {
    let is_head = request.method() == http::Method::HEAD;
    let answer = send(registry, request).await;
    prop_assert_eq!(answer.status.as_u16(), expected.status, "{:?}", answer);
    if !is_head {
        let codes = match answer.status.is_success() || answer.status == 304 {
            true => Vec::new(),
            false => answer.error_codes(),
        };
        prop_assert_eq!(&codes, &expected.codes, "{:?}", answer);
    }
    for (name, value) in &expected.headers {
        let values = answer.headers.get_all(*name).iter();
        let values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
        match value {
            Some(value) => prop_assert_eq!(&values.join(","), value, "{}: {:?}", name, answer),
            None => prop_assert_eq!(values.len(), 1, "{}: {:?}", name, answer),
        }
    }
    if let Some(body) = &expected.body {
        prop_assert!(answer.body == body, "another body: {:?}", answer.headers);
    }
    if let Some((field, pages)) = &expected.pages {
        check_pages(registry, &answer, field, pages).await?;
    }
    Ok(answer)
}

/// The list that `first` is the first page of.
async fn check_pages(
    registry: &Registry,
    first: &Answer,
    field: &str,
    pages: &[Vec<Value>],
) -> Checked {
    let mut found = vec![first.json()[field].clone()];
    let mut next = link(first);
    while let Some(uri) = next {
        prop_assert!(found.len() < pages.len(), "there is one more page: {}", uri);
        let answer = get(registry, &uri).await;
        prop_assert_eq!(answer.status, 200, "{}: {:?}", uri, answer);
        found.push(answer.json()[field].clone());
        next = link(&answer);
    }
    let pages: Vec<Value> = pages.iter().cloned().map(Value::from).collect();
    prop_assert_eq!(found, pages);
    Ok(())
}

fn link(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_prefix('<')?;
    Some(link.strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

/// Which tags and repositories there are: what is quick to see.
pub(crate) async fn check_names(registry: &Registry, oracle: &Oracle) -> Checked {
    for name in REPOSITORIES {
        let answer = get(registry, &format!("/v2/{name}/tags/list?n=3")).await;
        let tags = (answer.status == 200).then(|| answer.json()["tags"].clone());
        let held = oracle.repositories.get(name);
        let expected = held.map(|held| held.tags.keys().take(3).copied().collect::<Vec<_>>());
        prop_assert_eq!(tags, expected.map(Value::from), "{}", name);
    }
    Ok(())
}

async fn check_tags(registry: &Registry, oracle: &Oracle, name: &str) -> Checked {
    let held = oracle.repositories.get(name);
    for tag in TAGS {
        let answer = head(registry, &format!("/v2/{name}/manifests/{tag}")).await;
        let found = answer.header("docker-content-digest");
        let expected = held.and_then(|held| held.tags.get(tag).copied());
        prop_assert_eq!(found, expected.unwrap_or_default(), "{}:{}", name, tag);
    }
    Ok(())
}

/// Everything that a client can see.
pub(crate) async fn check_all(
    registry: &Registry,
    oracle: &Oracle,
    locations: &[String],
) -> Checked {
    check_names(registry, oracle).await?;
    for name in REPOSITORIES {
        check_tags(registry, oracle, name).await?;
        check_blobs(registry, oracle, name).await?;
        check_manifests(registry, oracle, name).await?;
        check_referrers(registry, oracle, name).await?;
    }
    prop_assert_eq!(locations.len(), oracle.sessions.len());
    for (index, location) in locations.iter().enumerate() {
        let answer = get(registry, location).await;
        let range = (answer.status == 204).then(|| answer.header("range").to_owned());
        prop_assert_eq!(
            range,
            oracle.range(index),
            "session {}: {:?}",
            index,
            answer
        );
    }
    let answer = get(registry, "/v2/_catalog?n=3").await;
    let names: Vec<&str> = oracle.repositories.keys().copied().collect();
    prop_assert_eq!(&answer.json()["repositories"], &Value::from(names));
    Ok(())
}

async fn check_blobs(registry: &Registry, oracle: &Oracle, name: &str) -> Checked {
    let held = oracle.repositories.get(name);
    for blob in all_named(CONTENT_COUNT) {
        let answer = get(registry, &format!("/v2/{name}/blobs/{}", blob.blob())).await;
        let expected = held.and_then(|held| held.blobs.get(blob.blob()));
        let expected = expected.map(|&number| &CONTENTS[number]);
        let found = (answer.status == 200).then_some(&answer.body);
        prop_assert!(found == expected, "{} {:?}: {}", name, blob, answer.status);
    }
    Ok(())
}

async fn check_manifests(registry: &Registry, oracle: &Oracle, name: &str) -> Checked {
    let held = oracle.repositories.get(name);
    for document in all_named(DOCUMENT_COUNT) {
        let digest = document.manifest();
        let answer = get(registry, &format!("/v2/{name}/manifests/{digest}")).await;
        let expected = held.and_then(|held| held.manifests.get(digest));
        let expected = expected.map(|held| (held.media_type, &DOCUMENTS[held.document].bytes));
        let found = (answer.header("content-type"), &answer.body);
        let found = (answer.status == 200).then_some(found);
        prop_assert_eq!(found, expected, "{} {:?}", name, document);
    }
    Ok(())
}

async fn check_referrers(registry: &Registry, oracle: &Oracle, name: &str) -> Checked {
    let held = oracle.repositories.get(name);
    for subject in all_named(DOCUMENT_COUNT) {
        if !SUBJECTS.contains(&subject.number) {
            continue;
        }
        let digest = subject.manifest();
        let answer = get(registry, &format!("/v2/{name}/referrers/{digest}")).await;
        let expected = held.map_or_else(Vec::new, |held| held.referrers(digest));
        let found = &answer.json()["manifests"];
        prop_assert_eq!(found, &Value::from(expected), "{} {:?}", name, subject);
    }
    Ok(())
}
