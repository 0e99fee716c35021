//! How a place is read.

use tower_oci::Algorithm;

use crate::place::{Location, Place};

#[test]
fn plain_http_is_for_hosts_of_this_machine_and_for_whoever_asks_for_it() {
    for (text, expected) in [
        ("localhost/demo:v1", "http://localhost"),
        ("localhost:5000/demo:v1", "http://localhost:5000"),
        ("127.0.0.1:5000/demo:v1", "http://127.0.0.1:5000"),
        ("127.9.9.9/demo:v1", "http://127.9.9.9"),
        ("[::1]:5000/demo:v1", "http://[::1]:5000"),
        ("https://localhost/demo:v1", "https://localhost"),
        ("registry.example/demo:v1", "https://registry.example"),
        ("registry:5000/demo:v1", "https://registry:5000"),
        ("localhost.example/demo:v1", "https://localhost.example"),
        ("127.0.0.1.example/demo:v1", "https://127.0.0.1.example"),
        ("10.0.0.1:5000/demo:v1", "https://10.0.0.1:5000"),
        ("0.0.0.0:5000/demo:v1", "https://0.0.0.0:5000"),
        ("[fe80::1]/demo:v1", "https://[fe80::1]"),
        ("http://registry/demo:v1", "http://registry"),
        ("https://registry/demo:v1", "https://registry"),
    ] {
        let place: Place = text.parse().unwrap();
        let Location::Registry(url, repository) = place.location else {
            panic!("{text}");
        };
        assert_eq!(url.to_string(), expected, "{text}");
        assert_eq!(repository, "demo");
    }
}

#[test]
fn a_path_may_have_colons_and_at_signs() {
    let digest = Algorithm::Sha256.digest("");
    for (text, path, reference) in [
        ("oci:a:v1".to_owned(), "a", "v1".to_owned()),
        ("oci:/a/b:c/d:v1".to_owned(), "/a/b:c/d", "v1".to_owned()),
        ("oci:a@b:v1".to_owned(), "a@b", "v1".to_owned()),
        ("oci:a:b:v1".to_owned(), "a:b", "v1".to_owned()),
        (format!("oci:a@b@{digest}"), "a@b", digest.to_string()),
        (format!("oci:b:c/d@{digest}"), "b:c/d", digest.to_string()),
        (format!("oci:a:v1@{digest}"), "a", "v1".to_owned()),
    ] {
        let place: Place = text.parse().unwrap();
        assert_eq!(place.location, Location::Layout(path.into()), "{text}");
        let asked = place.name.reference().unwrap();
        assert_eq!(asked.to_string(), reference, "{text}");
        let archive = text.replacen("oci:", "oci-archive:", 1);
        let place: Place = archive.parse().unwrap();
        assert_eq!(place.location, Location::Archive(path.into()), "{archive}");
    }
}
