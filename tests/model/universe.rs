//! The few names and contents that all operations are about, so that they meet.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};
use tower_oci::Algorithm;

use super::common::noise;

/// One is the beginning of another, and they are not in the order of their creation.
pub(crate) const REPOSITORIES: [&str; 3] = ["c", "a", "a/b"];

/// A repository that nothing is ever pushed to.
pub(crate) const NOWHERE: &str = "nowhere";

/// In byte order: `B`, `_`, `latest`, `v1`.
pub(crate) const TAGS: [&str; 4] = ["latest", "v1", "B", "_"];

/// The tag that does not move where some do not.
pub(crate) const IMMUTABLE: &str = "v1";

/// A document or a blob of the universe, as one of its two digests names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) number: usize,
    pub(crate) algorithm: Algorithm,
}

impl Named {
    /// The digest of the blob.
    pub(crate) fn blob(self) -> &'static str {
        &BLOB_DIGESTS[self.number][usize::from(self.algorithm == Algorithm::Sha512)]
    }

    /// The digest of the document.
    pub(crate) fn manifest(self) -> &'static str {
        &MANIFEST_DIGESTS[self.number][usize::from(self.algorithm == Algorithm::Sha512)]
    }
}

pub(crate) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// Both names of each of `count` things.
pub(crate) fn all_named(count: usize) -> impl Iterator<Item = Named> {
    (0..count).flat_map(|number| ALGORITHMS.map(|algorithm| Named { number, algorithm }))
}

pub(crate) const CONTENT_COUNT: usize = 5;

/// Nothing; what an artifact has for a configuration; one byte, whose range is that of nothing;
/// more than the smallest piece of a `MemoryStore`; more than it copies.
pub(crate) static CONTENTS: LazyLock<[Bytes; CONTENT_COUNT]> = LazyLock::new(|| {
    let [empty, config, one] = ["", "{}", "1"].map(Bytes::from);
    [empty, config, one, noise(5_000), noise(70_000)]
});

static BLOB_DIGESTS: LazyLock<Vec<[String; 2]>> =
    LazyLock::new(|| CONTENTS.iter().map(digests_of).collect());

static MANIFEST_DIGESTS: LazyLock<Vec<[String; 2]>> = LazyLock::new(|| {
    DOCUMENTS
        .iter()
        .map(|document| digests_of(&document.bytes))
        .collect()
});

fn digests_of(content: &Bytes) -> [String; 2] {
    ALGORITHMS.map(|algorithm| algorithm.digest(content).to_string())
}

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const OPAQUE: &str = "application/vnd.example.thing+json";

/// The types whose content has to be there.
pub(crate) const KNOWN_TYPES: [&str; 3] = [IMAGE, INDEX, DOCKER];

pub(crate) const FIRST_ARTIFACT: &str = "application/vnd.example.first";
pub(crate) const SECOND_ARTIFACT: &str = "application/vnd.example.second";

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// The largest manifest that is taken: one document is larger.
pub(crate) const MANIFEST_SIZE: usize = 4_000;

/// What may be pushed as a manifest, and all that a registry has to know of it.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) bytes: Bytes,
    /// What clients send it as.
    pub(crate) media_type: &'static str,
    /// What it says that it is.
    pub(crate) declared_type: Option<&'static str>,
    pub(crate) is_broken: bool,
    /// The blobs that it is made of.
    pub(crate) blobs: Vec<&'static str>,
    /// The entries of an index: manifests or blobs.
    pub(crate) entries: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) artifact_type: Option<&'static str>,
    pub(crate) annotations: Option<Value>,
}

impl Document {
    fn new(media_type: &'static str, json: &Value) -> Self {
        let declared = json["mediaType"].is_string();
        Self {
            bytes: json.to_string().into(),
            media_type,
            declared_type: declared.then_some(media_type),
            ..Self::default()
        }
    }

    /// A descriptor of this document, named with `algorithm`.
    fn descriptor(&self, algorithm: Algorithm) -> Value {
        let digest = algorithm.digest(&self.bytes).to_string();
        json!({"mediaType": self.media_type, "digest": digest, "size": self.bytes.len()})
    }

    fn digest(&self, algorithm: Algorithm) -> String {
        algorithm.digest(&self.bytes).to_string()
    }
}

fn blob(media_type: &str, number: usize, algorithm: Algorithm) -> (&'static str, Value) {
    let digest = Named { number, algorithm }.blob();
    let size = CONTENTS[number].len();
    let json = json!({"mediaType": media_type, "digest": digest, "size": size});
    (digest, json)
}

pub(crate) const DOCUMENT_COUNT: usize = 11;

pub(crate) static DOCUMENTS: LazyLock<[Document; DOCUMENT_COUNT]> = LazyLock::new(|| {
    let first = image();
    let second = image_of_many_layers();
    let index = index(&first, &second);
    let listed = index_with_subject(&index);
    let referrers = [
        artifact(&first),
        artifact_by_configuration(&first),
        opaque(&first),
    ];
    let [artifact, by_configuration, opaque] = referrers;
    [
        first,
        second,
        index,
        cache(),
        artifact,
        by_configuration,
        listed,
        opaque,
        untyped(),
        broken(),
        large(),
    ]
});

