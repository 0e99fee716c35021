use super::*;

#[tokio::test]
async fn links_begin_with_the_prefix_that_a_client_sees_and_can_be_followed() {
    for (mounted, app, prefixes) in mounts() {
        for prefix in prefixes {
            for repository in REPOSITORIES {
                let list = format!("{prefix}/{repository}/tags/list");
                let mut uri = format!("{list}?n=1");
                for (page, a_tag) in TAGS.iter().enumerate() {
                    let answer = get(&app, &uri).await;
                    let context = format!("{mounted}: {uri}: {answer:?}");
                    assert_eq!(answer.status, 200, "{context}");
                    assert_eq!(answer.json()["name"], *repository, "{context}");
                    assert_eq!(
                        answer.json()["tags"],
                        serde_json::json!([a_tag]),
                        "{context}"
                    );
                    assert_eq!(
                        answer.extensions.get(),
                        Some(&Operation::ListTags),
                        "{context}"
                    );
                    match next_page(&answer) {
                        Some(next) => {
                            assert_eq!(next, format!("{list}?n=1&last={a_tag}"), "{context}");
                            uri = next;
                        }
                        None => assert_eq!(page, TAGS.len() - 1, "{context}"),
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn every_mount_serves_content_and_knows_what_is_not_there() {
    for (mounted, app, prefixes) in mounts() {
        for prefix in prefixes {
            for repository in REPOSITORIES {
                let context = format!("{mounted}: {prefix}: {repository}");
                let uri = format!("{prefix}/{repository}/manifests/b");
                let answer = get(&app, &uri).await;
                assert_eq!(answer.status, 200, "{context}");
                let digest = answer.header("docker-content-digest");
                // protocol 82
                let encoded = digest.replace(':', "%3A");
                let uri = format!("{prefix}/{repository}/manifests/{encoded}");
                assert_eq!(head(&app, &uri).await.status, 200, "{context}");
                let uri = format!("{prefix}/{repository}/blobs/{digest}");
                get(&app, &uri).await.assert_error(404, "BLOB_UNKNOWN");
                let uri = format!("{prefix}/{repository}/blobs/uploads/");
                let answer = ask(&app, "POST", &uri, &[]).await;
                answer.assert_error(405, "UNSUPPORTED");
                assert_eq!(answer.extensions.get(), Some(&Operation::StartUpload));
            }
            let unknown = format!("{prefix}/demo/unknown/list");
            get(&app, &unknown).await.assert_error(404, "UNSUPPORTED");
            let upper = format!("{prefix}/Demo/tags/list");
            get(&app, &upper).await.assert_error(400, "NAME_INVALID");
        }
    }
}

#[tokio::test]
async fn the_root_of_the_api_is_found_wherever_the_router_lets_it_through() {
    let s = registry;
    let nested = app(Router::new().nest_service("/v2", s()));
    let with_slash = app(Router::new().nest_service("/v2/", s()));
    let with_fallback = app(Router::new().nest("/v2", Router::new().fallback_service(s())));
    let prefixed = app(Router::new().nest_service("/registry", s()));
    let captured = app(Router::new().nest_service("/{tenant}", s()));
    let normalized = {
        let router = Router::new().nest_service("/v2", s());
        app(NormalizePathLayer::trim_trailing_slash().layer(router))
    };
    // protocol 62: `/v2/` and `/v2`, as far as axum hands them on.
    let pings: &[(&str, &App, &[&str], &[&str])] = &[
        (
            "bare",
            &app(s()),
            &["/v2", "/v2/"],
            &["/", "/v1/", "/v2x", "/v"],
        ),
        ("nest_service", &nested, &["/v2", "/v2/"], &[]),
        ("nest_service with a slash", &with_slash, &["/v2/"], &[]),
        ("nest with a fallback", &with_fallback, &["/v2"], &[]),
        (
            "a prefix",
            &prefixed,
            &["/registry/v2", "/registry/v2/"],
            &["/registry", "/registry/", "/registry/demo/tags/list"],
        ),
        (
            "a capture",
            &captured,
            &["/acme/v2", "/acme/v2/", "/v2/v2", "/v2/v2/"],
            &["/acme", "/acme/", "/v2", "/v2/", "/v2/demo/tags/list"],
        ),
        ("NormalizePath", &normalized, &["/v2", "/v2/"], &[]),
    ];
    for &(mounted, app, found, elsewhere) in pings {
        for uri in found {
            for method in ["GET", "HEAD"] {
                let answer = ask(app, method, uri, &[]).await;
                assert_eq!(answer.status, 200, "{mounted}: {method} {uri}");
                assert_eq!(answer.extensions.get(), Some(&Operation::Ping));
            }
        }
        for uri in elsewhere {
            get(app, uri).await.assert_error(404, "UNSUPPORTED");
        }
    }
}

// protocol 20: NormalizePath trims the slash, and clients must still be able to upload.
#[tokio::test]
async fn an_upload_is_recognised_with_and_without_its_last_slash() {
    let router = Router::new().nest_service("/v2", registry());
    let normalized = app(NormalizePathLayer::trim_trailing_slash().layer(router));
    for app in [normalized, app(registry())] {
        for uri in ["/v2/demo/blobs/uploads/", "/v2/demo/blobs/uploads"] {
            let answer = ask(&app, "POST", uri, &[]).await;
            answer.assert_error(405, "UNSUPPORTED");
            assert_eq!(answer.extensions.get(), Some(&Operation::StartUpload));
            let answer = ask(&app, "GET", uri, &[]).await;
            answer.assert_error(405, "UNSUPPORTED");
            assert_eq!(answer.extensions.get(), Some(&Operation::Invalid));
        }
    }
}

#[tokio::test]
async fn a_path_that_was_rewritten_in_between_answers_500_and_says_nothing_of_it() {
    let rewriting = |to: &'static str| {
        let service = registry().map_request(move |mut request: Request<Body>| {
            *request.uri_mut() = to.parse().unwrap();
            request
        });
        app(Router::new().nest_service("/secret/v2", service))
    };
    for to in [
        "/other/tags/list",
        "/v2/demo/tags/list?n=1",
        "/emo/tags/list",
        "*",
    ] {
        let answer = get(&rewriting(to), "/secret/v2/demo/tags/list?n=1").await;
        answer.assert_error(500, "UNKNOWN");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(
            text.contains("the registry cannot tell where it is mounted"),
            "{text}"
        );
        assert!(!text.contains("secret") && !text.contains(to), "{text}");
        assert_eq!(answer.header("link"), "");
    }
}

#[tokio::test]
async fn no_path_makes_a_link_that_leads_to_another_host() {
    let s = registry;
    let apps = [
        app(s()),
        app(Router::new().fallback_service(s())),
        app(Router::new().nest_service("/{tenant}", s())),
        app(Router::new().nest_service("/{tenant}/v2", s())),
        app(Router::new().nest("/{a}", Router::new().nest_service("/{b}", s()))),
        app(Router::new().nest("/x", Router::new().fallback_service(s()))),
        app(Router::new().route_service("/{*rest}", s())),
        app(Router::new().route_service("/{a}/{*rest}", s())),
        app(s().served_at("/").unwrap()),
        app(s().nested_at("/x").unwrap()),
        app(NormalizePathLayer::trim_trailing_slash()
            .layer(Router::new().nest_service("/{tenant}", s()))),
    ];
    let beginnings = [
        "//evil",
        "///evil",
        "//",
        "/",
        "/..",
        "/.",
        "/%2e%2e",
        "/%2F%2Fevil",
        "/\\evil",
        "/a\"b",
        "/a'b",
        "/a;b",
        "/a//b",
        "//v2",
        "/é",
        "/%0d%0aX:y",
        "/{a}",
        "/a|b",
        "/<evil>",
        "/a@evil",
    ];
    let mut followed = 0;
    for app in &apps {
        for beginning in beginnings {
            for rest in ["/v2/demo/tags/list?n=1", "/demo/tags/list?n=1"] {
                let Ok(request) = Request::get(format!("{beginning}{rest}")).body(Body::empty())
                else {
                    continue; // not even a URI
                };
                let path = request.uri().path().to_owned();
                let response = app.clone().oneshot(request).await.unwrap();
                let status = response.status();
                assert!(
                    status == 200 || status.is_client_error(),
                    "{path}: {status}"
                );
                let Some(link) = response.headers().get(header::LINK) else {
                    continue;
                };
                let link = link.to_str().unwrap();
                let target = link.trim_start_matches('<').split('>').next().unwrap();
                assert!(
                    target.starts_with('/') && !target.starts_with("//"),
                    "{link}"
                );
                let answer = get(app, target).await;
                assert_eq!(answer.status, 200, "{path} links to {target}");
                assert_eq!(answer.json()["tags"], serde_json::json!(["b"]));
                followed += 1;
            }
        }
    }
    assert!(followed > 20, "only {followed} links were followed");
}
