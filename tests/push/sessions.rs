//! How upload sessions end: committed, cancelled, expired, or taken over for a while.

use super::*;

/// A registry whose uploads live for 100 seconds, the hands of its clock, and its store.
fn expiring() -> (Registry, Hands, MemoryStore) {
    let hands = Hands::new();
    let store = MemoryStore::builder().clock(hands.clock()).build();
    let mut limits = Limits::default();
    limits.uploads.lifetime = Duration::from_secs(100);
    let registry = OciRegistryService::writable(store.clone()).limits(limits);
    (registry, hands, store)
}

/// Asserts that every request for the upload at `location` is answered with 404.
async fn assert_unknown(registry: &Registry, location: &str, digest: Digest) {
    assert_no_upload(registry, location).await;
    assert_eq!(head(registry, location).await.status, 404);
    for (method, uri) in [
        ("PATCH", location.to_owned()),
        ("PUT", format!("{location}?digest={digest}")),
        ("DELETE", location.to_owned()),
    ] {
        let answer = put(registry, method, &uri, &[], "").await;
        answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

/// Asserts that the store holds so many bytes once all tasks have learned what happened.
async fn assert_holds(store: &MemoryStore, bytes: u64) {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.used_bytes(), bytes);
}

// protocol 28 and 30
#[tokio::test]
async fn an_unknown_upload_is_404_for_every_method() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    let id = location.rsplit('/').next().unwrap();
    for uri in [
        format!("/v2/demo/blobs/uploads/{}", "0".repeat(32)),
        "/v2/demo/blobs/uploads/unknown".to_owned(),
        // No id at all: it cannot exist.
        "/v2/demo/blobs/uploads/a.b".to_owned(),
        "/v2/demo/blobs/uploads/%20".to_owned(),
        format!("/v2/demo/blobs/uploads/{}", "a".repeat(200)),
        format!("/v2/demo/blobs/uploads/{}", &id[1..]),
        // A session belongs to its repository.
        format!("/v2/other/blobs/uploads/{id}"),
        format!("/v2/demo/sub/blobs/uploads/{id}"),
    ] {
        assert_unknown(&registry, &uri, sha256("")).await;
    }
    assert_open(&registry, &location, "0-0").await;
}

// protocol 29: a PUT closes
#[tokio::test]
async fn an_upload_that_was_committed_is_over() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    let answer = finish(&registry, &location, sha256("hello"), "", "hello").await;
    assert_eq!(answer.status, 201);
    assert_unknown(&registry, &location, sha256("other")).await;
    let answer = get(&registry, answer.header("location")).await;
    assert_eq!(answer.body, "hello");
}

// protocol 81
#[tokio::test]
async fn the_end_of_an_upload_may_be_sent_again() {
    let (registry, hands, _) = expiring();
    let digest = sha256("hello");
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "hel").await;
    for (range, last) in [
        ("", "lo"),
        ("", "lo"),
        ("", ""),
        ("3-4", "lo"),
        ("9-9", "!"),
    ] {
        let answer = finish(&registry, &location, digest, range, last).await;
        assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
        hands.pass(10);
    }
    // With another digest it is another request, whether there is such a blob or not.
    let other = push_blob(&registry, "demo", "other").await;
    for digest in [other, sha512("hello")] {
        let answer = finish(&registry, &location, digest, "", "lo").await;
        answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    // It is remembered for as long as it would have lived.
    hands.pass(100);
    let answer = finish(&registry, &location, digest, "", "lo").await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

// pitfalls: pushes "succeed", pulls get nothing
#[tokio::test]
async fn the_end_of_an_upload_is_not_repeated_once_the_blob_is_gone() {
    let registry = registry();
    let digest = sha256("hello");
    let location = start(&registry, "demo").await;
    let answer = finish(&registry, &location, digest, "", "hello").await;
    let blob = answer.header("location");
    assert_eq!(ask(&registry, "DELETE", blob, &[]).await.status, 202);
    let answer = finish(&registry, &location, digest, "", "hello").await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_no_blob(&registry, "demo", digest).await;
}

// protocol 31 and 87
#[tokio::test]
async fn an_upload_can_be_cancelled_also_where_nothing_is_deleted() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    for registry in [registry.clone(), registry.allow_deletes(false)] {
        for headers in [&[][..], &[("content-length", "0")]] {
            let location = start(&registry, "demo").await;
            patch(&registry, &location, "", "hello").await;
            let answer = ask(&registry, "DELETE", &location, headers).await;
            assert_eq!(answer.status, 204);
            assert_unknown(&registry, &location, sha256("hello")).await;
            assert_eq!(store.used_bytes(), 0);
        }
    }
}

