//! Deletes that only happen if the content is the one that the client means.

use super::*;

async fn delete_if(registry: &Registry, path: &str, condition: (&str, &str)) -> Answer {
    ask(registry, "DELETE", &format!("/v2/{path}"), &[condition]).await
}

/// What can be deleted of `demo:latest`, with the digest that each has: dependent things first.
fn entities(image: &Image) -> [(String, Digest); 3] {
    let layer = image.layers()[0].digest;
    [
        ("demo/manifests/latest".to_owned(), *image.digest()),
        (
            format!("demo/manifests/{}", image.digest()),
            *image.digest(),
        ),
        (format!("demo/blobs/{layer}"), layer),
    ]
}

async fn pushed(algorithm: Algorithm) -> (Registry, Image) {
    let registry = registry();
    let image = ImageBuilder::new()
        .algorithm(algorithm)
        .file("a", "content");
    let image = image.build().unwrap();
    push_image(&registry, "demo", None, &image).await;
    let reference = format!("{}?tag=latest", image.digest());
    let answer = put_manifest(&registry, "demo", &reference, image.manifest()).await;
    assert_eq!(answer.status, 201);
    (registry, image)
}

// RFC 9110 §13.1.1 and §13.1.2
#[tokio::test]
async fn a_condition_that_does_not_hold_is_412_and_nothing_is_deleted() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let (registry, image) = pushed(algorithm).await;
        for (path, digest) in entities(&image) {
            let other = algorithm.digest("another");
            for condition in [
                ("if-match", format!("\"{other}\"")),
                ("if-match", "\"no digest\"".to_owned()),
                ("if-match", String::new()),
                // A weak tag never matches strongly.
                ("if-match", format!("W/\"{digest}\"")),
                ("if-none-match", format!("\"{digest}\"")),
                ("if-none-match", format!("\"{other}\", W/\"{digest}\"")),
                ("if-none-match", "*".to_owned()),
            ] {
                let (name, value) = &condition;
                let answer = delete_if(&registry, &path, (name, value)).await;
                answer.assert_error(412, "DENIED");
                let answer = get(&registry, &format!("/v2/{path}")).await;
                assert_eq!(answer.status, 200, "{path} {condition:?}");
                assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            }
        }
        assert_eq!(tags(&registry, "demo").await, ["latest"]);
    }
}

// RFC 9110 §13.1.1 and §13.1.2
#[tokio::test]
async fn a_condition_that_holds_lets_the_delete_happen() {
    let conditions = |digest: &Digest| {
        let other = Algorithm::Sha256.digest("another");
        [
            ("if-match", format!("\"{digest}\"")),
            ("if-match", format!("\"{other}\", \"{digest}\"")),
            ("if-match", digest.to_string()),
            ("if-match", "*".to_owned()),
            ("if-none-match", format!("\"{other}\"")),
        ]
    };
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        for number in 0..5 {
            let (registry, image) = pushed(algorithm).await;
            for (path, digest) in entities(&image) {
                let (name, value) = &conditions(&digest)[number];
                let answer = delete_if(&registry, &path, (name, value)).await;
                assert_eq!(answer.status, 202, "{path} {name}: {value}");
                assert_eq!(get(&registry, &format!("/v2/{path}")).await.status, 404);
            }
        }
    }
}

// What is not there is not found, whatever is demanded of it.
#[tokio::test]
async fn existence_is_decided_before_conditions() {
    let (registry, image) = pushed(Algorithm::Sha256).await;
    for (path, digest) in entities(&image) {
        let code = match path.contains("/blobs/") {
            true => "BLOB_UNKNOWN",
            false => "MANIFEST_UNKNOWN",
        };
        deleted(&registry, &path).await;
        for value in ["*", "\"other\"", &format!("\"{digest}\"")] {
            for name in ["if-match", "if-none-match"] {
                let answer = delete_if(&registry, &path, (name, value)).await;
                answer.assert_error(404, code);
                let unknown = path.replacen("demo", "unknown", 1);
                let answer = delete_if(&registry, &unknown, (name, value)).await;
                answer.assert_error(404, "NAME_UNKNOWN");
            }
        }
    }
}

// What a condition is for: the tag has moved since the client looked.
#[tokio::test]
async fn a_tag_that_has_moved_since_is_not_deleted() {
    let registry = registry();
    let [first, second] = ["first", "second"].map(image);
    push_image(&registry, "demo", Some("latest"), &first).await;
    let seen = head(&registry, "/v2/demo/manifests/latest").await;
    let seen = seen.header("etag").to_owned();
    push_image(&registry, "demo", Some("latest"), &second).await;
    let answer = delete_if(&registry, "demo/manifests/latest", ("if-match", &seen)).await;
    answer.assert_error(412, "DENIED");
    assert_manifest_there(&registry, "latest", &second).await;
    // By digest the condition is about that digest, and not about any tag.
    let path = format!("demo/manifests/{}", first.digest());
    let answer = delete_if(&registry, &path, ("if-match", &seen)).await;
    assert_eq!(answer.status, 202);
    assert_manifest_there(&registry, "latest", &second).await;
}

// One compare-and-swap: of a push and a delete that both mean the same state, one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_push_and_a_delete_with_the_same_condition_one_fails() {
    let registry = registry();
    let [first, second] = ["first", "second"].map(image);
    push_image(&registry, "demo", None, &first).await;
    push_image(&registry, "demo", None, &second).await;
    let condition = format!("\"{}\"", first.digest());
    for _ in 0..100 {
        push_image(&registry, "demo", Some("latest"), &first).await;
        let deleting = tokio::spawn({
            let (registry, condition) = (registry.clone(), condition.clone());
            async move {
                let path = "demo/manifests/latest";
                delete_if(&registry, path, ("if-match", &condition)).await
            }
        });
        let pushing = tokio::spawn({
            let (registry, condition) = (registry.clone(), condition.clone());
            let manifest = second.manifest().clone();
            async move {
                let uri = "/v2/demo/manifests/latest";
                let media_type = manifest.media_type().as_str();
                let headers = [
                    ("if-match", condition.as_str()),
                    ("content-type", media_type),
                ];
                put(&registry, "PUT", uri, &headers, manifest.bytes().clone()).await
            }
        });
        let (deleting, pushing) = (deleting.await.unwrap(), pushing.await.unwrap());
        match (deleting.status.as_u16(), pushing.status.as_u16()) {
            (202, 412) => assert_eq!(tags(&registry, "demo").await, [""; 0]),
            (412, 201) => assert_manifest_there(&registry, "latest", &second).await,
            both => assert_eq!(both, (0, 0), "both succeeded, or none"),
        }
    }
}
