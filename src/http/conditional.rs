//! Conditional requests. The entity tag of content is its digest, quoted.

use http::{HeaderMap, HeaderName, header};

use crate::{digest::Digest, store::Precondition};

/// The preconditions of a request.
///
/// There are no dates: content that is named by its digest has no modification time, so
/// `If-Modified-Since` and `If-Unmodified-Since` are ignored (RFC 9110 §13.1.3).
#[derive(Debug)]
pub(crate) struct Conditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
}

/// What the preconditions say of content that exists.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request is carried out.
    Proceed,
    /// The client has the content: 304.
    NotModified,
    /// The content is not the one that the client means: 412.
    Failed,
}

impl Conditions {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            if_match: EntityTags::of(headers, &header::IF_MATCH),
            if_none_match: EntityTags::of(headers, &header::IF_NONE_MATCH),
        }
    }

    /// Applies the preconditions, in the order of RFC 9110 §13.2.2, to content with `digest`.
    pub(crate) fn judge(&self, digest: &Digest) -> Verdict {
        let differs = |tags: &EntityTags| !tags.matches(digest, Comparison::Strong);
        let is_known = |tags: &EntityTags| tags.matches(digest, Comparison::Weak);
        if self.if_match.as_ref().is_some_and(differs) {
            Verdict::Failed
        } else if self.if_none_match.as_ref().is_some_and(is_known) {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        }
    }

    /// What a write demands of what it would replace. A tag that is no digest matches nothing, and
    /// a weak one does not match strongly.
    // RFC 9110 §13.1.1 and §13.1.2
    pub(crate) fn of_write(&self) -> Precondition {
        let precondition = Precondition::default();
        let precondition = match &self.if_match {
            None => precondition,
            Some(EntityTags::Any) => precondition.must_exist(),
            Some(tags) => precondition.if_match(tags.digests(Comparison::Strong)),
        };
        match &self.if_none_match {
            None => precondition,
            Some(EntityTags::Any) => precondition.create_only(),
            Some(tags) => precondition.unless(tags.digests(Comparison::Weak)),
        }
    }

    /// The digests of content that the client has already.
    pub(crate) fn known_digests(&self) -> Vec<Digest> {
        let tags = self.if_none_match.as_ref();
        tags.map(|tags| tags.digests(Comparison::Weak))
            .unwrap_or_default()
    }

    /// Whether the client has whatever there is: `If-None-Match: *`.
    pub(crate) fn knows_any(&self) -> bool {
        matches!(self.if_none_match, Some(EntityTags::Any))
    }
}

/// Whether `If-Range` lets the `Range` of this request count for content with `digest`.
///
/// A weak tag or a date never does: only the strong entity tag says that parts fit together.
// RFC 9110 §13.1.5
pub(crate) fn if_range_holds(headers: &HeaderMap, digest: &Digest) -> bool {
    match EntityTags::of(headers, &header::IF_RANGE) {
        None => true,
        Some(EntityTags::Any) => false,
        Some(tags) => tags.matches(digest, Comparison::Strong),
    }
}

/// The entity tags of a header, over all its lines.
#[derive(Debug)]
enum EntityTags {
    Any,
    List(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    weak: bool,
    opaque: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Weak tags match nothing.
    Strong,
    /// Weakness is ignored.
    Weak,
}

impl EntityTags {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut tags = Vec::new();
        let mut is_present = false;
        for line in headers.get_all(name) {
            is_present = true;
            // A tag with other bytes than ASCII is no digest, so it matches nothing.
            let line = line.to_str().unwrap_or_default().trim();
            if line == "*" {
                return Some(Self::Any);
            }
            tags.extend(entity_tags(line));
        }
        is_present.then_some(Self::List(tags))
    }

    fn matches(&self, digest: &Digest, comparison: Comparison) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => {
                let digest = digest.to_string();
                tags.iter().any(|tag| {
                    tag.opaque == digest && !(tag.weak && comparison == Comparison::Strong)
                })
            }
        }
    }

    fn digests(&self, comparison: Comparison) -> Vec<Digest> {
        match self {
            Self::Any => Vec::new(),
            Self::List(tags) => tags
                .iter()
                .filter(|tag| !(tag.weak && comparison == Comparison::Strong))
                .filter_map(|tag| tag.opaque.parse().ok())
                .collect(),
        }
    }
}

/// The entity tags of one line: `"a"`, `W/"a"`, and the bare `a` that some clients send.
// RFC 9110 §8.8.3
fn entity_tags(line: &str) -> Vec<EntityTag> {
    let mut tags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return tags;
        }
        let (weak, tag) = match rest.strip_prefix("W/") {
            Some(tag) => (true, tag),
            None => (false, rest),
        };
        // A quoted tag may hold a comma; what has no closing quote is no tag, and ends the list.
        let (opaque, after) = match tag.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some(parts) => parts,
                None => return tags,
            },
            None => tag.split_once(',').unwrap_or((tag, "")),
        };
        tags.push(EntityTag {
            weak,
            opaque: opaque.trim_end().to_owned(),
        });
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Vec<(bool, String)> {
        let tags = entity_tags(line).into_iter();
        tags.map(|tag| (tag.weak, tag.opaque)).collect()
    }

    #[test]
    fn entity_tags_are_read_quoted_weak_bare_and_with_commas() {
        let expected = [
            (false, "a,b".to_owned()),
            (true, "c".to_owned()),
            (false, "sha256:d".to_owned()),
            (false, String::new()),
        ];
        assert_eq!(parsed(r#""a,b" , W/"c",, sha256:d ,"" "#), expected);
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_the_list() {
        assert_eq!(parsed(r#""a", "b"#), [(false, "a".to_owned())]);
    }
}
