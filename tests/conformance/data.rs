//! The content that the suite pushes, as JSON of its own: what the crate's builders cannot write is
//! among it.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::*;

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const KIND_1: &str = "application/vnd.example.oci.conformance.v1";
const KIND_2: &str = "application/vnd.example.oci.conformance.v2+json";

/// What is pushed together, and deleted together again.
pub(crate) struct Data {
    name: &'static str,
    algorithm: Algorithm,
    pub(crate) blobs: BTreeMap<Digest, Bytes>,
    /// What is listed comes before what lists it.
    pub(crate) manifests: Vec<Pushed>,
    pub(crate) tags: BTreeMap<String, Digest>,
    /// The entries that the list of referrers of each subject has to have.
    pub(crate) referrers: BTreeMap<Digest, Vec<Value>>,
}

/// One manifest.
pub(crate) struct Pushed {
    pub(crate) manifest: Manifest,
    pub(crate) subject: Option<Digest>,
}

/// The name of a kind of content, and what fills data with it.
type Kind = (&'static str, fn(&mut Data));

/// Every kind of content, by the name that the suite has for it.
const KINDS: [Kind; 17] = [
    ("image", |data| {
        let image = data.image(json!({}));
        data.tag(&image);
    }),
    ("no-layers", |data| {
        let image = data.image(json!({"layers": []}));
        data.tag(&image);
    }),
    ("index", |data| {
        let index = data.platforms(json!({}));
        data.tag(&index);
    }),
    ("index-without-platforms", |data| {
        let children = [data.image(json!({})), data.image(json!({}))];
        let index = data.index(&children, json!({}));
        data.tag(&index);
    }),
    ("empty-index", |data| {
        let index = data.index(&[], json!({}));
        data.tag(&index);
    }),
    ("nested-index", |data| {
        let children = [data.platforms(json!({})), data.platforms(json!({}))];
        let index = data.index(&children, json!({}));
        data.tag(&index);
    }),
    ("deeply-nested-index", |data| {
        let mut index = data.platforms(json!({}));
        for level in 0..5 {
            index = data.index(
                &[index],
                json!({"annotations": {"level": level.to_string()}}),
            );
        }
        data.tag(&index);
    }),
    ("artifact", |data| {
        let artifact = data.artifact(json!({"artifactType": KIND_1}));
        data.tag(&artifact);
    }),
    ("artifact-index", |data| {
        let children = [KIND_1, KIND_2].map(|kind| data.artifact(json!({"artifactType": kind})));
        let index = data.index(&children, json!({"artifactType": KIND_1}));
        data.tag(&index);
    }),
    ("artifact-without-layers", |data| {
        let empty = data.blob(EMPTY, "{}");
        let artifact = data.artifact(json!({"artifactType": KIND_1, "layers": [empty]}));
        data.tag(&artifact);
    }),
    ("artifacts-with-subject", artifacts_with_subject),
    ("index-with-subject", index_with_subject),
    ("missing-subject", missing_subject),
    ("data-field", |data| {
        let mut blobs = [data.config(), data.layer(), data.layer()];
        for blob in &mut blobs {
            let digest: Digest = blob["digest"].as_str().unwrap().parse().unwrap();
            blob["data"] = BASE64.encode(&data.blobs[&digest]).into();
        }
        let [config, layers @ ..] = blobs;
        let image = data.image(json!({"config": config, "layers": layers}));
        data.tag(&image);
    }),
    ("non-distributable-layers", non_distributable_layers),
    ("custom-fields", |data| {
        let mut fields = json!({"org.example.Custom": {"a": [1, null, {}]}, "x": "\u{1F980}"});
        let image = data.image(fields.clone());
        let child = with_fields(image, json!({"y": false, "platform": {"z": 1}}));
        fields["manifestsOf"] = json!([{"digest": "none"}]);
        let index = data.index(&[child], fields);
        data.tag(&index);
    }),
    ("buildkit-attestation", |data| {
        let image = data.image(json!({}));
        let unknown = json!({"architecture": "unknown", "os": "unknown"});
        let of_image = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        });
        let attestation = data.image(json!({"annotations": {"of": "the image"}}));
        let about = json!({"platform": unknown, "annotations": of_image});
        let index = data.index(&[image, with_fields(attestation, about)], json!({}));
        data.tag(&index);
    }),
];

fn artifacts_with_subject(data: &mut Data) {
    let subject = data.image(json!({}));
    data.tag(&subject);
    data.image(json!({"subject": subject}));
    for kind in [KIND_1, KIND_2] {
        let artifact = data.artifact(json!({
            "artifactType": kind,
            "subject": subject,
            "annotations": {"org.example.kind": kind, "org.example.empty": "", "кто": "мы"},
        }));
        data.tag(&artifact);
    }
}

fn index_with_subject(data: &mut Data) {
    let subject = data.platforms(json!({}));
    data.tag(&subject);
    let about = json!({"subject": subject, "annotations": {"a": "b"}});
    let artifact = json!({"artifactType": KIND_1});
    let children = [data.artifact(with_fields(artifact.clone(), about.clone()))];
    let index = data.index(&children, with_fields(artifact, about.clone()));
    data.tag(&index);
    let without_type = data.index(&children, about);
    data.tag(&without_type);
}

