//! What clients list.

use serde_json::json;
use tower_oci::{MemoryStore, testing::ImageBuilder};

use crate::{
    client::Client,
    common::{name, tag},
    images::two_platforms,
    layouts::write_layout,
    registry::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_lists_all_tags_page_by_page() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let image = ImageBuilder::new().file("a", "hello").build().unwrap();
    let store = MemoryStore::new();
    // More than one page has.
    let tags: Vec<String> = (0..2345).map(|number| format!("v{number:05}")).collect();
    for listed in &tags {
        store.add_image(&name("team/demo"), Some(&tag(listed)), &image);
    }
    let server = Server::of(store).await;
    let repository = server.image("team/demo");
    let listed = skopeo
        .json(&["list-tags", "--tls-verify=false", &repository])
        .await;
    assert_eq!(listed["Tags"], json!(tags));
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_lists_the_tags_that_it_pushed() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    write_layout(&skopeo.path("layout"), "stable", &two_platforms()).await;
    let server = Server::empty().await;
    // Not in the order of the list.
    for tag in ["v2", "V1", "latest"] {
        let to = server.image(&format!("team/demo:{tag}"));
        skopeo.skopeo_copy_to(&to, "oci:layout:stable", &[]).await;
    }
    let repository = server.image("team/demo");
    let listed = skopeo
        .json(&["list-tags", "--tls-verify=false", &repository])
        .await;
    assert_eq!(listed["Tags"], json!(["V1", "latest", "v2"]));
}

// protocol 64
#[tokio::test(flavor = "multi_thread")]
async fn podman_finds_what_was_pushed_and_the_layouts_beside_it() {
    let (Some(podman), Some(skopeo)) = (Client::find("podman"), Client::find("skopeo")) else {
        return;
    };
    let layout = skopeo.path("layout");
    write_layout(&layout, "stable", &two_platforms()).await;
    let server = Server::with_layout("team/layout", &layout).await;
    let to = server.image("team/pushed:latest");
    skopeo.skopeo_copy_to(&to, "oci:layout:stable", &[]).await;
    let search = ["search", "--tls-verify=false", "--format={{.Name}}"];
    for (term, found) in [("", &["layout", "pushed"][..]), ("team/p", &["pushed"])] {
        let term = format!("{}/{term}", server.address);
        let listed = podman.in_storage(&[&search[..], &[&term]].concat()).await;
        let names = found.iter();
        let names: Vec<String> = names
            .map(|name| format!("{}/team/{name}", server.address))
            .collect();
        assert_eq!(listed.lines().collect::<Vec<_>>(), names, "{term}");
    }
}
