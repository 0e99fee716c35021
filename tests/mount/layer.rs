use super::*;

fn parse(mount: &Mount, method: Method, uri: &str) -> Result<OciRequest, InvalidRequest> {
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    mount.parse(&request)
}

#[test]
fn a_layer_outside_of_the_router_parses_the_whole_path_with_the_same_mount() {
    for mount in [
        Mount::nested_at("/registry/v2").unwrap(),
        Mount::served_at("/registry/v2").unwrap(),
    ] {
        let scope = |method: Method, uri: &str| {
            let request = parse(&mount, method, uri).unwrap();
            request.required_access().map(|access| access.to_string())
        };
        for repository in REPOSITORIES {
            let uri = format!("/registry/v2/{repository}/tags/list?n=5");
            let expected = format!("repository:{repository}:pull");
            assert_eq!(scope(Method::GET, &uri), Some(expected));
            let uri = format!("/registry/v2/{repository}/blobs/uploads");
            let expected = format!("repository:{repository}:pull,push");
            assert_eq!(scope(Method::POST, &uri), Some(expected));
        }
        assert_eq!(scope(Method::GET, "/registry/v2"), None);
        assert_eq!(scope(Method::GET, "/registry/v2/"), None);
        let catalog = parse(&mount, Method::GET, "/registry/v2/_catalog").unwrap();
        assert_eq!(catalog.required_access(), Some(Access::Catalog));
        for elsewhere in [
            "/v2/demo/tags/list",
            "/registry/v2x/demo/tags/list",
            "/",
            "/registry",
        ] {
            let error = parse(&mount, Method::GET, elsewhere).unwrap_err();
            assert!(
                matches!(error, InvalidRequest::UnknownPath(_)),
                "{elsewhere}"
            );
        }
    }
    let request = parse(&Mount::default(), Method::GET, "/v2/").unwrap();
    assert_eq!(request, OciRequest::Ping);
}

/// A layer that refuses what it does not understand, and all that is not in `open`.
async fn only_open(
    mount: Mount,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let refused = match mount.parse(&request) {
        Err(invalid) => invalid.into_response(),
        Ok(request) if request.repository().is_some_and(|name| *name != "demo") => {
            ErrorCode::Denied.response(StatusCode::FORBIDDEN, "not in demo")
        }
        Ok(_) => return next.run(request).await,
    };
    refused.map(Body::new)
}

#[tokio::test]
async fn a_layer_lets_nothing_by_wherever_it_stands_and_whatever_it_takes_the_mount_for() {
    let only_open = |mount: Mount| {
        axum::middleware::from_fn(move |request, next| only_open(mount.clone(), request, next))
    };
    let right = Mount::nested_at("/r/v2").unwrap();
    let inside = Router::new().nest_service("/r/v2", only_open(right.clone()).layer(registry()));
    let around = Router::new()
        .nest_service("/r/v2", registry())
        .layer(only_open(right.clone()));
    let mistaken = Router::new()
        .nest_service("/r/v2", registry())
        .layer(only_open(Mount::default()));
    // What trims a slash between the layer and the router makes another request of this one.
    let trimmed = only_open(right).layer(
        NormalizePathLayer::trim_trailing_slash()
            .layer(Router::new().nest_service("/r/v2", registry())),
    );
    for (place, app, open) in [
        ("inside", app(inside), 200),
        ("around", app(around), 200),
        ("mistaken", app(mistaken), 404),
        ("before what trims", app(trimmed), 200),
    ] {
        let answer = get(&app, "/r/v2/demo/tags/list").await;
        assert_eq!(answer.status, open, "{place}");
        for uri in ["/r/v2/v2/foo/tags/list", "/r/v2/v2/foo/tags/list/"] {
            let answer = get(&app, uri).await;
            assert!(
                [403, 404].contains(&answer.status.as_u16()),
                "{place} {uri}"
            );
            assert!(answer.error_codes() != ["NAME_UNKNOWN"], "{place} {uri}");
            if answer.status == 404 {
                assert_eq!(answer.extensions.get(), Some(&Operation::Invalid));
            }
        }
    }
}
