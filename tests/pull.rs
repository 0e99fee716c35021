//! Pull, the category that every registry has: the ping, manifests and blobs.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use common::{Answer, ask, get, head, name, noise, tag};
use tower_oci::{
    Algorithm, Image, MediaType, MemoryStore, OciRegistryService, Operation, Platform, ReadOnly,
    testing::{ImageBuilder, IndexBuilder},
};

type Registry = OciRegistryService<ReadOnly<MemoryStore>>;

/// A registry with `library/demo:latest`, whose one layer is `layer`, and that image.
fn registry_with(layer: impl Into<bytes::Bytes>) -> (Registry, Image) {
    let image = ImageBuilder::new()
        .layer(MediaType::OCI_LAYER, layer)
        .build()
        .unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("library/demo"), Some(&tag("latest")), &image);
    (OciRegistryService::new(store), image)
}

fn layer_uri(image: &Image) -> String {
    format!("/v2/library/demo/blobs/{}", image.layers()[0].digest)
}

fn quoted(digest: impl std::fmt::Display) -> String {
    format!("\"{digest}\"")
}

mod ping {
    use super::*;

    // protocol 5, 62
    #[tokio::test]
    async fn the_root_answers_with_and_without_its_slash_to_get_and_head() {
        let (registry, _) = registry_with("");
        for uri in ["/v2/", "/v2"] {
            let answer = get(&registry, uri).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(&answer.body[..], b"{}");
            let answer = head(&registry, uri).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("content-length")),
                (200, "2")
            );
        }
    }

    // protocol 65
    #[tokio::test]
    async fn the_root_never_announces_openshifts_signatures() {
        let (registry, _) = registry_with("");
        let answer = get(&registry, "/v2/").await;
        assert_eq!(answer.header("x-registry-supports-signatures"), "");
    }

    // protocol 13
    #[tokio::test]
    async fn paths_that_are_none_of_the_protocol_are_404_in_the_envelope() {
        let (registry, _) = registry_with("");
        for path in [
            "/",
            "/v1/",
            "/v2x",
            "/v2/_oci/ext/discover",
            "/v2/library/demo",
            "/v2/library/demo/",
            "/v2/library/demo/manifests/",
            "/v2/library/demo/blobs/",
            "/v2/library/demo/referrers/",
            "/v2/library/demo/tags",
            "/v2/library/demo/tags/list/",
            "/v2/library/demo/tags/other",
            "/v2/uploads/x",
            "/v2/manifests/latest",
            "/v2/_catalog/",
        ] {
            let answer = get(&registry, path).await;
            answer.assert_error(404, "UNSUPPORTED");
            assert_eq!(answer.extensions.get(), Some(&Operation::Invalid), "{path}");
        }
    }

    // protocol 6
    #[tokio::test]
    async fn a_method_that_a_path_does_not_have_is_405_and_says_which_there_are() {
        let (registry, image) = registry_with("layer");
        let blob = layer_uri(&image);
        for (method, path, allowed) in [
            ("POST", "/v2/", "GET, HEAD"),
            ("DELETE", "/v2/_catalog", "GET, HEAD"),
            ("PUT", "/v2/library/demo/tags/list", "GET, HEAD"),
            ("PATCH", "/v2/library/demo/manifests/latest", "GET, HEAD"),
            ("PUT", &blob, "GET, HEAD"),
            ("GET", "/v2/library/demo/blobs/uploads/", ""),
            ("POST", "/v2/library/demo/blobs/uploads/1", ""),
        ] {
            let answer = ask(&registry, method, path, &[]).await;
            answer.assert_error(405, "UNSUPPORTED");
            assert_eq!(answer.header("allow"), allowed, "{method} {path}");
            assert!(answer.headers.contains_key("allow"));
        }
    }

    #[tokio::test]
    async fn a_write_is_405_and_says_what_a_read_only_registry_allows() {
        let (registry, image) = registry_with("layer");
        let digest = image.layers()[0].digest;
        let blob = layer_uri(&image);
        let finish = format!("/v2/library/demo/blobs/uploads/1?digest={digest}");
        for (method, path, allowed) in [
            ("PUT", "/v2/library/demo/manifests/latest", "GET, HEAD"),
            ("DELETE", "/v2/library/demo/manifests/latest", "GET, HEAD"),
            ("DELETE", &blob, "GET, HEAD"),
            ("POST", "/v2/library/demo/blobs/uploads/", ""),
            ("POST", "/v2/library/demo/blobs/uploads", ""),
            ("PATCH", "/v2/library/demo/blobs/uploads/1", ""),
            ("PUT", &finish, ""),
            ("GET", "/v2/library/demo/blobs/uploads/1", ""),
            ("DELETE", "/v2/library/demo/blobs/uploads/1", ""),
        ] {
            let answer = ask(&registry, method, path, &[]).await;
            answer.assert_error(405, "UNSUPPORTED");
            assert_eq!(answer.header("allow"), allowed, "{method} {path}");
            assert!(answer.headers.contains_key("allow"));
        }
    }
}