/// The documents that others have as their subject.
pub(crate) const SUBJECTS: [usize; 2] = [0, 2];

fn image() -> Document {
    let (config_digest, config) =
        blob("application/vnd.oci.image.config.v1+json", 1, ALGORITHMS[0]);
    let (layer_digest, layer) = blob(LAYER, 2, ALGORITHMS[0]);
    let json = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer],
    });
    Document {
        blobs: vec![config_digest, layer_digest],
        ..Document::new(IMAGE, &json)
    }
}

/// One layer is empty, one is named with SHA-512, and one is nobody's to push.
fn image_of_many_layers() -> Document {
    let (config_digest, config) =
        blob("application/vnd.oci.image.config.v1+json", 1, ALGORITHMS[1]);
    let (empty_digest, empty) = blob(LAYER, 0, ALGORITHMS[0]);
    let (layer_digest, layer) = blob(LAYER, 3, ALGORITHMS[0]);
    let digest = ALGORITHMS[0].digest("of somebody else").to_string();
    let foreign = json!({"mediaType": FOREIGN_LAYER, "digest": digest, "size": 16});
    let json = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "config": config,
        "layers": [empty, layer, foreign],
    });
    Document {
        blobs: vec![config_digest, empty_digest, layer_digest],
        ..Document::new(IMAGE, &json)
    }
}

fn index(first: &Document, second: &Document) -> Document {
    let [short, long] = ALGORITHMS;
    let json = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [first.descriptor(short), second.descriptor(long)],
    });
    Document {
        entries: vec![first.digest(short), second.digest(long)],
        ..Document::new(INDEX, &json)
    }
}

/// As BuildKit keeps its cache: the entries are blobs.
// protocol 76
fn cache() -> Document {
    let (layer_digest, layer) = blob(LAYER, 2, ALGORITHMS[0]);
    let (config_digest, config) = blob("application/vnd.buildkit.cacheconfig.v0", 1, ALGORITHMS[0]);
    let json = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [layer, config]});
    Document {
        entries: vec![layer_digest.to_owned(), config_digest.to_owned()],
        ..Document::new(INDEX, &json)
    }
}

fn artifact(subject: &Document) -> Document {
    let (config_digest, config) = blob("application/vnd.oci.empty.v1+json", 1, ALGORITHMS[0]);
    let annotations = json!({"org.example.key": "value", "other": ""});
    let json = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "artifactType": FIRST_ARTIFACT,
        "config": config, "layers": [], "subject": subject.descriptor(ALGORITHMS[0]),
        "annotations": annotations,
    });
    Document {
        blobs: vec![config_digest],
        subject: Some(subject.digest(ALGORITHMS[0])),
        artifact_type: Some(FIRST_ARTIFACT),
        annotations: Some(annotations),
        ..Document::new(IMAGE, &json)
    }
}

/// Its configuration says what it is.
// protocol 51
fn artifact_by_configuration(subject: &Document) -> Document {
    let (config_digest, config) = blob(SECOND_ARTIFACT, 1, ALGORITHMS[0]);
    let json = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [],
        "subject": subject.descriptor(ALGORITHMS[0]),
    });
    Document {
        blobs: vec![config_digest],
        subject: Some(subject.digest(ALGORITHMS[0])),
        artifact_type: Some(SECOND_ARTIFACT),
        ..Document::new(IMAGE, &json)
    }
}

fn index_with_subject(subject: &Document) -> Document {
    let json = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [],
        "subject": subject.descriptor(ALGORITHMS[1]),
    });
    Document {
        subject: Some(subject.digest(ALGORITHMS[1])),
        ..Document::new(INDEX, &json)
    }
}

/// It does not say what it is, and may be sent as anything. As a type that no registry knows, nobody
/// asks for what it names; its subject counts in any case.
fn opaque(subject: &Document) -> Document {
    let (layer_digest, layer) = blob(LAYER, 2, ALGORITHMS[0]);
    let json = json!({
        "artifactType": FIRST_ARTIFACT, "layers": [layer],
        "subject": subject.descriptor(ALGORITHMS[0]),
    });
    Document {
        blobs: vec![layer_digest],
        subject: Some(subject.digest(ALGORITHMS[0])),
        artifact_type: Some(FIRST_ARTIFACT),
        ..Document::new(OPAQUE, &json)
    }
}

/// As old clients write it: only the header says what it is.
// protocol 78
fn untyped() -> Document {
    let (layer_digest, layer) = blob(LAYER, 4, ALGORITHMS[0]);
    let json = json!({"schemaVersion": 2, "layers": [layer]});
    Document {
        blobs: vec![layer_digest],
        ..Document::new(IMAGE, &json)
    }
}

fn broken() -> Document {
    Document {
        bytes: "{\"schemaVersion\": 2, ".into(),
        media_type: IMAGE,
        is_broken: true,
        ..Document::default()
    }
}

fn large() -> Document {
    let json = json!({"mediaType": OPAQUE, "annotations": {"large": "x".repeat(MANIFEST_SIZE)}});
    Document::new(OPAQUE, &json)
}
