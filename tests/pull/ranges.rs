use super::*;

async fn range(registry: &Registry, uri: &str, range: &str) -> Answer {
    ask(registry, "GET", uri, &[("range", range)]).await
}

// protocol 18, 90, section 3 item 6; pitfalls: suffix and open ranges answered with 416
#[tokio::test]
async fn one_range_is_206_with_exactly_those_bytes() {
    let layer = noise(2048);
    let (registry, image) = registry_with(layer.clone());
    for (asked, first, last) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 2047),
        ("bytes=-5000", 0, 2047),
        ("Bytes= 1-2 ", 1, 2),
        ("bytes=2047-99999999999999999999", 2047, 2047),
        ("bytes=1-2, 5000-", 1, 2),
        ("bytes=,1-2,,", 1, 2),
    ] {
        let answer = range(&registry, &layer_uri(&image), asked).await;
        assert_eq!(answer.status, 206, "{asked}");
        assert_eq!(answer.body, layer[first..=last], "{asked}");
        let content_range = format!("bytes {first}-{last}/2048");
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("etag"), quoted(image.layers()[0].digest));
    }
}

// section 3 item 6
#[tokio::test]
async fn a_range_without_a_byte_or_without_sense_is_416_with_the_length() {
    let (registry, image) = registry_with(noise(2048));
    let manifest_uri = "/v2/library/demo/manifests/latest";
    let manifest_size = image.manifest().size();
    for (uri, size) in [
        (layer_uri(&image), 2048),
        (manifest_uri.to_owned(), manifest_size),
    ] {
        for asked in [
            "bytes=500-0",
            "bytes=5000-10000",
            "bytes=5000-",
            "bytes=-0",
            "bytes=a-b",
            "bytes=1",
            "bytes=-",
            "bytes=+1-2",
            "bytes=1-2,x",
            "bytes=99999999999999999999-",
            "bytes=9000-,8000-",
        ] {
            let answer = range(&registry, &uri, asked).await;
            answer.assert_error(416, "SIZE_INVALID");
            assert_eq!(
                answer.header("content-range"),
                format!("bytes */{size}"),
                "{asked}"
            );
        }
    }
}

// RFC 9110 §14.2
#[tokio::test]
async fn a_range_that_is_not_understood_is_ignored() {
    let (registry, image) = registry_with(noise(64));
    for asked in [
        "lines=1-2",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes 1-2",
        "",
        "0-1",
    ] {
        let answer = range(&registry, &layer_uri(&image), asked).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (200, 64),
            "{asked}"
        );
    }
    let headers = [("range", "bytes=1-2"), ("range", "bytes=3-4")];
    let answer = ask(&registry, "GET", &layer_uri(&image), &headers).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_range_on_head_is_ignored() {
    let (registry, image) = registry_with(noise(64));
    for asked in ["bytes=1-2", "bytes=99-", "bytes=x"] {
        let answer = ask(&registry, "HEAD", &layer_uri(&image), &[("range", asked)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-length")),
            (200, "64")
        );
    }
}

// section 3 item 11
#[tokio::test]
async fn an_empty_blob_has_a_length_of_0_and_ignores_ranges() {
    let (registry, image) = registry_with("");
    for headers in [
        &[][..],
        &[("range", "bytes=0-")],
        &[("range", "bytes=-1")],
        &[("range", "bytes=x")],
        &[("range", "bytes=0-0,1-1")],
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&registry, method, &layer_uri(&image), headers).await;
            assert_eq!(answer.status, 200, "{headers:?}");
            assert_eq!(answer.header("content-length"), "0");
        }
    }
}

// protocol 91, RFC 9110 §14.6
#[tokio::test]
async fn several_ranges_are_one_multipart_body() {
    let layer = noise(2048);
    let (registry, image) = registry_with(layer.clone());
    let answer = range(&registry, &layer_uri(&image), "bytes=0-9, 1000-1001, -5").await;
    assert_eq!(answer.status, 206);
    assert_eq!(answer.header("content-range"), "");
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert!(boundary.len() <= 70); // RFC 2046 §5.1.1
    let mut expected = Vec::new();
    for (first, last) in [(0, 9), (1000, 1001), (2043, 2047)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {first}-{last}/2048\r\n\r\n"
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&layer[first..=last]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn ranges_of_a_manifest_are_served_too() {
    let (registry, image) = registry_with("layer");
    let bytes = image.manifest().bytes();
    let uri = "/v2/library/demo/manifests/latest";
    let answer = range(&registry, uri, "bytes=10-19").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body),
        (206, &bytes.slice(10..20))
    );
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.oci.image.manifest.v1+json"
    );
    let answer = range(&registry, uri, "bytes=0-0,-1").await;
    assert_eq!(answer.status, 206);
    assert!(
        answer
            .header("content-type")
            .starts_with("multipart/byteranges")
    );
}

// RFC 9110 §14.2
#[tokio::test]
async fn too_many_ranges_or_more_bytes_than_there_are_get_the_whole() {
    let (registry, image) = registry_with(noise(64));
    let many = (0..17).map(|at| format!("{at}-{at}")).collect::<Vec<_>>();
    for asked in [
        format!("bytes={}", many.join(",")),
        "bytes=0-40,10-60".to_owned(),
    ] {
        let answer = range(&registry, &layer_uri(&image), &asked).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (200, 64),
            "{asked}"
        );
    }
    let sixteen = format!("bytes={}", many[..16].join(","));
    let answer = range(&registry, &layer_uri(&image), &sixteen).await;
    assert_eq!(answer.status, 206);
}
