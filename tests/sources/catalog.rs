use tower_oci::Visibility;

use super::*;

// protocol 64
#[tokio::test]
async fn one_request_asks_for_at_most_100_pages_however_few_repositories_are_visible() {
    let names: Vec<_> = (0..350).map(|n| name(&format!("r{n:03}"))).collect();
    let source = Scripted::new().on_repositories(move |(after, limit)| {
        let page = Page::first(limit).after(&after);
        Ok(Listing::page_of(names.clone(), page))
    });
    let service = OciRegistryService::new(source.clone());
    let visibility = Visibility::new(|name| name.as_str() == "r349");
    let mut next = Some("/v2/_catalog?n=1".to_owned());
    let mut pages = Vec::new();
    while let Some(uri) = next {
        let request = Request::get(uri).extension(visibility.clone());
        let answer = send(&service, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200);
        let repositories = answer.json()["repositories"].as_array().unwrap().len();
        pages.push((source.calls().len(), repositories));
        next = link(&answer);
    }
    // A page that nothing was found for has a link to where the search goes on.
    assert_eq!(pages, [(100, 0), (100, 0), (100, 0), (50, 1)]);
}
