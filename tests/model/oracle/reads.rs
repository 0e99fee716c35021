//! What can be read: content and lists.

use std::ops::Range;

use serde_json::{Value, json};

use super::{Answer, DEFAULT_PAGE, Expected, Held, LARGEST_PAGE, Oracle, Repository};
use crate::{
    operations::{ByteRange, Conditions, Page, Reference},
    universe::{CONTENTS, DOCUMENTS, Named},
};

impl Oracle {
    // protocol 45 to 48
    pub(super) fn list_tags(&mut self, repository: &str, page: Page) -> Answer {
        let tags = self.repository(repository)?.tags.keys();
        Ok(list("tags", tags.map(|tag| json!(tag)).collect(), page))
    }

    // protocol 64
    pub(super) fn list_repositories(&self, page: Page) -> Answer {
        let names = self.repositories.keys();
        Ok(list(
            "repositories",
            names.map(|name| json!(name)).collect(),
            page,
        ))
    }

    // protocol 49 to 53
    pub(super) fn list_referrers(
        &self,
        repository: &str,
        subject: Named,
        artifact_type: Option<&str>,
        n: Option<usize>,
    ) -> Answer {
        let repository = self.repositories.get(repository);
        let mut entries = repository.map_or_else(Vec::new, |repository| {
            repository.referrers(subject.manifest())
        });
        if let Some(artifact_type) = artifact_type {
            entries.retain(|entry| entry["artifactType"] == artifact_type);
        }
        let filtered = artifact_type.map_or("", |_| "artifactType");
        let size = n.unwrap_or(usize::MAX);
        Ok(pages("manifests", &entries, size).header("oci-filters-applied", filtered))
    }

    // protocol 14 to 16 and 19
    pub(super) fn read_manifest(
        &mut self,
        repository: &str,
        reference: Reference,
        conditions: &Conditions,
        is_head: bool,
    ) -> Answer {
        let repository = self.repository(repository)?;
        let digest = match reference {
            Reference::Tag(tag) => repository.tags.get(tag).copied(),
            Reference::Digest(document) => Some(document.manifest()),
        };
        let held = digest.and_then(|digest| Some((digest, repository.manifests.get(digest)?)));
        let unknown = || Expected::error(404, "MANIFEST_UNKNOWN");
        let (digest, held) = held.ok_or_else(unknown)?;
        // RFC 9110 §13.2.2: the one that has to match comes first.
        let required = Conditions {
            if_none_match: None,
            ..conditions.clone()
        };
        if !required.hold(Some(digest), Named::manifest) {
            return Err(Expected::error(412, "DENIED"));
        }
        if !conditions.hold(Some(digest), Named::manifest) {
            return Ok(Expected::status(304).header("etag", format!("\"{digest}\"")));
        }
        let bytes = &DOCUMENTS[held.document].bytes;
        Ok(Expected {
            body: (!is_head).then(|| bytes.clone()),
            ..Expected::status(200)
                .header("content-length", bytes.len().to_string())
                .header("content-type", held.media_type)
                .header("docker-content-digest", digest)
        })
    }

    // protocol 17 to 19
    pub(super) fn read_blob(
        &mut self,
        repository: &str,
        blob: Named,
        range: Option<ByteRange>,
        is_head: bool,
    ) -> Answer {
        let blobs = &self.repository(repository)?.blobs;
        let unknown = || Expected::error(404, "BLOB_UNKNOWN");
        let content = &CONTENTS[*blobs.get(blob.blob()).ok_or_else(unknown)?];
        let size = content.len();
        let (status, part) = match range.filter(|_| !is_head && size > 0) {
            None => (200, 0..size),
            Some(range) => (
                206,
                range.within(size).ok_or_else(|| {
                    let unsatisfied = format!("bytes */{size}");
                    Expected::error(416, "SIZE_INVALID").header("content-range", unsatisfied)
                })?,
            ),
        };
        let content_range = match status {
            206 => format!("bytes {}-{}/{size}", part.start, part.end - 1),
            _ => String::new(),
        };
        Ok(Expected {
            body: (!is_head).then(|| content.slice(part.clone())),
            ..Expected::status(status)
                .header("content-length", part.len().to_string())
                .header("content-range", content_range)
                .header("docker-content-digest", blob.blob())
        })
    }
}

impl Repository {
    /// The entries of all manifests with this subject, in the order of their digests.
    // protocol 51
    pub(crate) fn referrers(&self, subject: &str) -> Vec<Value> {
        let all = self.manifests.iter();
        let referrers =
            all.filter(|(_, held)| DOCUMENTS[held.document].subject.as_deref() == Some(subject));
        referrers
            .map(|(digest, held)| entry(digest, *held))
            .collect()
    }
}

fn entry(digest: &str, held: Held) -> Value {
    let document = &DOCUMENTS[held.document];
    let mut entry = json!({
        "mediaType": held.media_type, "digest": digest, "size": document.bytes.len(),
    });
    if let Some(artifact_type) = document.artifact_type {
        entry["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) = &document.annotations {
        entry["annotations"] = annotations.clone();
    }
    entry
}

/// The part of a list in byte order that comes after `page.last`.
fn list(field: &'static str, mut entries: Vec<Value>, page: Page) -> Expected {
    entries.retain(|entry| entry.as_str() > page.last);
    let size = page.n.unwrap_or(DEFAULT_PAGE);
    pages(field, &entries, size.min(LARGEST_PAGE))
}

/// A list in full pages. Who wants no entry gets none, and no link.
fn pages(field: &'static str, entries: &[Value], size: usize) -> Expected {
    let pages: Vec<Vec<Value>> = match size {
        0 => Vec::new(),
        size => entries.chunks(size).map(<[Value]>::to_vec).collect(),
    };
    let pages = if pages.is_empty() {
        vec![Vec::new()]
    } else {
        pages
    };
    Expected {
        pages: Some((field, pages)),
        ..Expected::status(200)
    }
}

impl ByteRange {
    /// The part of `size` bytes that it asks for, if it asks for any.
    // RFC 9110 §14.1.2
    fn within(self, size: usize) -> Option<Range<usize>> {
        let part = match self {
            Self::From(first) => first..size,
            Self::FromTo(first, last) => first..size.min(last + 1),
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (!part.is_empty()).then_some(part)
    }
}
