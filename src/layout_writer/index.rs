//! `index.json`, with all that is in it and not known here.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    body::BoxError,
    descriptor::{Annotations, Descriptor, lenient},
    digest::Digest,
    image::Image,
    media_type::MediaType,
    name::Tag,
    source::{
        LayoutError,
        layout::{index::REF_NAME, stamp::LARGEST_INDEX},
    },
};

/// How an image is listed.
#[derive(Clone)]
pub(super) struct Listed {
    descriptor: Descriptor,
    tag: Option<Tag>,
}

impl Listed {
    pub(super) fn of(image: &Image, tag: Option<&Tag>) -> Self {
        let manifest = image.manifest();
        let mut descriptor = Descriptor::new(
            manifest.media_type().clone(),
            *manifest.digest(),
            manifest.size(),
        );
        // image-spec, "Descriptors", artifactType
        let is_plain = image
            .config()
            .is_some_and(|config| is_image_config(&config.media_type));
        descriptor.artifact_type = image.artifact_type().filter(|artifact_type| {
            let of_config = image.config().map(|config| config.media_type.as_str());
            !(is_plain && of_config == Some(artifact_type.as_str()))
        });
        if let Some(tag) = tag {
            let (key, tag) = (REF_NAME.to_owned(), tag.to_string());
            descriptor.annotations.insert(key, tag);
        }
        let tag = tag.cloned();
        Self { descriptor, tag }
    }

    /// Whether an entry says all of this already.
    fn is_said_by(&self, entry: &RawValue) -> bool {
        let new = &self.descriptor;
        Descriptor::parse(entry).is_ok_and(|old| {
            (&old.media_type, old.digest, old.size) == (&new.media_type, new.digest, new.size)
                && (new.artifact_type.is_none() || old.artifact_type == new.artifact_type)
        })
    }
}

/// Whether this is the type of the configuration of an image that runs, and not of an artifact.
fn is_image_config(media_type: &MediaType) -> bool {
    *media_type == MediaType::OCI_CONFIG
        || media_type.as_str() == "application/vnd.docker.container.image.v1+json"
}

/// An `index.json` without entries.
pub(super) const EMPTY: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// An `index.json`: its fields in their order, each as it was written.
pub(super) struct IndexJson {
    fields: Vec<(String, Field)>,
}

enum Field {
    Manifests(Vec<Entry>),
    Other(Box<RawValue>),
}

struct Entry {
    json: Box<RawValue>,
    name: Option<String>,
    digest: Option<Digest>,
}

impl IndexJson {
    /// Reads the `index.json` at `path`.
    pub(super) fn parse(json: &[u8], path: &Path) -> Result<Self, LayoutError> {
        Self::read(json).map_err(|error| LayoutError::Broken {
            path: path.to_owned(),
            error,
        })
    }

    fn read(json: &[u8]) -> Result<Self, BoxError> {
        let Fields(fields) = serde_json::from_slice(json)?;
        let mut index = Self {
            fields: Vec::with_capacity(fields.len()),
        };
        for (key, json) in fields {
            let field = match key.as_str() {
                "manifests" if index.manifests().is_some() => {
                    return Err("it has manifests twice".into());
                }
                "manifests" => {
                    let entries: Option<Vec<Box<RawValue>>> = serde_json::from_str(json.get())?;
                    let entries = entries.unwrap_or_default().into_iter();
                    Field::Manifests(entries.map(Entry::of).collect())
                }
                _ => Field::Other(json),
            };
            index.fields.push((key, field));
        }
        if index.manifests().is_none() {
            let none = Field::Manifests(Vec::new());
            index.fields.push(("manifests".to_owned(), none));
        }
        Ok(index)
    }

    /// Lists images, and gives the `index.json` for `path`.
    pub(super) fn with(mut self, listed: &[Listed], path: &Path) -> Result<Vec<u8>, LayoutError> {
        let broken = |error: serde_json::Error| LayoutError::Broken {
            path: path.to_owned(),
            error: error.into(),
        };
        for image in listed {
            self.list(image).map_err(broken)?;
        }
        let json = serde_json::to_vec(&self).map_err(broken)?;
        if json.len() as u64 > LARGEST_INDEX {
            let (path, limit) = (path.to_owned(), LARGEST_INDEX);
            return Err(LayoutError::TooLarge { path, limit });
        }
        Ok(json)
    }

    /// Lists an image: in the place of the entry that has its tag, or else at the end.
    fn list(&mut self, listed: &Listed) -> Result<(), serde_json::Error> {
        let Some(entries) = self.manifests() else {
            return Ok(());
        };
        let Some(tag) = &listed.tag else {
            let digest = Some(listed.descriptor.digest);
            if entries.iter().all(|entry| entry.digest != digest) {
                entries.push(Entry::of(to_raw_value(&listed.descriptor)?));
            }
            return Ok(());
        };
        let is_named = |entry: &Entry| entry.name.as_deref() == Some(tag.as_str());
        let Some(first) = entries.iter().position(is_named) else {
            entries.push(Entry::of(to_raw_value(&listed.descriptor)?));
            return Ok(());
        };
        if !listed.is_said_by(&entries[first].json) {
            entries[first] = Entry::of(to_raw_value(&listed.descriptor)?);
        }
        let mut at = 0;
        entries.retain(|entry| {
            at += 1;
            at - 1 <= first || !is_named(entry)
        });
        Ok(())
    }

    fn manifests(&mut self) -> Option<&mut Vec<Entry>> {
        self.fields.iter_mut().find_map(|(_, field)| match field {
            Field::Manifests(entries) => Some(entries),
            Field::Other(_) => None,
        })
    }
}

impl Serialize for IndexJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (key, field) in &self.fields {
            match field {
                Field::Other(json) => map.serialize_entry(key, json)?,
                Field::Manifests(entries) => {
                    let entries: Vec<&RawValue> =
                        entries.iter().map(|entry| &*entry.json).collect();
                    map.serialize_entry(key, &entries)?;
                }
            }
        }
        map.end()
    }
}

impl Entry {
    fn of(json: Box<RawValue>) -> Self {
        // Lenient: an entry that makes no sense is kept as well, and has no name.
        let fields: Option<EntryFields<'_>> = serde_json::from_str(json.get()).ok();
        let fields = fields.unwrap_or_default();
        let annotations: Option<Annotations<'_>> = lenient(fields.annotations);
        let name = annotations.and_then(|annotations| {
            let mut annotations = BTreeMap::from(annotations);
            annotations.remove(REF_NAME)
        });
        let digest = lenient(fields.digest);
        Self { name, digest, json }
    }
}

#[derive(Default, Deserialize)]
struct EntryFields<'a> {
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
}

/// The fields of a JSON object, in their order.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