mod names {
    use super::*;

    // protocol 2
    #[tokio::test]
    async fn a_malformed_name_is_400_and_is_not_percent_decoded() {
        let (registry, _) = registry_with("");
        let long = "a".repeat(256);
        for repository in [
            "Library/demo",
            "a//b",
            "a..b",
            "-a",
            "a%2Fb",
            "a_-b",
            "a___b",
            &long,
        ] {
            let answer = get(&registry, &format!("/v2/{repository}/tags/list")).await;
            answer.assert_error(400, "NAME_INVALID");
        }
    }

    // protocol 3
    #[tokio::test]
    async fn a_malformed_tag_cannot_exist() {
        let (registry, _) = registry_with("");
        let long = "a".repeat(129);
        for tag in ["-latest", ".latest", "a+b", "a%20b", &long] {
            let answer = get(&registry, &format!("/v2/library/demo/manifests/{tag}")).await;
            answer.assert_error(404, "MANIFEST_UNKNOWN");
        }
    }

    #[tokio::test]
    async fn a_malformed_tag_cannot_be_pushed() {
        let (registry, _) = registry_with("");
        let digest = Algorithm::Sha256.digest(b"{}");
        for path in ["-latest".to_owned(), format!("{digest}?tag=latest&tag=-b")] {
            let uri = format!("/v2/library/demo/manifests/{path}");
            let answer = ask(&registry, "PUT", &uri, &[]).await;
            answer.assert_error(400, "MANIFEST_INVALID");
        }
    }

    // protocol 4, 17, 44, section 3 item 8
    #[tokio::test]
    async fn a_malformed_or_unsupported_digest_is_400() {
        let (registry, _) = registry_with("");
        for digest in [
            "sha256:baddigeststring",
            "sha256:",
            ":abc",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ] {
            for kind in ["manifests", "blobs", "referrers"] {
                let answer = get(&registry, &format!("/v2/library/demo/{kind}/{digest}")).await;
                answer.assert_error(400, "DIGEST_INVALID");
            }
        }
        let answer = get(&registry, "/v2/library/demo/blobs/blake3:af13").await;
        let message = answer.json()["errors"][0]["message"].to_string();
        assert!(
            message.contains("blake3") && message.contains("not supported"),
            "{message}"
        );
    }

    // protocol 82
    #[tokio::test]
    async fn digests_and_tags_are_found_percent_encoded() {
        let (registry, image) = registry_with("layer");
        let manifest = image.digest().to_string().replace(':', "%3A");
        let blob = layer_uri(&image).replace(':', "%3a");
        for uri in [
            format!("/v2/library/demo/manifests/{manifest}"),
            "/v2/library/demo/manifests/%6Catest".to_owned(),
            blob,
        ] {
            assert_eq!(get(&registry, &uri).await.status, 200, "{uri}");
        }
    }

    // protocol 12
    #[tokio::test]
    async fn unknown_query_parameters_are_ignored() {
        let (registry, image) = registry_with("layer");
        let blob = layer_uri(&image);
        for uri in [
            "/v2/?x".to_owned(),
            "/v2/library/demo/manifests/latest?ns=docker.io&n=-1&last=%ff".to_owned(),
            format!("{blob}?ns=docker.io&&=&digest=none"),
        ] {
            assert_eq!(get(&registry, &uri).await.status, 200, "{uri}");
        }
    }
}

