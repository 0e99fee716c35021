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
