//! Pushes of manifests: generated documents, right and wrong, against the rules.

use serde_json::{Map, Value, json};

use super::*;

mod generated;
mod rules;

use generated::{document, types};
use rules::{Outcome, named_digest, outcome};

const BLOBS: [&str; 3] = ["{}", "first", "second"];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OPAQUE: &str = "application/vnd.example.thing+json";

/// The types whose content a registry knows.
const KNOWN: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.artifact.manifest.v1+json",
];

/// The manifest that the repository has from the beginning.
fn first_manifest() -> String {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string()
}

fn sha256(content: impl AsRef<[u8]>) -> String {
    Algorithm::Sha256.digest(content).to_string()
}

/// A registry with the blobs, and with the first manifest at the tag `latest`.
async fn registry() -> (MemoryStore, OciRegistryService<MemoryStore>) {
    let store = MemoryStore::new();
    let service = OciRegistryService::writable(store.clone());
    for blob in BLOBS {
        push_blob(&service, "demo", blob).await;
    }
    let first = Manifest::parse(first_manifest()).unwrap();
    assert_eq!(
        put_manifest(&service, "demo", "latest", &first)
            .await
            .status,
        201
    );
    (store, service)
}

async fn push(
    service: &OciRegistryService<MemoryStore>,
    reference: &str,
    media_type: Option<&str>,
    bytes: &[u8],
) -> Answer {
    let uri = format!("/v2/demo/manifests/{reference}");
    let media_type = media_type.map(|media_type| ("content-type", media_type));
    let headers: Vec<_> = media_type.into_iter().collect();
    put(service, "PUT", &uri, &headers, bytes.to_vec()).await
}

/// How the pushed manifest is to be known.
#[derive(Clone, Copy, Debug)]
enum By {
    Tag,
    Digest(Algorithm),
}

impl By {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Tag => Algorithm::Sha256,
            Self::Digest(algorithm) => algorithm,
        }
    }
}

async fn assert_stored(
    service: &OciRegistryService<MemoryStore>,
    answer: &Answer,
    digest: Digest,
    (media_type, bytes): (&str, &[u8]),
    referrer: Option<(String, Value)>,
) {
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    for uri in [answer.header("location"), "/v2/demo/manifests/latest"] {
        let stored = get(service, uri).await;
        assert_eq!((stored.status.as_u16(), &stored.body[..]), (200, bytes));
        assert_eq!(stored.header("content-type"), media_type);
        assert_eq!(stored.header("docker-content-digest"), digest.to_string());
    }
    // protocol 42
    let subject = referrer.as_ref().map_or("", |(subject, _)| subject);
    assert_eq!(answer.header("oci-subject"), subject);
    if let Some((subject, mut entry)) = referrer {
        entry["digest"] = digest.to_string().into();
        entry["size"] = bytes.len().into();
        let list = get(service, &format!("/v2/demo/referrers/{subject}")).await;
        assert_eq!(list.json()["manifests"], json!([entry]));
    }
}

async fn assert_nothing_stored(
    service: &OciRegistryService<MemoryStore>,
    digest: Digest,
    subject: Option<&Value>,
) {
    let uri = format!("/v2/demo/manifests/{digest}");
    get(service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    let latest = get(service, "/v2/demo/manifests/latest").await;
    assert_eq!(latest.body, first_manifest());
    if let Some(subject) = subject.and_then(named_digest) {
        let list = get(service, &format!("/v2/demo/referrers/{subject}")).await;
        assert_eq!(list.json()["manifests"], json!([]));
    }
}

proptest! {
    #![proptest_config(cases(1200))]

    // protocol 35 to 44, 51, 73 and 76
    #[test]
    fn a_manifest_is_taken_by_the_rules_and_comes_back_byte_for_byte(
        (sent, declared) in types(),
        document in document(),
        by in select(vec![By::Tag, By::Digest(Algorithm::Sha256), By::Digest(Algorithm::Sha512)]),
        is_pretty in any::<bool>(),
    ) {
        let mut document = document;
        if let Some(declared) = declared {
            document.insert("mediaType".to_owned(), declared.into());
        }
        let bytes = match is_pretty {
            true => serde_json::to_vec_pretty(&document).unwrap(),
            false => serde_json::to_vec(&document).unwrap(),
        };
        let digest = by.algorithm().digest(&bytes);
        let reference = match by {
            By::Tag => "latest".to_owned(),
            By::Digest(_) => format!("{digest}?tag=latest"),
        };
        wait(async {
            let (store, service) = registry().await;
            let used = store.used_bytes();
            let answer = push(&service, &reference, sent.as_deref(), &bytes).await;
            match outcome(sent.as_deref(), &document) {
                Outcome::Invalid => answer.assert_error(400, "MANIFEST_INVALID"),
                Outcome::Missing(missing) => {
                    assert_eq!(answer.status, 400, "{answer:?}");
                    let json = answer.json();
                    let errors = json["errors"].as_array().unwrap();
                    let of = |error: &Value| error["detail"]["digest"].as_str().unwrap().to_owned();
                    let told: BTreeSet<String> = errors.iter().map(of).collect();
                    assert_eq!((&told, errors.len()), (&missing, missing.len()));
                    let mut codes = answer.error_codes();
                    codes.dedup();
                    assert_eq!(codes, ["MANIFEST_BLOB_UNKNOWN"]);
                }
                Outcome::Stored { media_type, referrer } => {
                    let stored = (&*media_type, &bytes[..]);
                    assert_stored(&service, &answer, digest, stored, referrer.clone()).await;
                    // protocol 43
                    let tag = if matches!(by, By::Tag) { "" } else { "latest" };
                    assert_eq!(answer.header("oci-tag"), tag);
                    // Again, it is the same and takes no more room.
                    let used = store.used_bytes();
                    let answer = push(&service, &reference, sent.as_deref(), &bytes).await;
                    assert_stored(&service, &answer, digest, stored, referrer).await;
                    assert_eq!(store.used_bytes(), used);
                    return;
                }
            }
            assert_nothing_stored(&service, digest, document.get("subject")).await;
            assert_eq!(store.used_bytes(), used);
        });
    }
}

// protocol 41: JSON is UTF-8 (RFC 8259 §8.1), in the fields that nobody reads too
#[test]
fn a_manifest_that_is_not_utf_8_is_400_wherever_the_bytes_are() {
    wait(async {
        let (_, service) = registry().await;
        for field in ["mediaType", "annotations", "unknown"] {
            for media_type in [INDEX, OPAQUE] {
                let bytes = [format!("{{\"{field}\":\"").as_bytes(), b"\xff\"}"].concat();
                let answer = push(&service, "latest", Some(media_type), &bytes).await;
                answer.assert_error(400, "MANIFEST_INVALID");
                let digest = Algorithm::Sha256.digest(&bytes);
                assert_nothing_stored(&service, digest, None).await;
            }
        }
    });
}

// protocol 41: what is no type is not the type that the manifest was sent with
#[test]
fn a_media_type_field_that_is_no_media_type_is_400() {
    wait(async {
        let (_, service) = registry().await;
        for value in ["\"no type\"", "\"a/b/c\"", "5", "[]", "{}", "true"] {
            let document = format!(r#"{{"schemaVersion":2,"mediaType":{value},"manifests":[]}}"#);
            let answer = push(&service, "latest", Some(INDEX), document.as_bytes()).await;
            answer.assert_error(400, "MANIFEST_INVALID");
            let digest = Algorithm::Sha256.digest(&document);
            assert_nothing_stored(&service, digest, None).await;
        }
    });
}
