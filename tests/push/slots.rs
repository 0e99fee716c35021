//! How many uploads may be open.

use super::*;

fn uploads_of(repository: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/")
}

/// Asserts that no upload can be opened, and that the answer says when to try again.
// protocol 9
async fn assert_full(registry: &Registry, repository: &str) {
    let uri = uploads_of(repository);
    let digest = sha256("hello");
    for (query, body) in [
        (String::new(), ""),
        (format!("?digest={digest}"), "hello"),
        // It would open an upload.
        (format!("?mount={digest}&from=unknown"), ""),
    ] {
        let answer = put(registry, "POST", &format!("{uri}{query}"), &[], body).await;
        answer.assert_error(429, "TOOMANYREQUESTS");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=3600).contains(&seconds), "{seconds}");
        assert_eq!(answer.header("location"), "");
        assert_no_blob(registry, repository, digest).await;
    }
}

#[tokio::test]
async fn one_upload_too_many_in_a_repository_is_429_and_others_are_not_concerned() {
    let (registry, store) = limited(|limits| limits.uploads.sessions_per_repository = 2);
    let first = start(&registry, "demo").await;
    start(&registry, "demo").await;
    let before = store.used_bytes();
    assert_full(&registry, "demo").await;
    assert_eq!(store.used_bytes(), before);
    for _ in 0..2 {
        start(&registry, "other").await;
        start(&registry, "demo/below").await;
    }
    assert_full(&registry, "other").await;
    assert_full(&registry, "demo/below").await;
    // Those that are open go on.
    let digest = sha256("hello");
    let answer = finish(&registry, &first, digest, "", "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
    start(&registry, "demo").await;
}

#[tokio::test]
async fn one_upload_too_many_in_all_is_429_in_every_repository() {
    let (registry, _) = limited(|limits| limits.uploads.sessions = 3);
    let mut locations = Vec::new();
    for repository in ["a", "b", "c"] {
        locations.push(start(&registry, repository).await);
    }
    for repository in ["a", "b", "c", "d"] {
        assert_full(&registry, repository).await;
    }
    ask(&registry, "DELETE", &locations[1], &[]).await;
    start(&registry, "d").await;
    assert_full(&registry, "b").await;
}

// What needs no upload is not concerned.
#[tokio::test]
async fn mounts_manifests_and_reads_need_no_slot() {
    let (registry, _) = limited(|limits| limits.uploads.sessions = 1);
    let digest = push_blob(&registry, "source", "hello").await;
    start(&registry, "demo").await;
    assert_full(&registry, "demo").await;
    let uri = format!("/v2/demo/blobs/uploads/?mount={digest}&from=source");
    let answer = put(&registry, "POST", &uri, &[], "").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
    let answer = push_document(&registry, ("demo", "a"), INDEX, empty_index("a")).await;
    assert_eq!(answer.status, 201);
}

/// How the only upload that may be open ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Committed,
    CommittedAgain,
    Cancelled,
    Expired,
    CancelledUnderWay,
    SingleStored,
    SingleRefused,
    SingleBroken,
    SingleDropped,
}

async fn delete_blob(registry: &Registry, digest: Digest) {
    let uri = format!("/v2/demo/blobs/{digest}");
    assert_eq!(ask(registry, "DELETE", &uri, &[]).await.status, 202);
}