mod manifests {
    use super::*;

    // protocol 14 to 16, 67; pitfalls: digest changed by re-serializing
    #[tokio::test]
    async fn a_manifest_comes_in_its_exact_bytes_with_type_length_and_digest() {
        let (registry, image) = registry_with("layer");
        for reference in ["latest".to_owned(), image.digest().to_string()] {
            let uri = format!("/v2/library/demo/manifests/{reference}");
            let answer = get(&registry, &uri).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, image.manifest().bytes());
            let digest = image.digest().to_string();
            let size = image.manifest().size().to_string();
            for answer in [answer, head(&registry, &uri).await] {
                assert_eq!(answer.status, 200);
                assert_eq!(
                    answer.header("content-type"),
                    "application/vnd.oci.image.manifest.v1+json"
                );
                assert_eq!(answer.header("docker-content-digest"), digest);
                assert_eq!(answer.header("etag"), quoted(&digest));
                assert_eq!(answer.header("content-length"), size);
                assert_eq!(answer.header("accept-ranges"), "bytes");
            }
        }
    }

    #[tokio::test]
    async fn what_a_digest_names_may_be_kept_for_good_and_what_a_tag_names_may_not() {
        let (registry, image) = registry_with("layer");
        let by_digest = format!("/v2/library/demo/manifests/{}", image.digest());
        let immutable = "private, max-age=31536000, immutable";
        for (uri, expected) in [
            (by_digest, immutable),
            (layer_uri(&image), immutable),
            ("/v2/library/demo/manifests/latest".to_owned(), "no-cache"),
            ("/v2/library/demo/tags/list".to_owned(), "no-store"),
        ] {
            for answer in [get(&registry, &uri).await, head(&registry, &uri).await] {
                assert_eq!(answer.header("cache-control"), expected, "{uri}");
            }
        }
    }

    // protocol 15
    #[tokio::test]
    async fn a_stored_media_type_is_served_without_parameters() {
        let media_type: MediaType = "application/vnd.oci.image.index.v1+json; charset=utf-8"
            .parse()
            .unwrap();
        assert_eq!(
            media_type.as_str(),
            "application/vnd.oci.image.index.v1+json"
        );
    }

    // protocol 16, section 3 item 3; pitfalls: sha512 answered with sha256
    #[tokio::test]
    async fn sha512_content_is_answered_with_its_sha512_digest() {
        let image = ImageBuilder::new()
            .algorithm(Algorithm::Sha512)
            .layer(MediaType::OCI_LAYER, "")
            .build()
            .unwrap();
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        let registry = OciRegistryService::new(store);
        let empty = Algorithm::Sha512.digest(b"");
        for (uri, digest) in [
            ("/v2/demo/manifests/latest".to_owned(), *image.digest()),
            (
                format!("/v2/demo/manifests/{}", image.digest()),
                *image.digest(),
            ),
            (format!("/v2/demo/blobs/{empty}"), empty),
        ] {
            for answer in [get(&registry, &uri).await, head(&registry, &uri).await] {
                assert_eq!(answer.status, 200, "{uri}");
                assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            }
        }
        let by_sha256 = Algorithm::Sha256.digest(image.manifest().bytes());
        let answer = get(&registry, &format!("/v2/demo/manifests/{by_sha256}")).await;
        answer.assert_error(404, "MANIFEST_UNKNOWN");
    }

    // protocol 74, 75
    #[tokio::test]
    async fn the_accept_header_is_ignored() {
        let (registry, _) = registry_with("");
        for accept in [
            "text/html",
            "application/vnd.docker.distribution.manifest.v1+json",
            "*/*;q=0",
        ] {
            let headers = [("accept", accept)];
            let answer = ask(
                &registry,
                "GET",
                "/v2/library/demo/manifests/latest",
                &headers,
            )
            .await;
            assert_eq!(answer.status, 200);
            assert_eq!(
                answer.header("content-type"),
                "application/vnd.oci.image.manifest.v1+json"
            );
        }
    }

    // protocol 72
    #[tokio::test]
    async fn nothing_is_compressed_whatever_the_client_accepts() {
        let (registry, image) = registry_with("layer");
        for uri in [
            layer_uri(&image),
            "/v2/library/demo/manifests/latest".to_owned(),
        ] {
            let headers = [("accept-encoding", "zstd, gzip, deflate")];
            let answer = ask(&registry, "GET", &uri, &headers).await;
            assert_eq!(answer.header("content-encoding"), "");
        }
    }

    // protocol 14, 71, 99
    #[tokio::test]
    async fn what_does_not_exist_is_404_with_the_code_of_what_is_missing() {
        let (registry, _) = registry_with("");
        let nothing = Algorithm::Sha256.digest(b"nothing");
        for (path, code) in [
            (
                "library/demo/manifests/other".to_owned(),
                "MANIFEST_UNKNOWN",
            ),
            (
                format!("library/demo/manifests/{nothing}"),
                "MANIFEST_UNKNOWN",
            ),
            (format!("library/demo/blobs/{nothing}"), "BLOB_UNKNOWN"),
            ("unknown/manifests/latest".to_owned(), "NAME_UNKNOWN"),
            (format!("unknown/blobs/{nothing}"), "NAME_UNKNOWN"),
        ] {
            let uri = format!("/v2/{path}");
            get(&registry, &uri).await.assert_error(404, code);
            let answer = head(&registry, &uri).await;
            assert_eq!(answer.status, 404);
            assert_ne!(answer.header("content-length"), "0");
        }
    }

    // protocol 70; pitfalls: any repository can read any blob
    #[tokio::test]
    async fn manifests_are_not_blobs_and_blobs_are_not_manifests() {
        let (registry, image) = registry_with("layer");
        let manifest = format!("/v2/library/demo/blobs/{}", image.digest());
        get(&registry, &manifest)
            .await
            .assert_error(404, "BLOB_UNKNOWN");
        let blob = layer_uri(&image).replace("/blobs/", "/manifests/");
        get(&registry, &blob)
            .await
            .assert_error(404, "MANIFEST_UNKNOWN");
    }

    // protocol 76, 77
    #[tokio::test]
    async fn an_index_serves_its_images_and_its_plain_blobs() {
        let image = ImageBuilder::new().file("a", "a").build().unwrap();
        let inner = IndexBuilder::new().image(&image).build().unwrap();
        let index = IndexBuilder::new()
            .image_for(&image, Platform::new("linux", "amd64"))
            .image_for(&inner, Platform::new("unknown", "unknown"))
            .blob(
                "application/vnd.buildkit.cacheconfig.v0".parse().unwrap(),
                "{}",
            )
            .build()
            .unwrap();
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("cache")), &index);
        let registry = OciRegistryService::new(store);

        for manifest in [&index, &inner, &image] {
            let uri = format!("/v2/demo/manifests/{}", manifest.digest());
            let answer = get(&registry, &uri).await;
            assert_eq!(answer.body, manifest.manifest().bytes());
        }
        let cache = index.entries()[2].digest;
        let answer = get(&registry, &format!("/v2/demo/blobs/{cache}")).await;
        assert_eq!(&answer.body[..], b"{}");
    }
}

