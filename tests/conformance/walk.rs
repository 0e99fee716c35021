//! The walk that the suite does with each kind of content: push, list, head, pull, referrers,
//! delete.

use super::*;
use data::Pushed;

/// How tags are set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tagging {
    /// With a push by tag, which makes the digest a sha256.
    Push,
    /// With the parameters of the push by digest.
    Parameter,
}

/// All of it. What was there is gone afterwards.
pub(crate) async fn walk(registry: &Registry, data: &Data, upload: Upload, tagging: Tagging) {
    push(registry, data, upload, tagging).await;
    list(registry, data).await;
    pull(registry, data).await;
    referrers(registry, data).await;
    delete(registry, data).await;
}

pub(crate) async fn push(registry: &Registry, data: &Data, upload: Upload, tagging: Tagging) {
    for (digest, content) in &data.blobs {
        let answer = upload.send(registry, REPO, digest, content).await;
        assert_created(registry, &answer, digest, content).await;
    }
    for pushed in &data.manifests {
        let digest = pushed.manifest.digest();
        let tags = data.tags.iter().filter(|(_, tagged)| *tagged == digest);
        let tags: Vec<&str> = tags.map(|(tag, _)| tag.as_str()).collect();
        match tagging {
            Tagging::Parameter => push_manifest(registry, pushed, None, &tags).await,
            Tagging::Push => {
                push_manifest(registry, pushed, None, &[]).await;
                for tag in tags {
                    push_manifest(registry, pushed, Some(tag), &[]).await;
                }
            }
        }
    }
}

/// Pushes a manifest as the suite does, with a length that nobody knows before its end.
// section 3, lines 4, 5 and 13
async fn push_manifest(
    registry: &Registry,
    pushed: &Pushed,
    tag: Option<&str>,
    parameters: &[&str],
) {
    let Pushed { manifest, subject } = pushed;
    let mut uri = match tag {
        Some(tag) => manifest_uri(tag),
        None => manifest_uri(manifest.digest()),
    };
    for tag in parameters {
        uri = with_parameter(&uri, "tag", tag);
    }
    let media_type = ("content-type", manifest.media_type().as_str());
    let answer = stream(registry, "PUT", &uri, &[media_type], manifest.bytes()).await;
    assert_eq!(answer.status, 201, "{uri}: {answer:?}");
    let digest = manifest.digest().to_string();
    assert_eq!(answer.header("docker-content-digest"), digest, "{uri}");
    let subject = subject.map_or_else(String::new, |subject| subject.to_string());
    assert_eq!(answer.header("oci-subject"), subject, "{uri}");
    let accepted = answer.headers.get_all("oci-tag").iter();
    let accepted: BTreeSet<&str> = accepted
        .flat_map(|line| line.to_str().unwrap().split(','))
        .map(str::trim)
        .collect();
    assert_eq!(accepted, BTreeSet::from_iter(parameters.iter().copied()));
    let location = answer.header("location").to_owned();
    assert!(location.ends_with(&digest), "{location}");
    assert_manifest(registry, &location, manifest).await;
}

/// A manifest that is found at `uri` exactly like that, with HEAD and GET.
pub(crate) async fn assert_manifest(registry: &Registry, uri: &str, manifest: &Manifest) {
    for method in ["HEAD", "GET"] {
        let answer = ask_manifest(registry, method, uri).await;
        assert_eq!(answer.status, 200, "{method} {uri}");
        let digest = manifest.digest().to_string();
        assert_eq!(answer.header("docker-content-digest"), digest, "{uri}");
        let media_type = manifest.media_type().as_str();
        assert_eq!(answer.header("content-type"), media_type, "{uri}");
        let length = manifest.size().to_string();
        assert_eq!(answer.header("content-length"), length, "{uri}");
        let body: &[u8] = if method == "GET" {
            manifest.bytes()
        } else {
            b""
        };
        assert!(answer.body == body, "{method} {uri} has other content");
    }
}

async fn tags(registry: &Registry, query: &str) -> Vec<String> {
    let answer = get(registry, &format!("/v2/{REPO}/tags/list{query}")).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["name"], REPO);
    let tags = json["tags"].as_array().unwrap().iter();
    tags.map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

