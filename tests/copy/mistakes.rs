//! What cannot be copied, and how that is said.

use std::fs;

use crate::{
    compared::two_platforms,
    images::store_with,
    layouts::write_layout,
    program::{Program, texts},
    registry::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_image_is_told_in_one_line() {
    let program = Program::new();
    for (place, expected) in [
        (
            "",
            "neither HOST/REPOSITORY:TAG nor oci:DIRECTORY:TAG nor oci-archive:FILE:TAG",
        ),
        ("demo:v1", "neither HOST/REPOSITORY:TAG nor"),
        ("https://localhost", "neither HOST/REPOSITORY:TAG nor"),
        ("docker://localhost/demo:v1", "docker:// is not known here"),
        (
            "library/demo:v1",
            "library is no host: put one before it, or https://",
        ),
        ("/demo:v1", "empty"),
        ("local host/demo:v1", "invalid uri character"),
        ("https:///demo:v1", "is not the URL of a registry"),
        ("localhost/Demo:v1", "\"Demo\" is not a repository name"),
        ("localhost/:v1", "\"\" is not a repository name"),
        ("localhost/demo", "it names no image: add :TAG or @DIGEST"),
        ("localhost/demo:", "\"\" is not a tag"),
        ("localhost/demo:-v1", "\"-v1\" is not a tag"),
        ("localhost/demo@sha256:12", "\"sha256:12\" is not a digest"),
        ("localhost/demo@v1", "\"v1\" is not a digest"),
        ("localhost/demo:v1@", "\"\" is not a digest"),
        ("oci:layout", "it names no image: add :TAG or @DIGEST"),
        ("oci:a:b/c", "it names no image: add :TAG or @DIGEST"),
        ("oci::v1", "it has no path"),
        ("oci:", "it has no path"),
        ("oci-archive:a.tar:v 1", "\"v 1\" is not a tag"),
        (
            "oci-archive:a.tar@sha256:12",
            "\"sha256:12\" is not a digest",
        ),
    ] {
        for (which, places) in [
            ("SOURCE", [place, "oci:a:v1"]),
            ("DESTINATION", ["oci:a:v1", place]),
        ] {
            let error = program.fail(&places).await;
            assert!(error.starts_with(&format!("{which}: ")), "{place}: {error}");
            assert!(error.contains(expected), "{place}: {error}");
        }
    }
    assert_eq!(fs::read_dir(program.path("")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_a_place_are_refused_and_not_shown() {
    let program = Program::new();
    for place in [
        "https://alice:sesame@localhost/demo:v1",
        "alice:sesame@localhost/demo:v1",
        "https://alice:se/sa@me@localhost/demo:v1",
        "https://alice:sesame@localhost/demo@v1",
    ] {
        let error = program.fail(&[place, "oci:a:v1"]).await;
        let secrets = ["alice", "sesame", "sa@me", "se/sa"];
        assert!(
            secrets.iter().all(|secret| !error.contains(secret)),
            "{error}"
        );
    }
    let error = program
        .fail(&["https://alice:sesame@localhost/demo:v1", "oci:a:v1"])
        .await;
    let expected = "SOURCE: credentials do not belong here: log in with docker or podman";
    assert_eq!(error, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_with_its_place() {
    let program = Program::new();
    let server = Server::of(store_with("demo", &two_platforms())).await;
    write_layout(&program.path("layout"), "v1", &two_platforms()).await;
    program.write("empty.tar", "");
    program.write("other.json", "{}");
    let of_server = |image: &str| format!("{}/{image}", server.address);
    for (place, expected) in [
        (
            of_server("demo:other"),
            "the repository has no such manifest",
        ),
        (
            of_server("other:latest"),
            "the repository has no such manifest",
        ),
        (
            "oci:layout:v2".to_owned(),
            "the repository has no such manifest",
        ),
        ("oci:nothing:v1".to_owned(), "nothing"),
        ("oci-archive:nothing.tar:v1".to_owned(), "nothing.tar"),
        ("oci-archive:empty.tar:v1".to_owned(), "empty.tar"),
        ("oci-archive:other.json:v1".to_owned(), "other.json"),
    ] {
        let error = program.fail(&[&place, "oci:new:v1"]).await;
        assert!(error.starts_with(&format!("{place}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    assert!(!program.path("new").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_told_with_its_place() {
    let program = Program::new();
    write_layout(&program.path("layout"), "v1", &two_platforms()).await;
    let server = Server::of(store_with("demo", &two_platforms())).await;
    let read_only = format!("{}/demo:v2", server.address);
    program.write("file", "no directory");
    for (place, expected) in [
        (&*read_only, ": 405 Method Not Allowed: UNSUPPORTED: "),
        ("oci:file:v1", "file"),
        ("oci-archive:file:v1", "file"),
        ("oci-archive:no/where.tar:v1", "no"),
    ] {
        let error = program.fail(&["oci:layout:v1", place]).await;
        assert!(error.starts_with(&format!("{place}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(fs::read(program.path("file")).unwrap(), b"no directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_make_no_sense_are_told_with_where_help_is() {
    let program = Program::new();
    for options in [
        &["--all", "--platform", "linux/amd64"][..],
        &["--jobs", "0"],
        &["--chunk", "0"],
        &["--cert", "client.pem"],
        &["--key", "client.key"],
        &["--unknown"],
    ] {
        let output = program
            .run(&[options, &["oci:a:v1", "oci:b:v1"]].concat())
            .await;
        let (stdout, stderr) = texts(&output);
        assert_eq!(
            (output.status.code(), &*stdout),
            (Some(2), ""),
            "{options:?}"
        );
        assert!(stderr.contains("try '--help'"), "{options:?}: {stderr}");
    }
    let places = ["oci:a:v1", "oci:b:v1"];
    for (option, value, expected) in [
        (
            "--platform",
            "linux",
            "--platform: a platform is OS/ARCHITECTURE",
        ),
        (
            "--platform",
            "a/b/c/d",
            "--platform: a platform is OS/ARCHITECTURE",
        ),
    ] {
        let error = program
            .fail(&[&[option, value], &places[..]].concat())
            .await;
        assert!(error.starts_with(expected), "{error}");
    }
}
