//! What refers to an image, copied with it.

use tower_oci::{Image, MediaType, testing::ImageBuilder};

use crate::{
    common::name,
    compared::{assert_only, listed, two_platforms},
    images::store_with,
    program::Program,
    registry::Server,
};

fn artifact(kind: &str, subject: &Image) -> Image {
    ImageBuilder::artifact(format!("application/vnd.example.{kind}").parse().unwrap())
        .layer(
            "text/plain".parse::<MediaType>().unwrap(),
            format!("the {kind}"),
        )
        .subject(subject)
        .build()
        .unwrap()
}

/// A registry with an index, and with what refers to it, to an image in it, and to a referrer.
async fn with_referrers() -> (Server, [Image; 3]) {
    let index = two_platforms();
    let signature = artifact("signature", &index);
    let list = artifact("list", &index.children()[0]);
    let witness = artifact("witness", &signature);
    let (store, artifacts) = (store_with("demo", &index), [signature, list, witness]);
    for artifact in &artifacts {
        store.add_image(&name("demo"), None, artifact);
    }
    (Server::of(store).await, artifacts)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_an_image_is_copied_with_it_and_what_refers_to_that() {
    let (program, (from, artifacts)) = (Program::new(), with_referrers().await);
    let (index, to) = (two_platforms(), Server::empty().await);
    let [from, to] = [&from, &to].map(|server| format!("{}/demo:latest", server.address));
    // Through everything that there is.
    for step in [
        [&*from, "oci:layout:v1"],
        ["oci:layout:v1", "oci-archive:archive.tar:v1"],
        ["oci-archive:archive.tar:v1", &*to],
        [&*to, "oci:back:v1"],
    ] {
        let printed = program.copy(&[&["--referrers"], &step[..]].concat()).await;
        assert!(printed.ends_with("; referrers: 3\n"), "{printed}");
    }
    let entries = listed(&program.path("back"));
    let digests = entries.as_array().unwrap().iter();
    let mut digests: Vec<&str> = digests
        .map(|entry| entry["digest"].as_str().unwrap())
        .collect();
    let all = artifacts.iter().chain([&index]);
    let mut all: Vec<String> = all.map(|image| image.digest().to_string()).collect();
    // The image is first, and then those of one subject in the order of the registry.
    assert_eq!(digests[0], index.digest().to_string());
    digests.sort_unstable();
    all.sort_unstable();
    assert_eq!(digests, all);
    for artifact in &artifacts {
        let layer = artifact.layers()[0].digest.encoded();
        assert!(program.path("back/blobs/sha256").join(layer).is_file());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_an_image_stays_where_it_is_unless_it_is_asked_for() {
    let (program, (from, _)) = (Program::new(), with_referrers().await);
    let from = format!("{}/demo:latest", from.address);
    program.copy(&[&from, "oci:layout:v1"]).await;
    assert_only(&program.path("layout"), "v1", &two_platforms());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_platform_comes_what_refers_to_it_alone() {
    let (program, (from, [_, list, _])) = (Program::new(), with_referrers().await);
    let from = format!("{}/demo:latest", from.address);
    let options = ["--referrers", "--platform", "linux/amd64"];
    program
        .copy(&[&options[..], &[&from, "oci:layout:v1"]].concat())
        .await;
    let entries = listed(&program.path("layout"));
    let child = two_platforms().children()[0].digest().to_string();
    let listed = [0, 1, 2].map(|at| entries[at]["digest"].as_str());
    assert_eq!(
        listed,
        [Some(&*child), Some(&*list.digest().to_string()), None]
    );
}
