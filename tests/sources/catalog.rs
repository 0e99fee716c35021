use tower_oci::Visibility;

use super::*;

// protocol 64
#[tokio::test]
async fn few_visible_repositories_among_many_cost_one_call_for_each_10_000() {
    let names: Vec<_> = (0..25_000).map(|n| name(&format!("r{n:05}"))).collect();
    let source = Scripted::new().on_repositories(move |(after, limit)| {
        let page = Page::first(limit).after(&after);
        Ok(Listing::page_of_sorted(names.iter().cloned(), page))
    });
    let service = OciRegistryService::new(source.clone());
    let visibility = Visibility::new(|name| *name == "r00007" || *name == "r24999");
    let mut next = Some("/v2/_catalog?n=1".to_owned());
    let mut pages = Vec::new();
    while let Some(uri) = next {
        let request = Request::get(uri).extension(visibility.clone());
        let answer = send(&service, request.body(Body::empty()).unwrap()).await;
        let calls = source.calls().len();
        next = link(&answer);
        pages.push((answer.body, next.clone(), calls));
    }
    // The link names what the caller sees, never what is hidden.
    let link = "/v2/_catalog?n=1&last=r00007".to_owned();
    let pages_of_one = [
        (r#"{"repositories":["r00007"]}"#.into(), Some(link), 3),
        (r#"{"repositories":["r24999"]}"#.into(), None, 3),
    ];
    assert_eq!(pages, pages_of_one);
}

#[tokio::test]
async fn a_source_that_never_gets_on_is_a_failure_of_the_storage() {
    let source = Scripted::new().on_repositories(|_| {
        let next = Cursor::from_text("again");
        Ok(Listing::new(vec![name("hidden")], next))
    });
    let service = OciRegistryService::new(source.clone());
    let request = Request::get("/v2/_catalog").extension(Visibility::new(|_| false));
    let answer = send(&service, request.body(Body::empty()).unwrap()).await;
    answer.assert_error(500, "UNKNOWN");
}

#[tokio::test]
async fn a_source_without_a_catalog_says_so_whatever_is_asked_for_and_visible() {
    let source = Scripted::new().on_repositories(|_| Err(SourceError::Unsupported));
    let service = OciRegistryService::new(source);
    for uri in ["/v2/_catalog", "/v2/_catalog?n=0"] {
        let request = Request::get(uri).extension(Visibility::new(|_| true));
        let answer = send(&service, request.body(Body::empty()).unwrap()).await;
        answer.assert_error(404, "UNSUPPORTED");
    }
}
