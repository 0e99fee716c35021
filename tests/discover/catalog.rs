use super::*;

fn registry_with(names: &[&str]) -> Registry {
    let store = MemoryStore::new();
    for text in names {
        store.add_image(&name(text), None, &image("content"));
    }
    OciRegistryService::new(store)
}

// protocol 64, 66
#[tokio::test]
async fn repositories_come_in_byte_order_in_linked_pages() {
    let registry = registry_with(&["pr/obe", "b", "a-b", "a/b", "a"]);
    let answer = get(&registry, "/v2/_catalog?n=4").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body, r#"{"repositories":["a","a-b","a/b","b"]}"#);
    let answer = get(&registry, "/v2/_catalog?n=3&last=a-b").await;
    assert_eq!(
        strings(&answer.json()["repositories"]),
        ["a/b", "b", "pr/obe"]
    );
    assert_eq!(next(&answer), None);
    let answer = get(&registry, "/v2/_catalog?n=1&last=a-b").await;
    assert_eq!(next(&answer).unwrap(), "/v2/_catalog?n=1&last=a%2Fb");
    let answer = get(&registry, &next(&answer).unwrap()).await;
    assert_eq!(strings(&answer.json()["repositories"]), ["b"]);
}

#[tokio::test]
async fn an_empty_registry_has_an_empty_catalog() {
    let answer = get(&registry_with(&[]), "/v2/_catalog").await;
    assert_eq!(answer.body, r#"{"repositories":[]}"#);
}

#[tokio::test]
async fn only_visible_repositories_are_listed_and_pages_are_full() {
    let names: Vec<String> = (0..40).map(|number| format!("r{number:02}")).collect();
    let registry = registry_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let is_seventh = |number: &str| number.parse::<u32>().is_ok_and(|number| number % 7 == 0);
    let visibility = Visibility::new(move |name| is_seventh(&name.as_str()[1..]));
    let mut uri = Some("/v2/_catalog?n=2".to_owned());
    let mut pages = Vec::new();
    while let Some(page) = uri {
        let request = Request::get(page).extension(visibility.clone());
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = common::send(&registry, request).await;
        uri = next(&answer);
        let json = answer.json();
        let names = strings(&json["repositories"]).into_iter();
        pages.push(names.map(ToOwned::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(pages, [["r00", "r07"], ["r14", "r21"], ["r28", "r35"]]);
}

#[tokio::test]
async fn a_bad_page_size_is_400() {
    let registry = registry_with(&["a"]);
    let answer = ask(&registry, "GET", "/v2/_catalog?n=many", &[]).await;
    answer.assert_error(400, "UNSUPPORTED");
}
