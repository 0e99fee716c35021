//! Manifests and tags, and what is deleted.

use super::{Answer, Expected, Held, MOST_TAGS, Oracle, Repository};
use crate::{
    operations::{Conditions, PutManifest, PutTo, SentAs},
    requests::Sent,
    universe::{DOCKER, DOCUMENTS, Document, IMMUTABLE, KNOWN_TYPES, MANIFEST_SIZE, Named, OPAQUE},
};

impl Oracle {
    // protocol 35 to 44
    pub(super) fn put_manifest(&mut self, put: &PutManifest, sent: &Sent) -> Answer {
        let by_tag = match put.to {
            PutTo::Tag(tag) => Some(tag),
            PutTo::Digest(_) | PutTo::WrongDigest(_) => None,
        };
        if by_tag.is_none() && put.tags.len() > MOST_TAGS {
            return Err(Expected::error(414, "MANIFEST_INVALID"));
        }
        sent.received_manifest(MANIFEST_SIZE)?;
        let (digest, media_type) = check_document(put)?;
        let document = &DOCUMENTS[put.document];

        self.check_room(put.repository)?;
        let empty = Repository::default();
        let repository = self.repositories.get(put.repository).unwrap_or(&empty);
        let tags = by_tag.map_or_else(|| put.tags.clone(), |tag| vec![tag]);
        self.check_preconditions(repository, put, digest, &tags)?;
        if KNOWN_TYPES.contains(&media_type) && !self.options.allows_sparse_manifests {
            check_references(repository, document)?;
        }

        let repository = self.repositories.entry(put.repository).or_default();
        let held = Held {
            document: put.document,
            media_type,
        };
        repository.manifests.insert(digest, held);
        for tag in &tags {
            repository.tags.insert(tag, digest);
        }
        let location = format!("/v2/{}/manifests/{digest}", put.repository);
        // Who pushes by tag knows the tag, and is told that no other was set.
        let mut told = if by_tag.is_some() { Vec::new() } else { tags };
        told.sort_unstable();
        told.dedup();
        Ok(Expected::status(201)
            .header("location", location)
            .header("docker-content-digest", digest)
            .header("oci-subject", document.subject.clone().unwrap_or_default())
            .header("oci-tag", told.join(",")))
    }

    /// A precondition is about what the request names; a tag that does not move is checked always.
    // protocol 91
    fn check_preconditions(
        &self,
        repository: &Repository,
        put: &PutManifest,
        digest: &str,
        tags: &[&str],
    ) -> Result<(), Expected> {
        let current = match put.to {
            PutTo::Tag(tag) => repository.tags.get(tag).copied(),
            _ => repository
                .manifests
                .get_key_value(digest)
                .map(|(digest, _)| *digest),
        };
        let would_move = |tag: &&str| {
            let current = repository.tags.get(tag);
            *tag == IMMUTABLE && current.is_some_and(|current| *current != digest)
        };
        let is_refused = self.options.has_immutable_tag && tags.iter().any(would_move);
        match put.conditions.hold(current, Named::manifest) {
            false => Err(Expected::error(412, "DENIED")),
            true if is_refused => Err(Expected::error(403, "DENIED")),
            true => Ok(()),
        }
    }

    // protocol 57
    pub(super) fn delete_tag(
        &mut self,
        repository: &str,
        tag: &str,
        conditions: &Conditions,
    ) -> Answer {
        let tags = &mut self.deletable(repository)?.tags;
        let digest = *tags.get(tag).ok_or_else(unknown_manifest)?;
        check_delete(conditions, digest, Named::manifest)?;
        tags.remove(tag);
        Ok(Expected::status(202))
    }

    /// Its tags go with it, and so does its entry among the referrers.
    // protocol 55 and 58
    pub(super) fn delete_manifest(
        &mut self,
        repository: &str,
        document: Named,
        conditions: &Conditions,
    ) -> Answer {
        let repository = self.deletable(repository)?;
        let digest = document.manifest();
        repository
            .manifests
            .get(digest)
            .ok_or_else(unknown_manifest)?;
        check_delete(conditions, digest, Named::manifest)?;
        repository.manifests.remove(digest);
        repository.tags.retain(|_, tagged| *tagged != digest);
        Ok(Expected::status(202))
    }

    /// Whether a manifest uses it does not matter.
    // protocol 59
    pub(super) fn delete_blob(
        &mut self,
        repository: &str,
        blob: Named,
        conditions: &Conditions,
    ) -> Answer {
        let blobs = &mut self.deletable(repository)?.blobs;
        let unknown = || Expected::error(404, "BLOB_UNKNOWN");
        blobs.get(blob.blob()).ok_or_else(unknown)?;
        check_delete(conditions, blob.blob(), Named::blob)?;
        blobs.remove(blob.blob());
        Ok(Expected::status(202))
    }

    fn deletable(&mut self, repository: &str) -> Result<&mut Repository, Expected> {
        match self.options.allows_deletes {
            true => self.repository(repository),
            false => Err(Expected::error(405, "UNSUPPORTED")),
        }
    }
}

/// The digest and the media type of the manifest, if it is what the request says.
// protocol 36, 37 and 41
fn check_document(put: &PutManifest) -> Result<(&'static str, &'static str), Expected> {
    let document = &DOCUMENTS[put.document];
    let invalid = || Expected::error(400, "MANIFEST_INVALID");
    let media_type = match put.sent_as {
        SentAs::Own => document.media_type,
        SentAs::Missing => document.declared_type.ok_or_else(invalid)?,
        SentAs::Docker => DOCKER,
        SentAs::Opaque => OPAQUE,
    };
    let named = |algorithm| Named {
        number: put.document,
        algorithm,
    };
    let digest = match put.to {
        PutTo::Tag(_) => named(tower_oci::Algorithm::Sha256).manifest(),
        PutTo::Digest(algorithm) => named(algorithm).manifest(),
        PutTo::WrongDigest(other) => other.manifest(),
    };
    if matches!(put.to, PutTo::WrongDigest(other) if other.number != put.document) {
        return Err(Expected::error(400, "DIGEST_INVALID"));
    }
    let is_declared = document
        .declared_type
        .is_none_or(|declared| declared == media_type);
    match is_declared && !document.is_broken {
        true => Ok((digest, media_type)),
        false => Err(invalid()),
    }
}

/// One error for each that is missing.
// protocol 39 and 76
fn check_references(repository: &Repository, document: &Document) -> Result<(), Expected> {
    let is_blob = |digest: &str| repository.blobs.contains_key(digest);
    let is_manifest = |digest: &str| repository.manifests.contains_key(digest);
    let blobs = document.blobs.iter().filter(|digest| !is_blob(digest));
    let entries = document.entries.iter();
    let entries = entries.filter(|digest| !is_blob(digest) && !is_manifest(digest));
    match blobs.count() + entries.count() {
        0 => Ok(()),
        missing => Err(Expected {
            codes: vec!["MANIFEST_BLOB_UNKNOWN"; missing],
            ..Expected::status(400)
        }),
    }
}

fn check_delete(
    conditions: &Conditions,
    current: &str,
    digest: impl Fn(Named) -> &'static str,
) -> Result<(), Expected> {
    match conditions.hold(Some(current), digest) {
        true => Ok(()),
        false => Err(Expected::error(412, "DENIED")),
    }
}

fn unknown_manifest() -> Expected {
    Expected::error(404, "MANIFEST_UNKNOWN")
}
