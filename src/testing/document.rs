//! What the builders have in common: manifests as JSON, and the blobs that they name.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;

use super::BuildError;
use crate::{
    body::BytesBody,
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    image::{Image, Origin},
    manifest::Manifest,
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName},
    source::{
        Blob, BlobSource, DynSource, Found, GetBlob, GetManifest, MissingContent, SourceError,
    },
};

/// A blob that a manifest is to name.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) media_type: MediaType,
    pub(super) bytes: Bytes,
}

/// An image manifest or an index, in the order of fields that the specification has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) schema_version: u32,
    pub(super) media_type: MediaType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<ArtifactType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layers: Option<Vec<Descriptor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifests: Option<Vec<Descriptor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Document {
    pub(super) fn into_image(
        self,
        contents: Contents,
        children: Vec<Image>,
    ) -> Result<Image, BuildError> {
        let json = serde_json::to_vec(&self).map_err(|error| BuildError::Config(error.into()))?;
        let digest = contents.algorithm.digest(&json);
        let manifest = Manifest::trusted(digest, self.media_type, json);
        Ok(Image::assemble(
            manifest,
            children,
            &contents.into_origin(),
        )?)
    }
}

pub(super) fn descriptor_of(image: &Image) -> Descriptor {
    let manifest = image.manifest();
    Descriptor::new(
        manifest.media_type().clone(),
        *manifest.digest(),
        manifest.size(),
    )
}

/// The blobs of an image that was built: a source that has no manifests.
pub(super) struct Contents {
    algorithm: Algorithm,
    blobs: HashMap<Digest, Bytes>,
}

impl Contents {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            blobs: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, media_type: MediaType, bytes: Bytes) -> Descriptor {
        let digest = self.algorithm.digest(&bytes);
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        self.blobs.insert(digest, bytes);
        descriptor
    }

    fn into_origin(self) -> Origin {
        Origin {
            source: DynSource::new(self),
            // Nobody asks it where they are.
            repository: RepositoryName::constant("built"),
        }
    }
}

impl BlobSource for Contents {
    type Body = BytesBody;

    async fn manifest(
        &self,
        _: &RepositoryName,
        _: &Reference,
        _: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        Err(SourceError::NotFound(MissingContent::Manifest))
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<BytesBody>, SourceError> {
        let bytes = self.blobs.get(digest);
        let bytes = bytes.ok_or(SourceError::NotFound(MissingContent::Blob))?;
        Blob::from_bytes(bytes.clone(), &options)
    }
}