mod conditional {
    use super::*;

    async fn with(registry: &Registry, method: &str, uri: &str, condition: (&str, &str)) -> Answer {
        ask(registry, method, uri, &[condition]).await
    }

    /// The manifest by tag and by digest, and the layer: each with its digest.
    fn entities(image: &Image) -> [(String, String); 3] {
        let digest = image.digest();
        [
            (
                "/v2/library/demo/manifests/latest".to_owned(),
                digest.to_string(),
            ),
            (
                format!("/v2/library/demo/manifests/{digest}"),
                digest.to_string(),
            ),
            (layer_uri(image), image.layers()[0].digest.to_string()),
        ]
    }

    // protocol 91, RFC 9110 §13.1.2
    #[tokio::test]
    async fn if_none_match_with_the_digest_is_304_in_every_form_of_it() {
        let (registry, image) = registry_with("layer");
        for (uri, digest) in entities(&image) {
            for known in [
                format!("\"{digest}\""),
                format!("W/\"{digest}\""),
                format!("\"other\", \"{digest}\""),
                digest.clone(),
                "*".to_owned(),
            ] {
                for method in ["GET", "HEAD"] {
                    let answer = with(&registry, method, &uri, ("if-none-match", &known)).await;
                    assert_eq!(answer.status, 304, "{method} {uri} {known}");
                    assert_eq!(answer.header("etag"), quoted(&digest));
                    assert_ne!(answer.header("cache-control"), "");
                }
            }
            for other in ["\"other\"", "", "\"", "W/", "\"*\""] {
                let answer = with(&registry, "GET", &uri, ("if-none-match", other)).await;
                assert_eq!(answer.status, 200, "{uri} {other}");
            }
        }
    }

