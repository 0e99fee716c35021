use super::*;

fn parse(method: &Method, path_and_query: &str) -> OciRequest {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    OciRequest::parse(method, path, query).unwrap()
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn what_a_request_writes_is_parsed_as_the_same_request(request in request()) {
        let (method, written) = (request.method(), request.path_and_query());
        prop_assert_eq!(&parse(&method, &written), &request);

        let uri: Uri = format!("/r/v2{written}").parse().unwrap();
        let whole = Request::builder().method(&method).uri(uri).body(()).unwrap();
        let mount = Mount::nested_at("/r/v2").unwrap();
        prop_assert_eq!(&mount.parse(&whole).unwrap(), &request);

        // protocol 12: unknown parameters change nothing, wherever they stand.
        let (path, query) = written.split_once('?').unwrap_or((&written, ""));
        for query in [format!("ns=docker.io&x=%zz&=&{query}"), format!("{query}&&ns&nn=1&N=%")] {
            prop_assert_eq!(&OciRequest::parse(&method, path, &query).unwrap(), &request);
        }
        // protocol 82: clients encode the colon of a digest, and some encode more.
        let encoded = path.replace(':', "%3a");
        prop_assert_eq!(&OciRequest::parse(&method, &encoded, query).unwrap(), &request);
    }

    #[test]
    fn a_request_says_which_repository_it_needs_access_to(request in request()) {
        let scope = request.required_access().map(|access| access.to_string());
        let expected = match (&request, request.repository()) {
            (OciRequest::ListRepositories { .. }, _) => Some("registry:catalog:*".to_owned()),
            (_, None) => None,
            (_, Some(repository)) => {
                let operation = request.operation().as_str();
                let actions = match operation {
                    "delete_manifest" | "delete_blob" => "delete",
                    _ if operation.starts_with("get_") || operation.starts_with("head_")
                        || operation.starts_with("list_") => "pull",
                    _ => "pull,push",
                };
                Some(format!("repository:{repository}:{actions}"))
            }
        };
        prop_assert_eq!(scope, expected);
    }
}