// protocol 31 and 87; pitfalls: abandoned uploads
#[tokio::test]
async fn an_upload_expires_when_nothing_has_arrived_for_its_lifetime() {
    let (registry, hands, store) = expiring();
    let digest = sha256("ab");
    let untouched = start(&registry, "demo").await;
    let fed = start(&registry, "demo").await;
    hands.pass(60);
    patch(&registry, &fed, "", "a").await;
    hands.pass(39);
    assert_open(&registry, &untouched, "0-0").await;
    hands.pass(1);
    // To ask for the status is no progress.
    assert_unknown(&registry, &untouched, digest).await;
    assert_open(&registry, &fed, "0-0").await;
    hands.pass(50);
    patch(&registry, &fed, "", "b").await;
    hands.pass(99);
    assert_open(&registry, &fed, "0-1").await;
    hands.pass(1);
    assert_unknown(&registry, &fed, digest).await;
    assert_eq!(store.used_bytes(), 0);
    assert_no_blob(&registry, "demo", digest).await;
}

// protocol 31
#[tokio::test]
async fn a_slow_upload_lives_as_long_as_bytes_arrive() {
    let (registry, hands, _) = expiring();
    let location = start(&registry, "demo").await;
    let mut request = Held::begin(&registry, "PATCH", &location, "a").await;
    for _ in 0..5 {
        hands.pass(60);
        request.body.send_data("a".into()).await.unwrap();
        request.body.send_data(Bytes::new()).await.unwrap();
    }
    hands.pass(60);
    assert_open(&registry, &location, "0-0").await;
    assert_eq!(request.end("a").await.header("range"), "0-6");
}

// protocol 31
#[tokio::test]
async fn a_request_that_stalls_ends_with_its_session() {
    let (registry, hands, store) = expiring();
    let location = start(&registry, "demo").await;
    let digest = sha256("ab");
    let put = format!("{location}?digest={digest}");
    let request = Held::begin(&registry, "PUT", put, "a").await;
    hands.pass(100);
    store.sweep().await.unwrap();
    assert_no_upload(&registry, &location).await;
    // What had arrived is given up at once, and not when the client sends more.
    assert_holds(&store, 0).await;
    let answer = request.end("b").await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_no_blob(&registry, "demo", digest).await;
}

#[tokio::test]
async fn a_sweep_drops_what_has_expired_and_nothing_else() {
    let (registry, hands, store) = expiring();
    for _ in 0..3 {
        let location = start(&registry, "demo").await;
        patch(&registry, &location, "", "hello").await;
    }
    hands.pass(50);
    let before = store.used_bytes();
    let young = start(&registry, "demo").await;
    let cost = store.used_bytes() - before;
    store.sweep().await.unwrap();
    assert_eq!(store.used_bytes(), before + cost);
    hands.pass(50);
    store.sweep().await.unwrap();
    assert_eq!(store.used_bytes(), cost);
    assert_open(&registry, &young, "0-0").await;
}

// pitfalls: one lease per session, and a newer request takes it over
#[tokio::test]
async fn a_newer_request_takes_an_upload_over_and_the_older_one_leaves_nothing() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "say ").await;
    let before = store.used_bytes();
    let older = Held::begin(&registry, "PATCH", &location, "hel").await;
    // The client has lost the connection, and sends the same request again.
    let answer = patch(&registry, &location, "4-8", "hello").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-8")
    );
    assert_holds(&store, before + 5).await;
    let answer = older.end("lo").await;
    answer.assert_error(409, "BLOB_UPLOAD_INVALID");
    assert_open(&registry, &location, "0-8").await;

    let digest = sha256("say hello!");
    let put = format!("{location}?digest={digest}");
    let older = Held::begin(&registry, "PUT", put, "?").await;
    let answer = patch(&registry, &location, "", "!").await;
    assert_eq!(answer.header("range"), "0-9");
    let answer = older.end("").await;
    answer.assert_error(409, "BLOB_UPLOAD_INVALID");
    let answer = finish(&registry, &location, digest, "", "").await;
    assert_stored(&registry, &answer, ("demo", digest), b"say hello!").await;
}