/// All tags are listed, and each as `last` parts them in byte order.
// section 3, line 14
async fn list(registry: &Registry, data: &Data) {
    let listed = tags(registry, "").await;
    for tag in data.tags.keys() {
        assert!(listed.contains(tag), "{tag} is missing in {listed:?}");
    }
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    for last in &sorted {
        let rest = tags(registry, &with_parameter("", "last", last)).await;
        for tag in &sorted {
            assert_eq!(rest.contains(tag), tag > last, "{tag} after {last}");
        }
    }
}

async fn pull(registry: &Registry, data: &Data) {
    for (tag, digest) in &data.tags {
        let mut manifests = data.manifests.iter().map(|pushed| &pushed.manifest);
        let manifest = manifests.find(|manifest| manifest.digest() == digest);
        assert_manifest(registry, &manifest_uri(tag), manifest.unwrap()).await;
    }
    for Pushed { manifest, .. } in &data.manifests {
        assert_manifest(registry, &manifest_uri(manifest.digest()), manifest).await;
    }
    for (digest, content) in &data.blobs {
        assert_blob(registry, REPO, digest, content).await;
    }
}

/// The entries of a list of referrers, by digest.
pub(crate) async fn list_referrers(
    registry: &Registry,
    subject: &Digest,
    kind: Option<&str>,
) -> BTreeMap<String, Value> {
    let uri = format!("/v2/{REPO}/referrers/{subject}");
    let (uri, filters) = match kind {
        Some(kind) => (with_parameter(&uri, "artifactType", kind), "artifactType"),
        None => (uri, ""),
    };
    let answer = get(registry, &uri).await;
    assert_eq!(answer.status, 200, "{uri}");
    assert_eq!(answer.header("content-type"), INDEX);
    assert_eq!(answer.header("oci-filters-applied"), filters);
    let json = answer.json();
    assert_eq!(json["mediaType"], INDEX);
    assert_eq!(json["schemaVersion"], 2);
    let entries = json["manifests"].as_array().unwrap().iter();
    let by_digest = entries.map(|entry| (entry["digest"].to_string(), entry.clone()));
    by_digest.collect()
}

// section 3, line 13
async fn referrers(registry: &Registry, data: &Data) {
    for (subject, expected) in &data.referrers {
        let with_digest = |entry: &Value| (entry["digest"].to_string(), entry.clone());
        let all: BTreeMap<String, Value> = expected.iter().map(with_digest).collect();
        assert_eq!(list_referrers(registry, subject, None).await, all);
        let kinds = expected
            .iter()
            .filter_map(|entry| entry.get("artifactType"));
        let kinds = kinds.map(|kind| kind.as_str().unwrap());
        for kind in kinds
            .chain(["application/none+json"])
            .collect::<BTreeSet<_>>()
        {
            let mut of_kind = all.clone();
            of_kind.retain(|_, entry| entry.get("artifactType") == Some(&kind.into()));
            let listed = list_referrers(registry, subject, Some(kind)).await;
            assert_eq!(listed, of_kind, "{kind}");
        }
    }
}

async fn assert_deleted(registry: &Registry, uri: &str) {
    let answer = ask(registry, "DELETE", uri, &[]).await;
    assert_eq!(answer.status, 202, "{uri}: {answer:?}");
    let answer = head(registry, uri).await;
    assert_eq!(answer.status, 404, "{uri} is still there");
}

/// Tags first, then manifests with the parents first, then blobs.
// section 3, line 10
async fn delete(registry: &Registry, data: &Data) {
    for tag in data.tags.keys() {
        assert_deleted(registry, &manifest_uri(tag)).await;
    }
    for Pushed { manifest, .. } in data.manifests.iter().rev() {
        assert_deleted(registry, &manifest_uri(manifest.digest())).await;
    }
    for digest in data.blobs.keys() {
        assert_deleted(registry, &blob_uri(REPO, digest)).await;
    }
    for subject in data.referrers.keys() {
        let left = list_referrers(registry, subject, None).await;
        assert_eq!(left, BTreeMap::new());
    }
    let left = tags(registry, "").await;
    for tag in data.tags.keys() {
        assert!(!left.contains(tag), "{tag} is still listed");
    }
}
