//! What is shown in a terminal.

use tower_oci::testing::ImageBuilder;

use crate::{
    client::Client,
    common::noise,
    compared::assert_only,
    layouts::write_layout,
    program::{Program, built},
};

#[tokio::test(flavor = "multi_thread")]
async fn in_a_terminal_there_is_a_bar_for_each_blob() {
    // It runs a program in a terminal of its own.
    let Some(script) = Client::find("script") else {
        return;
    };
    let (program, mebibyte) = (Program::new(), noise(1 << 20));
    let image = ImageBuilder::new()
        .layer("application/octet-stream".parse().unwrap(), mebibyte)
        .build()
        .unwrap();
    write_layout(&program.path("from"), "v1", &image).await;
    let copy = |options: &str, to: &str| {
        let (copy, folder) = (built().display(), program.path(""));
        let folder = folder.display();
        format!("stty cols 80; cd {folder} && {copy} {options} oci:from:v1 oci:{to}:v1")
    };
    let shown = script.run(["-qec", &copy("", "to"), "/dev/null"]).await;
    let shown = String::from_utf8(shown).unwrap();
    let layer = &image.layers()[0].digest.to_string()[.."sha256:".len() + 12];
    assert!(shown.contains(&format!("{layer} [")), "{shown}");
    assert!(shown.contains(" of 1.00 MiB "), "{shown}");
    // The line that takes the place of the bar, and the summary.
    assert!(shown.contains(&format!("{layer} 1.00 MiB")), "{shown}");
    assert!(shown.contains("blobs: 2 copied"), "{shown}");
    assert_only(&program.path("to"), "v1", &image);

    let shown = script
        .run(["-qec", &copy("--quiet", "quiet"), "/dev/null"])
        .await;
    assert_eq!(String::from_utf8(shown).unwrap(), "");
    assert_only(&program.path("quiet"), "v1", &image);
}
