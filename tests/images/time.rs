use super::*;

#[tokio::test]
async fn nobody_waits_for_a_blob_that_is_slow_to_open_or_to_read() {
    let layers = ["never read", "never opened"].map(|content| descriptor(&sha256(content), 12));
    let document = image_document(&layers).to_string();
    let document = Manifest::parse(document).unwrap();
    // The manifest has its answer, and the blob that is asked for first; no byte of that comes.
    let gate = Arc::new(Semaphore::new(2));
    let (source, _hand) = held(12);
    let source = source
        .on_manifest(move |_| Ok(document.clone().into()))
        .behind(&gate);
    let slow = load(source, "latest").await.unwrap();
    let quick = ImageBuilder::new().file("a", "b").build().unwrap();
    let store = MemoryStore::new();
    let (repository, a_tag): (RepositoryName, Tag) = (name("demo"), tag("slow"));
    store.add_image(&repository, Some(&a_tag), &slow);
    let service = OciRegistryService::new(store.clone());

    let reading = format!("/v2/demo/blobs/{}", slow.layers()[0].digest);
    let request = http::Request::get(reading)
        .body(axum::body::Body::empty())
        .unwrap();
    let reading = tower::ServiceExt::oneshot(service.clone(), request)
        .await
        .unwrap();
    let mut reading = reading.into_body();
    assert!(reading.frame().now_or_never().is_none());
    let uri = format!("/v2/demo/blobs/{}", slow.layers()[1].digest);
    let opening = get(&service, &uri);
    let mut opening = Box::pin(opening);
    assert!(opening.as_mut().now_or_never().is_none());

    // A writer and readers go on while both are held up.
    let (sender, receiver) = mpsc::channel();
    let added = quick.clone();
    std::thread::spawn(move || {
        store.add_image(&repository, Some(&tag("quick")), &added);
        let _ = sender.send(());
    });
    receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    let answer = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(answer.json()["tags"], json!(["quick", "slow"]));
    let uri = format!("/v2/demo/blobs/{}", quick.layers()[0].digest);
    assert_eq!(get(&service, &uri).await.status, 200);
    assert!(opening.as_mut().now_or_never().is_none());
    assert!(reading.frame().now_or_never().is_none());
}
