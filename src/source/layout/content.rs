//! What a manifest says, as far as finding content needs it.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    descriptor::Descriptor,
    digest::Digest,
    manifest::{Manifest, ManifestView},
    media_type::MediaType,
    text::with_causes,
};

/// What a piece of content says of itself and others. Kept, so that a later walk need not read it
/// again.
pub(super) struct Content {
    /// The type that the descriptor gives it.
    pub(super) stated: MediaType,
    /// The same, or its own if the descriptor gives none.
    pub(super) media_type: MediaType,
    /// Its own, by its `mediaType` or else by the fields that it has.
    pub(super) own_type: Option<MediaType>,
    /// Whether it is a JSON object, as every manifest is.
    pub(super) is_object: bool,
    pub(super) children: Vec<(Digest, u64, MediaType)>,
    /// The entries of an index whose type is not given. Their content tells whether they are
    /// manifests.
    pub(super) untyped: Vec<(Digest, u64)>,
    /// The blobs, each with whether the layout has to have it.
    pub(super) blobs: Vec<(Digest, u64, bool)>,
    /// The subject, and the entry in the list of its referrers.
    pub(super) referrer: Option<(Digest, Arc<Descriptor>)>,
    /// Why it leads to less than its writer may have meant.
    pub(super) faults: Vec<String>,
}

impl Content {
    pub(super) fn of(digest: Digest, stated: &MediaType, bytes: Bytes) -> Self {
        let view = match ManifestView::parse(&bytes) {
            Ok(view) => view,
            Err(error) => {
                let fault = format!("it leads to nothing: {}", with_causes(&error));
                return Self {
                    faults: vec![fault],
                    ..Self::empty(stated)
                };
            }
        };
        let mut content = Self {
            own_type: view.media_type(),
            is_object: true,
            faults: view.faults().collect(),
            ..Self::empty(stated)
        };
        if *stated == MediaType::OCTET_STREAM
            && let Some(own_type) = &content.own_type
        {
            content.media_type = own_type.clone();
        }
        for entry in &view.manifests {
            content.list(entry);
        }
        // Layers that clients get elsewhere may be absent.
        let own_blobs = (view.config.iter().chain(&view.layers))
            .map(|blob| (blob.digest, blob.size, blob.urls.is_empty()));
        content.blobs.extend(own_blobs);
        if let Some(subject) = &view.subject {
            let manifest = Manifest::trusted(digest, content.media_type.clone(), bytes);
            content.referrer = Some((subject.digest, Arc::new(view.referrer(&manifest))));
        }
        content
    }

    /// Whether it says that it is a manifest: by its type, or by naming content.
    pub(super) fn is_manifest(&self) -> bool {
        let names_content =
            !(self.children.is_empty() && self.untyped.is_empty() && self.blobs.is_empty());
        self.is_object && (self.media_type.is_manifest() || names_content)
    }

    /// An entry of an index. It may be absent.
    fn list(&mut self, entry: &Descriptor) {
        let Descriptor {
            digest,
            size,
            media_type,
            ..
        } = entry;
        if media_type.is_manifest() {
            self.children.push((*digest, *size, media_type.clone()));
        } else if *media_type == MediaType::OCTET_STREAM {
            self.untyped.push((*digest, *size));
        } else {
            self.blobs.push((*digest, *size, false));
        }
    }

    /// That of what is not a JSON object. As a manifest it is served, and leads nowhere.
    fn empty(stated: &MediaType) -> Self {
        Self {
            stated: stated.clone(),
            media_type: stated.clone(),
            own_type: None,
            is_object: false,
            children: Vec::new(),
            untyped: Vec::new(),
            blobs: Vec::new(),
            referrer: None,
            faults: Vec::new(),
        }
    }
}