    // RFC 9110 §13.1.1
    #[tokio::test]
    async fn if_match_without_the_digest_is_412() {
        let (registry, image) = registry_with("layer");
        for (uri, digest) in entities(&image) {
            for meant in [
                format!("\"other\", \"{digest}\""),
                digest.clone(),
                "*".to_owned(),
            ] {
                let answer = with(&registry, "GET", &uri, ("if-match", &meant)).await;
                assert_eq!(answer.status, 200, "{uri} {meant}");
            }
            for meant in ["\"other\"".to_owned(), format!("W/\"{digest}\"")] {
                let answer = with(&registry, "GET", &uri, ("if-match", &meant)).await;
                answer.assert_error(412, "DENIED");
                let answer = with(&registry, "HEAD", &uri, ("if-match", &meant)).await;
                assert_eq!(answer.status, 412);
            }
        }
    }

    // RFC 9110 §13.2.2
    #[tokio::test]
    async fn if_match_is_judged_before_if_none_match() {
        let (registry, image) = registry_with("layer");
        for (uri, digest) in entities(&image) {
            let digest = quoted(&digest);
            let headers = [
                ("if-match", "\"other\""),
                ("if-none-match", digest.as_str()),
            ];
            let answer = ask(&registry, "GET", &uri, &headers).await;
            answer.assert_error(412, "DENIED");
        }
    }

    // pitfalls: 304 for content that does not exist
    #[tokio::test]
    async fn existence_is_decided_before_conditions() {
        let (registry, _) = registry_with("layer");
        let nothing = Algorithm::Sha256.digest(b"nothing");
        for condition in ["if-none-match", "if-match"] {
            for value in ["*".to_owned(), quoted(nothing), "\"other\"".to_owned()] {
                for kind in ["blobs", "manifests"] {
                    let uri = format!("/v2/library/demo/{kind}/{nothing}");
                    let answer = with(&registry, "GET", &uri, (condition, &value)).await;
                    assert_eq!(answer.status, 404, "{uri} {condition}: {value}");
                }
            }
        }
    }

    // RFC 9110 §13.1.3
    #[tokio::test]
    async fn conditions_on_dates_are_ignored() {
        let (registry, image) = registry_with("layer");
        for condition in ["if-modified-since", "if-unmodified-since"] {
            let date = "Sun, 06 Nov 1994 08:49:37 GMT";
            let answer = with(&registry, "GET", &layer_uri(&image), (condition, date)).await;
            assert_eq!(answer.status, 200);
        }
    }

    // RFC 9110 §13.1.5
    #[tokio::test]
    async fn if_range_lets_a_range_count_only_for_the_same_content() {
        let (registry, image) = registry_with("layer");
        let digest = image.layers()[0].digest;
        for (validator, status) in [
            (quoted(digest), 206),
            (digest.to_string(), 206),
            (format!("W/{}", quoted(digest)), 200),
            (quoted("other"), 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
            ("*".to_owned(), 200),
        ] {
            let headers = [("range", "bytes=1-2"), ("if-range", validator.as_str())];
            let answer = ask(&registry, "GET", &layer_uri(&image), &headers).await;
            assert_eq!(answer.status, status, "{validator}");
        }
    }
}

mod ranges {
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
                "bytes=",
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
        for asked in ["lines=1-2", "bytes", "bytes 1-2", "", "0-1"] {
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
}
