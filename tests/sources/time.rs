use super::*;

#[tokio::test]
async fn parts_are_opened_one_after_another_and_only_when_their_turn_comes() {
    let source = holding(b"0123456789").pending(2);
    let service = OciRegistryService::new(source.clone());
    let response = raw(&service, &blob_uri(b"0123456789"), "bytes=0-1,5-6,8-9").await;
    assert_eq!(
        source.calls(),
        ["stat_blob demo"],
        "no part is opened before the body is read"
    );
    let mut body = response.into_body();
    let mut opened = 0;
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        let calls = source.calls().len();
        assert!(calls <= 1);
        opened += calls;
        let piece = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        let heads = text.matches("Content-Range").count();
        assert!(
            opened <= heads,
            "a part was opened before the one before it was sent"
        );
    }
    assert_eq!(opened, 3);
    assert!(text.contains("bytes 5-6/10\r\n\r\n56\r\n--"), "{text}");
}

#[tokio::test]
async fn a_response_can_be_dropped_at_every_point_and_the_next_one_is_whole() {
    let source = holding(b"0123456789").pending(3);
    let service = OciRegistryService::new(source);
    let blob = blob_uri(b"0123456789");
    for (uri, range) in [
        (blob.as_str(), None),
        (&blob, Some("bytes=1-3")),
        (&blob, Some("bytes=0-1,5-6")),
        ("/v2/demo/manifests/a", None),
    ] {
        let request = || {
            let mut request = Request::get(uri);
            if let Some(range) = range {
                request = request.header("range", range);
            }
            request.body(Body::empty()).unwrap()
        };
        let mut polls = 0;
        loop {
            let whole = {
                let whole = async {
                    let response = service.clone().oneshot(request()).await.unwrap();
                    assert!(response.status().is_success());
                    response.into_body().collect().await.unwrap().to_bytes()
                };
                polled(whole, polls).await
            };
            if let Some(whole) = whole {
                assert!(!whole.is_empty());
                break;
            }
            polls += 1;
        }
        assert!(polls >= 3, "{uri} was never pending");
    }
}

/// Polls `future` so often, and drops it if it has not ended by then.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    for _ in 0..=polls {
        let poll = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
