//! What has to become of a push, by the rules.

use super::*;

fn is_index(media_type: &str) -> bool {
    media_type == INDEX || media_type.contains("manifest.list")
}

/// What has to become of a push.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Invalid,
    Missing(BTreeSet<String>),
    Stored {
        media_type: String,
        /// The subject, and the entry among its referrers without digest and size.
        referrer: Option<(String, Value)>,
    },
}

fn bare(media_type: &str) -> Option<&str> {
    let bare = media_type.split(';').next()?.trim();
    let (kind, subtype) = bare.split_once('/')?;
    (!kind.contains(' ') && !subtype.contains(['/', ' '])).then_some(bare)
}

/// The rules of the specification, and of the design where that is silent.
// protocol 36, 38, 39, 41, 51, 73 and 76
pub(super) fn outcome(sent: Option<&str>, document: &Map<String, Value>) -> Outcome {
    let declared = document
        .get("mediaType")
        .and_then(Value::as_str)
        .and_then(bare);
    let Some(media_type) = sent.map_or(declared, bare) else {
        return Outcome::Invalid;
    };
    let is_other = declared.is_some_and(|declared| declared != media_type);
    if is_other || media_type.contains("docker.distribution.manifest.v1+") {
        return Outcome::Invalid;
    }
    if KNOWN.contains(&media_type) {
        let version = document
            .get("schemaVersion")
            .filter(|version| !version.is_null());
        let is_other = version.is_some_and(|version| *version != json!(2));
        let parts: Option<Vec<_>> = parts(media_type, document)
            .map(|(_, part)| named_digest(part))
            .collect();
        let subject = document.get("subject").filter(|subject| !subject.is_null());
        let has_bad_subject = subject.is_some_and(|subject| named_digest(subject).is_none());
        if is_other || parts.is_none() || has_bad_subject {
            return Outcome::Invalid;
        }
        let missing = missing(media_type, document);
        if !missing.is_empty() {
            return Outcome::Missing(missing);
        }
    }
    let subject = document.get("subject").and_then(named_digest);
    Outcome::Stored {
        media_type: media_type.to_owned(),
        referrer: subject.map(|subject| (subject, entry(media_type, document))),
    }
}

/// All descriptors but the subject, with the field that they are in: those of the fields that this
/// kind of manifest has. What is no list lists nothing.
fn parts<'a>(
    media_type: &str,
    document: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'static str, &'a Value)> {
    let (config, lists): (_, &[_]) = match is_index(media_type) {
        true => (None, &["manifests"]),
        false => (document.get("config"), &["layers", "blobs"]),
    };
    let lists = lists.iter().flat_map(|field| {
        let list = document.get(*field).and_then(Value::as_array);
        list.into_iter().flatten().map(move |item| (*field, item))
    });
    let config = config.filter(|config| !config.is_null()).into_iter();
    config.map(|config| ("config", config)).chain(lists)
}

/// The digest of a descriptor that makes sense.
pub(super) fn named_digest(descriptor: &Value) -> Option<String> {
    let digest = descriptor.get("digest")?.as_str()?;
    let is_supported = digest.parse::<Digest>().is_ok();
    let size = descriptor.get("size")?.as_u64()?;
    (is_supported && size <= i64::MAX as u64).then(|| digest.to_owned())
}

fn missing(media_type: &str, document: &Map<String, Value>) -> BTreeSet<String> {
    let there: Vec<String> = BLOBS.iter().map(sha256).collect();
    let is_there = |field: &str, digest: &String| {
        there.contains(digest) || (field == "manifests" && *digest == sha256(first_manifest()))
    };
    let is_elsewhere = |descriptor: &Value| {
        let kind = descriptor.get("mediaType").and_then(Value::as_str);
        let urls = descriptor.get("urls").and_then(Value::as_array);
        kind.is_some_and(|name| name.contains("nondistributable") || name.contains("foreign"))
            || urls.is_some_and(|urls| !urls.is_empty() && urls.iter().all(Value::is_string))
    };
    parts(media_type, document)
        .filter(|(_, part)| !is_elsewhere(part))
        .filter_map(|(field, part)| Some((field, named_digest(part)?)))
        .filter(|(field, digest)| !is_there(field, digest))
        .map(|(_, digest)| digest)
        .collect()
}

fn entry(media_type: &str, document: &Map<String, Value>) -> Value {
    let mut entry = json!({"mediaType": media_type});
    let own = document.get("artifactType").and_then(Value::as_str);
    let own = own.filter(|own| (1..=255).contains(&own.len()) && own.is_ascii());
    let config = document.get("config").filter(|_| !is_index(media_type));
    let config = config.filter(|config| named_digest(config).is_some());
    let of_config = config.map(|config| {
        let kind = config.get("mediaType").and_then(Value::as_str);
        kind.and_then(bare).unwrap_or("application/octet-stream")
    });
    if let Some(artifact_type) = own.or(of_config) {
        entry["artifactType"] = artifact_type.into();
    }
    let annotations = document.get("annotations").and_then(Value::as_object);
    let annotations = annotations.into_iter().flatten();
    let annotations = annotations.filter(|(_, value)| value.is_string());
    let annotations: Map<_, _> = annotations.map(|(k, v)| (k.clone(), v.clone())).collect();
    if !annotations.is_empty() {
        entry["annotations"] = annotations.into();
    }
    entry
}