fn missing_subject(data: &mut Data) {
    let missing = data.descriptor(IMAGE, b"missing content");
    let artifact = data.artifact(json!({"artifactType": KIND_1, "subject": missing}));
    data.tag(&artifact);
    let index = data.index(&[], json!({"subject": missing}));
    data.tag(&index);
}

fn non_distributable_layers(data: &mut Data) {
    let mut layers = vec![data.layer()];
    for compression in ["", "+gzip"] {
        let kind = format!("application/vnd.oci.image.layer.nondistributable.v1.tar{compression}");
        let mut layer = data.descriptor(&kind, kind.as_bytes());
        let at = format!("https://store.example.com/blobs/{}", layer["digest"]);
        layer["urls"] = json!([at]);
        layers.push(layer);
    }
    let image = data.image(json!({"layers": layers}));
    data.tag(&image);
}

/// `object` with these fields too.
pub(crate) fn with_fields(mut object: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else {
        unreachable!("fields are an object")
    };
    object.as_object_mut().unwrap().extend(fields);
    object
}

impl Data {
    /// Nothing yet.
    pub(crate) fn new(name: &'static str, algorithm: Algorithm) -> Self {
        Self {
            name,
            algorithm,
            blobs: BTreeMap::new(),
            manifests: Vec::new(),
            tags: BTreeMap::new(),
            referrers: BTreeMap::new(),
        }
    }

    /// Every kind of content.
    pub(crate) fn all(algorithm: Algorithm) -> impl Iterator<Item = Self> {
        KINDS.into_iter().map(move |(name, fill)| {
            let mut data = Self::new(name, algorithm);
            fill(&mut data);
            data
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// What names `content`, which is not pushed.
    pub(crate) fn descriptor(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = self.algorithm.digest(content).to_string();
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    }

    pub(crate) fn blob(&mut self, media_type: &str, content: impl Into<Bytes>) -> Value {
        let content = content.into();
        let descriptor = self.descriptor(media_type, &content);
        self.blobs.insert(self.algorithm.digest(&content), content);
        descriptor
    }

    /// A layer of its own, which takes three chunks.
    pub(crate) fn layer(&mut self) -> Value {
        let text = format!("{} {} {}\n", self.name, self.algorithm, self.blobs.len());
        let repetitions = 2 * upload::CHUNK / text.len() + 10;
        self.blob(LAYER, text.repeat(repetitions))
    }

    pub(crate) fn config(&mut self) -> Value {
        let number = self.blobs.len();
        let config = json!({"architecture": "amd64", "os": "linux", "number": number});
        self.blob(CONFIG, config.to_string())
    }

    /// An image with two layers, if `fields` do not say otherwise.
    pub(crate) fn image(&mut self, fields: Value) -> Value {
        let mut image = json!({"schemaVersion": 2, "mediaType": IMAGE});
        if fields.get("config").is_none() {
            image["config"] = self.config();
        }
        if fields.get("layers").is_none() {
            image["layers"] = json!([self.layer(), self.layer()]);
        }
        self.manifest(&with_fields(image, fields))
    }

    /// An artifact with one layer, if `fields` do not say otherwise.
    fn artifact(&mut self, mut fields: Value) -> Value {
        fields["config"] = self.blob(EMPTY, "{}");
        if fields.get("layers").is_none() {
            let mut layer = self.layer();
            layer["mediaType"] = KIND_1.into();
            fields["layers"] = json!([layer]);
        }
        self.image(fields)
    }

    pub(crate) fn index(&mut self, children: &[Value], fields: Value) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
        self.manifest(&with_fields(index, fields))
    }

    /// An index of images for two platforms.
    fn platforms(&mut self, fields: Value) -> Value {
        let children = ["amd64", "arm64"].map(|architecture| {
            let platform = json!({"platform": {"os": "linux", "architecture": architecture}});
            with_fields(self.image(json!({})), platform)
        });
        self.index(&children, fields)
    }

    fn manifest(&mut self, json: &Value) -> Value {
        let media_type = json["mediaType"].as_str().unwrap();
        let bytes = Bytes::from(json.to_string());
        let digest = self.algorithm.digest(&bytes);
        let descriptor = self.descriptor(media_type, &bytes);
        let subject = json["subject"]["digest"].as_str();
        let subject: Option<Digest> = subject.map(|subject| subject.parse().unwrap());
        if let Some(subject) = subject {
            let entry = entry(descriptor.clone(), json);
            self.referrers.entry(subject).or_default().push(entry);
        }
        let manifest = Manifest::verified(digest, media_type.parse().unwrap(), bytes).unwrap();
        self.manifests.push(Pushed { manifest, subject });
        descriptor
    }

    /// Two tags for what `descriptor` names.
    pub(crate) fn tag(&mut self, descriptor: &Value) {
        let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
        for _ in 0..2 {
            let tag = format!("{}-{}", self.name, self.tags.len());
            self.tags.insert(tag, digest);
        }
    }
}

/// The entry of the manifest `json` among the referrers of its subject.
// protocol 51
fn entry(mut entry: Value, json: &Value) -> Value {
    let of_image = || Some(json.get("config")?["mediaType"].clone());
    if let Some(kind) = json.get("artifactType").cloned().or_else(of_image) {
        entry["artifactType"] = kind;
    }
    if let Some(annotations) = json.get("annotations") {
        entry["annotations"] = annotations.clone();
    }
    entry
}
