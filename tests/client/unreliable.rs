//! The unreliable registry: every path first fails, then redirects, every request needs a token,
//! and every blob breaks off halfway. Everything arrives all the same, and verified.

use super::*;

/// What an unreliable registry has done so far.
#[derive(Clone, Default)]
struct Unreliable {
    seen: Arc<Mutex<HashMap<String, usize>>>,
}

impl Unreliable {
    async fn answer(self, store: MemoryStore, request: Request<DynBody>) -> Answer {
        let path = request.uri().path().to_owned();
        let key = format!("{} {path}", request.method());
        let seen = {
            let mut seen = self.seen.lock().unwrap();
            let count = seen.entry(key).or_default();
            *count += 1;
            *count
        };
        let host = request.uri().host().unwrap().to_owned();
        match seen {
            1 => return answer(503, &[("retry-after", "1")], "not yet"),
            2 => {
                // To itself, and for blobs to a storage that knows no tokens.
                let target = match path.contains("/blobs/sha") && request.method() == "GET" {
                    true => format!("http://storage.test{path}"),
                    false => request.uri().to_string(),
                };
                return answer(307, &[("location", target)], "");
            }
            _ => {}
        }
        if path == "/token" {
            return answer(
                200,
                &[("content-type", "application/json")],
                r#"{"token":"t"}"#,
            );
        }
        let authorization = request.headers().get(header::AUTHORIZATION).cloned();
        match &*host {
            "storage.test" => assert_eq!(authorization, None, "a secret went to another host"),
            _ if authorization.is_none_or(|sent| sent != "Bearer t") => {
                let challenge = r#"Bearer realm="http://registry.test/token",service="s""#;
                return answer(401, &[("www-authenticate", challenge)], "");
            }
            _ => {}
        }
        let is_blob = path.contains("/blobs/sha") && request.method() == "GET";
        let response = ask(&store, request).await;
        match is_blob {
            true => halved(response).await,
            false => response,
        }
    }
}

/// The answer, whose body breaks off after half of its bytes.
async fn halved(response: Answer) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let half = bytes.slice(..bytes.len().div_ceil(2));
    let is_whole = half.len() == bytes.len();
    let broken = (!is_whole).then(|| Err(BoxError::from("the cable was cut")));
    let frames = std::iter::once(Ok(half)).chain(broken);
    let frames = frames.map(|piece| piece.map(http_body::Frame::data));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Response::from_parts(parts, DynBody::new(body))
}

fn client_of_unreliable(store: &MemoryStore) -> RegistryClient {
    let (registry, store) = (Unreliable::default(), store.clone());
    client_of(move |request| registry.clone().answer(store.clone(), request))
        .credentials(Credentials::basic("alice", "sesame"))
        .build()
}

async fn assert_all_arrives(client: &RegistryClient, image: &Image) {
    let latest = Reference::Tag(tag("latest"));
    let pulled = client.image(&name("demo"), &latest).await.unwrap();
    assert_eq!(pulled.manifest(), image.manifest());
    for child in pulled.children() {
        for blob in child.descriptors() {
            let bytes = child.read_blob_verified(blob, 1 << 20).await.unwrap();
            assert!(blob.digest.verifies(&bytes));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_from_an_unreliable_registry() {
    let (store, image) = (MemoryStore::new(), index());
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let client = client_of_unreliable(&store);
    assert_all_arrives(&client, &image).await;
    assert_eq!(
        client.all_tags(&name("demo")).await.unwrap(),
        [tag("latest")]
    );
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_at_an_unreliable_registry() {
    let (store, image) = (MemoryStore::new(), index());
    let client = client_of_unreliable(&store);
    for chunk in [None, Some(40_000)] {
        let mut options = PushOptions::default();
        options.chunk = chunk;
        let (demo, latest) = (name("demo"), tag("latest"));
        let pushed = client.push_image(&demo, Some(&latest), &image, &options);
        pushed.await.unwrap();
    }
    assert_all_arrives(&client_over(store), &image).await;
}

/// A small generator, so that a seed names a run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_whatever_fails_by_chance() {
    let image = index();
    for seed in 0..60 {
        let random = Arc::new(Mutex::new(Random(seed)));
        let source = MemoryStore::new();
        source.add_image(&name("demo"), Some(&tag("latest")), &image);
        let client_of_chance = |store: MemoryStore, random: Arc<Mutex<Random>>| {
            let policy = {
                let mut policy = RetryPolicy::default();
                policy.retries = 40;
                policy
            };
            client_of(move |request: Request<DynBody>| {
                let (store, random) = (store.clone(), random.clone());
                async move { by_chance(&store, &random, request).await }
            })
            .retry(policy)
            .build()
        };
        let client = client_of_chance(source, random.clone());
        assert_all_arrives(&client, &image).await;

        let target = MemoryStore::new();
        let client = client_of_chance(target.clone(), random);
        let mut options = PushOptions::default();
        options.chunk = (seed % 2 == 0).then_some(50_000);
        let (demo, latest) = (name("demo"), tag("latest"));
        let pushed = client.push_image(&demo, Some(&latest), &image, &options);
        pushed
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_all_arrives(&client_over(target), &image).await;
    }
}

/// One request in three meets a fault: before it is done, in its body, after it was done, or in the
/// body of its answer.
async fn by_chance(
    store: &MemoryStore,
    random: &Mutex<Random>,
    request: Request<DynBody>,
) -> Answer {
    let (fault, cut) = {
        let mut random = random.lock().unwrap();
        (random.below(15), random.below(100_000))
    };
    match fault {
        0 => answer(500, &[] as &[(&str, &str)], "chance"),
        1 => answer(429, &[("retry-after", "2")], "slower"),
        2 => {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let kept = body.len().min(usize::try_from(cut).unwrap());
            let frames = [Ok(body.slice(..kept)), Err(BoxError::from("cut"))];
            let frames = frames.map(|piece| piece.map(http_body::Frame::data));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let request = Request::from_parts(parts, DynBody::new(body));
            // What it did of it is not told.
            let _ = ask(store, request).await;
            answer(502, &[] as &[(&str, &str)], "")
        }
        3 => {
            let _ = ask(store, request).await;
            answer(504, &[] as &[(&str, &str)], "the answer is lost")
        }
        4 => {
            let response = ask(store, request).await;
            match response.status() {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => halved(response).await,
                _ => response,
            }
        }
        _ => ask(store, request).await,
    }
}