async fn end(registry: &Registry, hands: &Hands, end: End) {
    let digest = sha256("hello");
    let single = format!("/v2/demo/blobs/uploads/?digest={digest}");
    match end {
        End::Committed | End::CommittedAgain => {
            let location = start(registry, "demo").await;
            assert_full(registry, "demo").await;
            let puts = if matches!(end, End::Committed) { 1 } else { 2 };
            for _ in 0..puts {
                let answer = finish(registry, &location, digest, "", "hello").await;
                assert_eq!(answer.status, 201);
            }
            delete_blob(registry, digest).await;
        }
        End::Cancelled => {
            let location = start(registry, "demo").await;
            assert_full(registry, "demo").await;
            ask(registry, "DELETE", &location, &[]).await;
        }
        End::Expired => {
            start(registry, "demo").await;
            assert_full(registry, "demo").await;
            hands.pass(3600);
        }
        End::CancelledUnderWay => {
            let location = start(registry, "demo").await;
            let request = Held::begin(registry, "PATCH", &location, "hel").await;
            ask(registry, "DELETE", &location, &[]).await;
            assert_eq!(request.end("lo").await.status, 404);
        }
        End::SingleStored => {
            let request = Held::begin(registry, "POST", single, "hel").await;
            assert_full(registry, "demo").await;
            assert_eq!(request.end("lo").await.status, 201);
            delete_blob(registry, digest).await;
        }
        End::SingleRefused => {
            let answer = put(registry, "POST", &single, &[], "other").await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
        End::SingleBroken => {
            let answer = send_body(registry, "POST", &single, &[], broken("hel")).await;
            assert_eq!(answer.status, 400);
        }
        End::SingleDropped => {
            let request = Held::begin(registry, "POST", single, "hel").await;
            assert_full(registry, "demo").await;
            request.leave().await;
        }
    }
}

#[tokio::test]
async fn the_slot_of_an_upload_is_free_again_however_it_ends() {
    for how in [
        End::Committed,
        End::CommittedAgain,
        End::Cancelled,
        End::Expired,
        End::CancelledUnderWay,
        End::SingleStored,
        End::SingleRefused,
        End::SingleBroken,
        End::SingleDropped,
    ] {
        let hands = Hands::new();
        let store = MemoryStore::builder().clock(hands.clock()).build();
        let mut limits = Limits::default();
        limits.uploads.sessions = 1;
        let registry = OciRegistryService::writable(store).limits(limits);
        // Twice: a slot must not be given back twice either.
        for _ in 0..2 {
            end(&registry, &hands, how).await;
        }
        let location = start(&registry, "demo").await;
        assert_full(&registry, "demo").await;
        ask(&registry, "DELETE", &location, &[]).await;
        push_blob(&registry, "demo", "hello").await;
    }
}

#[tokio::test]
async fn a_single_post_takes_the_slot_of_an_upload_that_has_expired() {
    let hands = Hands::new();
    let store = MemoryStore::builder().clock(hands.clock()).build();
    let mut limits = Limits::default();
    limits.uploads.sessions = 1;
    let registry = OciRegistryService::writable(store).limits(limits);
    start(&registry, "demo").await;
    assert_full(&registry, "demo").await;
    hands.pass(3600);
    push_blob(&registry, "demo", "hello").await;
}

// protocol 9: any upload that ends makes room, so nobody is sent away for long
#[tokio::test]
async fn who_finds_no_slot_may_soon_try_again() {
    let (registry, _) = limited(|limits| limits.uploads.sessions = 1);
    start(&registry, "demo").await;
    let answer = put(&registry, "POST", &uploads_of("demo"), &[], "").await;
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn an_upload_that_expires_makes_room_however_short_its_life() {
    let hands = Hands::new();
    let store = MemoryStore::builder().clock(hands.clock()).build();
    let mut limits = Limits::default();
    limits.uploads.sessions = 2;
    limits.uploads.lifetime = Duration::from_secs(10);
    let registry = OciRegistryService::writable(store).limits(limits);
    start(&registry, "demo").await;
    hands.pass(3);
    start(&registry, "demo").await;
    assert_full(&registry, "demo").await;
    hands.pass(7);
    start(&registry, "demo").await;
    assert_full(&registry, "demo").await;
    hands.pass(3);
    start(&registry, "demo").await;
}

// A blob in one request has a session like any other, which nobody can ask for.
#[tokio::test]
async fn a_single_post_that_stands_still_expires() {
    let hands = Hands::new();
    let store = MemoryStore::builder().clock(hands.clock()).build();
    let mut limits = Limits::default();
    limits.uploads.sessions = 1;
    let registry = OciRegistryService::writable(store.clone()).limits(limits);
    let half = stream::iter([Ok::<_, BoxError>("half")]);
    let silent = futures_util::StreamExt::chain(half, stream::pending());
    let uri = format!("{}?digest={}", uploads_of("demo"), sha256("half and half"));
    let request = Request::post(uri).body(Body::from_stream(silent)).unwrap();
    let single = tokio::spawn(tower::ServiceExt::oneshot(registry.clone(), request));
    tokio::task::yield_now().await;
    assert_full(&registry, "demo").await;
    hands.pass(3600);
    push_blob(&registry, "demo", "hello").await;
    // The request is told, and lets go of what it had.
    tokio::task::yield_now().await;
    assert_eq!(store.used_bytes(), used_by_one_blob("hello").await);
    single.abort();
}

async fn used_by_one_blob(content: &'static str) -> u64 {
    let (registry, store) = limited(|_| {});
    push_blob(&registry, "demo", content).await;
    store.used_bytes()
}
