//! skopeo, as Debian packages it, reads what is written here, and the other way round.
//!
//! Where it is not installed these are skipped, and stderr says so. With
//! `TOWER_OCI_REQUIRE_CLIENTS=1` that is a failure.

use std::{io::Write, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::*;

/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Skopeo(TempDir);

impl Skopeo {
    /// The program with a folder of its own, or nothing if it is not installed and need not be.
    fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path);
        if !folders.any(|folder| folder.join("skopeo").is_file()) {
            let required = std::env::var_os("TOWER_OCI_REQUIRE_CLIENTS");
            assert!(required.is_none_or(|value| value != "1"), "no skopeo");
            // Not eprintln, which the test harness keeps to itself.
            let skipped = b"SKIPPED: skopeo is not installed\n";
            std::io::stderr().write_all(skipped).unwrap();
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(folder.path().join("policy.json"), policy).unwrap();
        Some(Self(folder))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Copies every platform of `from`.
    async fn copy(&self, from: &str, to: &str) {
        let mut command = Command::new("skopeo");
        command
            .args(["--policy", "policy.json", "copy", "--all", from, to])
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("TMPDIR", self.0.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{from} to {to}: {errors}");
    }

    /// Asserts that `from` has the very bytes of `image`.
    async fn assert_reads(&self, from: &str, image: &Image) {
        let copy = self.path("copy");
        let _ = fs::remove_dir_all(&copy);
        self.copy(from, "dir:copy").await;
        let manifest = fs::read(copy.join("manifest.json")).unwrap();
        assert!(
            image.manifest().bytes() == &manifest,
            "{from}: the manifest differs"
        );
        for child in image.children() {
            let file = copy.join(format!("{}.manifest.json", child.digest().encoded()));
            assert!(
                child.manifest().bytes() == &fs::read(file).unwrap(),
                "{from}"
            );
        }
        let images = image.children().iter().chain([image]);
        for image in images {
            for blob in image.config().into_iter().chain(image.layers()) {
                let copied = fs::read(copy.join(blob.digest.encoded())).unwrap();
                let right = image.read_blob_verified(blob, 1 << 30).await.unwrap();
                assert!(copied == right, "{from}: {} differs", blob.digest);
            }
        }
    }
}

/// What skopeo reads: images of which every layer has bytes.
fn images() -> (Image, Image) {
    let mut index = IndexBuilder::new();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::new("linux", architecture);
        let image = ImageBuilder::new()
            .platform(platform.clone())
            .layer(MediaType::OCI_LAYER, noise(700_000))
            .file("architecture", architecture);
        index = index.image_for(&image.build().unwrap(), platform);
    }
    let index = index.build().unwrap();
    let notes = artifact(&index);
    (index, notes)
}

#[tokio::test]
async fn skopeo_reads_a_directory_and_an_archive_byte_for_byte() {
    let Some(skopeo) = Skopeo::find() else {
        return;
    };
    let (index, notes) = images();
    let plain = small("plain");
    let (all, artifact, one) = (tag("all"), tag("notes"), tag("one"));
    for (writer, transport) in [
        (LayoutWriter::directory(skopeo.path("layout")), "oci:layout"),
        (
            LayoutWriter::archive(skopeo.path("demo.tar")),
            "oci-archive:demo.tar",
        ),
    ] {
        let images = [(&index, Some(&all)), (&notes, Some(&artifact))];
        writer.write_all(images).await.unwrap();
        writer.write(&plain, Some(&one)).await.unwrap();
        skopeo
            .assert_reads(&format!("{transport}:all"), &index)
            .await;
        skopeo
            .assert_reads(&format!("{transport}:notes"), &notes)
            .await;
        skopeo
            .assert_reads(&format!("{transport}:one"), &plain)
            .await;
        // Moved to another image.
        writer.write(&plain, Some(&all)).await.unwrap();
        skopeo
            .assert_reads(&format!("{transport}:all"), &plain)
            .await;
    }
}

#[tokio::test]
async fn what_skopeo_wrote_is_served_and_added_to() {
    let Some(skopeo) = Skopeo::find() else {
        return;
    };
    let (index, _) = images();
    let plain = small("plain");
    let writer = LayoutWriter::directory(skopeo.path("from"));
    writer.write(&index, Some(&tag("all"))).await.unwrap();
    for (to, writer, transport) in [
        (
            "oci:layout:theirs",
            LayoutWriter::directory(skopeo.path("layout")),
            "oci:layout",
        ),
        (
            "oci-archive:demo.tar:theirs",
            LayoutWriter::archive(skopeo.path("demo.tar")),
            "oci-archive:demo.tar",
        ),
    ] {
        // On the way into a layout skopeo compresses the layers.
        skopeo.copy("oci:from:all", to).await;
        let theirs = read_back(writer.path(), "theirs").await;
        assert_eq!(theirs.children().len(), 2);
        writer.write(&plain, Some(&tag("ours"))).await.unwrap();
        skopeo
            .assert_reads(&format!("{transport}:theirs"), &theirs)
            .await;
        skopeo
            .assert_reads(&format!("{transport}:ours"), &plain)
            .await;
        let theirs = read_back(writer.path(), "theirs").await;
        assert_verified(&theirs).await;
    }
}