// protocol 81
#[tokio::test]
async fn a_put_that_hangs_can_be_sent_again() {
    let registry = registry();
    let digest = sha256("hello");
    // The older one learns that the blob is there, if that is the one it meant.
    for (of_older, status) in [(digest, 201), (sha512("hello"), 404)] {
        let location = start(&registry, "demo").await;
        let put = format!("{location}?digest={of_older}");
        let older = Held::begin(&registry, "PUT", put, "hel").await;
        let answer = finish(&registry, &location, digest, "", "hello").await;
        assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
        let answer = older.end("LO").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_no_blob(&registry, "demo", sha512("hello")).await;
    let got = get(&registry, &format!("/v2/demo/blobs/{digest}")).await;
    assert_eq!(got.body, "hello");
}

#[tokio::test]
async fn what_is_no_next_piece_takes_no_upload_over() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    let request = Held::begin(&registry, "PATCH", &location, "hel").await;
    // What has not been acknowledged does not count.
    assert_open(&registry, &location, "0-0").await;
    assert_eq!(patch(&registry, &location, "3-4", "lo").await.status, 416);
    assert_eq!(patch(&registry, &location, "abc", "lo").await.status, 400);
    assert_eq!(
        finish(&registry, &location, "sha256:", "", "lo")
            .await
            .status,
        400
    );
    let answer = request.end("lo").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-4")
    );
}

// protocol 31
#[tokio::test]
async fn an_upload_can_be_cancelled_while_bytes_arrive() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let digest = sha256("hello");
    let location = start(&registry, "demo").await;
    let put = format!("{location}?digest={digest}");
    let request = Held::begin(&registry, "PUT", put, "hel").await;
    assert_eq!(ask(&registry, "DELETE", &location, &[]).await.status, 204);
    assert_holds(&store, 0).await;
    let answer = request.end("lo").await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_no_blob(&registry, "demo", digest).await;
}

// protocol 81; pitfalls: any future may be dropped at any await
#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_the_upload_as_it_was() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let digest = sha256("say hello");
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "say ").await;
    let before = store.used_bytes();
    for (method, uri) in [
        ("PATCH", location.clone()),
        ("PUT", format!("{location}?digest={digest}")),
    ] {
        let request = Held::begin(&registry, method, uri, "hel").await;
        assert!(store.used_bytes() > before);
        request.leave().await;
        assert_open(&registry, &location, "0-3").await;
        assert_eq!(store.used_bytes(), before);
        assert_no_blob(&registry, "demo", digest).await;
    }
    let answer = finish(&registry, &location, digest, "4-8", "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"say hello").await;
}

// A request that is refused brings nothing, so it keeps no upload alive.
#[tokio::test]
async fn a_request_that_is_refused_does_not_keep_an_upload_alive() {
    let hands = Hands::new();
    let store = MemoryStore::builder().clock(hands.clock()).build();
    let registry = OciRegistryService::writable(store);
    let location = start(&registry, "demo").await;
    let ahead = [("content-range", "5-9")];
    hands.pass(3_000);
    let answer = put(&registry, "PATCH", &location, &ahead, "hello").await;
    answer.assert_error(416, "BLOB_UPLOAD_INVALID");
    hands.pass(3_000);
    let answer = put(&registry, "PATCH", &location, &ahead, "hello").await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

// What was hashed with one algorithm is read once more for the other; others go on meanwhile, also
// where there is one thread for all.
#[tokio::test(flavor = "current_thread")]
async fn an_upload_that_ends_with_another_algorithm_keeps_nobody_waiting() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    let piece = noise(64 << 10);
    let mut content = Vec::new();
    for _ in 0..256 {
        let answer = put(&registry, "PATCH", &location, &[], piece.clone()).await;
        assert_eq!(answer.status, 202);
        content.extend_from_slice(&piece);
    }
    let digest = sha512(&content);
    let finish = async {
        let uri = format!("{location}?digest={digest}");
        put(&registry, "PUT", &uri, &[], "").await.status
    };
    let mut finish = std::pin::pin!(finish);
    let mut turns = 0;
    let status = loop {
        tokio::select! {
            biased;
            status = &mut finish => break status,
            () = tokio::task::yield_now() => turns += 1,
        }
    };
    assert_eq!(status, 201);
    assert!(turns >= 2, "16 MiB were hashed in {turns} turns");
}
