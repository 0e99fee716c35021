//! What copy writes others read, and the other way round.

use crate::{
    client::Client,
    compared::{assert_only, two_platforms},
    images::{assert_all_copied, assert_layout_copied, store_with},
    layouts::write_layout,
    program::Program,
    registry::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_reads_what_copy_writes() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let (program, index) = (Program::new(), two_platforms());
    let origin = Server::of(store_with("demo", &index)).await;
    let (from, server) = (
        format!("{}/demo:latest", origin.address),
        Server::empty().await,
    );
    let layout = program.path("layout").display().to_string();
    let archive = program.path("archive.tar").display().to_string();
    let image = format!("{}/demo:v1", server.address);
    for (written, read) in [
        (format!("oci:{layout}:v1"), format!("oci:{layout}:v1")),
        (
            format!("oci-archive:{archive}:v1"),
            format!("oci-archive:{archive}:v1"),
        ),
        (image.clone(), format!("docker://{image}")),
    ] {
        program.copy(&[&from, &written]).await;
        let to = format!("dir:{}", skopeo.path("copy").display());
        skopeo
            .skopeo_copy_to(&to, &read, &["--all", "--preserve-digests"])
            .await;
        assert_all_copied(&skopeo.path("copy"), &index).await;
        std::fs::remove_dir_all(skopeo.path("copy")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_reads_what_skopeo_writes() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let (program, index) = (Program::new(), two_platforms());
    write_layout(&skopeo.path("from"), "v1", &index).await;
    let server = Server::empty().await;
    let as_it_is = ["--all", "--preserve-digests"];
    let image = format!("{}/demo:v1", server.address);
    for (written, read) in [
        (
            "oci:layout:v1".to_owned(),
            format!("oci:{}:v1", skopeo.path("layout").display()),
        ),
        (
            "oci-archive:archive.tar:v1".to_owned(),
            format!("oci-archive:{}:v1", skopeo.path("archive.tar").display()),
        ),
        (format!("docker://{image}"), image),
    ] {
        skopeo
            .skopeo_copy_to(&written, "oci:from:v1", &as_it_is)
            .await;
        program.copy(&[&read, "oci:to:v1"]).await;
        if written.starts_with("docker://") {
            assert_only(&program.path("to"), "v1", &index);
        } else {
            // On the way into a layout skopeo compresses the layers, and so the digests are others.
            let copy = Server::empty().await;
            let copied = format!("{}/demo:v1", copy.address);
            program.copy(&["oci:to:v1", &copied]).await;
            skopeo
                .skopeo_copy(&format!("docker://{copied}"), &as_it_is)
                .await;
            assert_eq!(
                assert_layout_copied(&program.path("to"), &skopeo.path("copy")),
                8
            );
        }
        std::fs::remove_dir_all(program.path("to")).unwrap();
    }
}
