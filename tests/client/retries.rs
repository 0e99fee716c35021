//! What is tried again, how soon, and until when.

use super::*;

/// A client of a registry that answers `statuses` one after another, and then with an empty list.
fn client_of_statuses(
    statuses: &[(u16, Option<&'static str>)],
) -> (RegistryClient, Arc<Mutex<Vec<Duration>>>) {
    let answers = Arc::new(Mutex::new(statuses.to_vec()));
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let told = pauses.clone();
    let client = client_of(move |_| {
        let mut answers = answers.lock().unwrap();
        let next = (!answers.is_empty()).then(|| answers.remove(0));
        std::future::ready(match next {
            Some((status, after)) => {
                let after: Vec<_> = after
                    .map(|after| ("retry-after", after))
                    .into_iter()
                    .collect();
                answer(status, &after, "")
            }
            None => answer(200, &[("content-length", "11")], r#"{"tags":[]}"#),
        })
    });
    let client = client.on_retry(move |event| told.lock().unwrap().push(event.pause));
    (client.build(), pauses)
}

#[tokio::test(start_paused = true)]
async fn what_is_temporary_is_tried_again_and_nothing_else() {
    for status in [408, 425, 429, 499, 500, 502, 503, 504, 599] {
        let (client, pauses) = client_of_statuses(&[(status, None)]);
        client.all_tags(&name("demo")).await.unwrap();
        assert_eq!(pauses.lock().unwrap().len(), 1, "{status}");
    }
    for status in [400, 403, 404, 405, 410, 501, 505, 511] {
        let (client, pauses) = client_of_statuses(&[(status, None)]);
        let error = client.all_tags(&name("demo")).await.unwrap_err();
        assert_eq!(error.status().unwrap(), status);
        assert!(pauses.lock().unwrap().is_empty(), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_double_and_end() {
    let (client, pauses) = client_of_statuses(&[(503, None); 20]);
    let error = client.all_tags(&name("demo")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    let pauses = pauses.lock().unwrap().clone();
    assert_eq!(pauses.len(), 5);
    for (number, pause) in pauses.iter().enumerate() {
        // Each has up to as much again of chance in it.
        let least = Duration::from_millis(200 << number);
        assert!((least..=2 * least).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_in_both_forms_and_has_an_end() {
    let (client, pauses) = client_of_statuses(&[(429, Some("17"))]);
    client.all_tags(&name("demo")).await.unwrap();
    assert_eq!(*pauses.lock().unwrap(), [Duration::from_secs(17)]);

    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(90));
    let (client, pauses) = client_of_statuses(&[(503, Some(date.leak()))]);
    client.all_tags(&name("demo")).await.unwrap();
    let pause = pauses.lock().unwrap()[0];
    assert!((85..=90).contains(&pause.as_secs()), "{pause:?}");

    let (client, pauses) = client_of_statuses(&[(503, Some("86400"))]);
    client.all_tags(&name("demo")).await.unwrap_err();
    assert!(pauses.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_beyond_the_deadline() {
    let start = tokio::time::Instant::now();
    let deadline = (start + Duration::from_secs(10)).into_std();
    let (client, _) = client_of_statuses(&[(503, Some("60")); 5]);
    let error = client
        .until(deadline)
        .all_tags(&name("demo"))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(start.elapsed(), Duration::ZERO);

    let silent = client_of(|_| std::future::pending()).build();
    let error = silent
        .until(deadline)
        .all_tags(&name("demo"))
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Deadline), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_download_that_stands_still_goes_on_over_another_connection() {
    let (store, image) = (MemoryStore::new(), index());
    store.add_image(&name("demo"), None, &image);
    let layer = image.children()[0].layers()[0].clone();
    let first = Arc::new(Mutex::new(true));
    let client = client_of(move |request: Request<DynBody>| {
        let (store, first) = (store.clone(), first.clone());
        async move {
            let response = ask(&store, request).await;
            if !std::mem::take(&mut *first.lock().unwrap()) {
                assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
                return response;
            }
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let first = futures_util::stream::iter([Ok::<_, BoxError>(http_body::Frame::data(
                bytes.slice(..1_000),
            ))]);
            let stalled = futures_util::StreamExt::chain(first, futures_util::stream::pending());
            Response::from_parts(parts, DynBody::new(StreamBody::new(stalled)))
        }
    });
    let download = client
        .build()
        .blob(&name("demo"), &layer.digest)
        .await
        .unwrap();
    let bytes = download.body.collect().await.unwrap().to_bytes();
    assert!(layer.digest.verifies(&bytes));
}
