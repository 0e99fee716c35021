use crate::{digest::Digest, source::SourceError};

/// What must hold of a tag or of a digest for it to be written or deleted.
///
/// A store looks up what the key points at now, [checks](Self::check) that, and changes the key only
/// if it still points there: one compare-and-swap.
///
/// ```
/// # use tower_oci::{Algorithm, Precondition};
/// let (old, new) = (Algorithm::Sha256.digest("old"), Algorithm::Sha256.digest("new"));
/// let immutable = Precondition::default().create_or_same();
/// assert!(immutable.check(None, Some(&new)).is_ok());
/// assert!(immutable.check(Some(&new), Some(&new)).is_ok());
/// assert!(immutable.check(Some(&old), Some(&new)).is_err());
/// assert!(Precondition::default().if_match([old]).check(Some(&old), Some(&new)).is_ok());
/// ```
///
/// Specification: RFC 9110 §13.1.1 and §13.1.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    required: Option<Digests>,
    refused: Option<Digests>,
    is_immutable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Digests {
    Any,
    List(Vec<Digest>),
}

impl Digests {
    fn contain(&self, digest: Option<&Digest>) -> bool {
        digest.is_some_and(|digest| match self {
            Self::Any => true,
            Self::List(list) => list.contains(digest),
        })
    }
}

impl Precondition {
    /// The same, and the key exists: `If-Match: *`.
    #[must_use]
    pub fn must_exist(self) -> Self {
        let required = Some(Digests::Any);
        Self { required, ..self }
    }

    /// The same, and the key points at one of `digests`: `If-Match` with a list.
    #[must_use]
    pub fn if_match(self, digests: impl IntoIterator<Item = Digest>) -> Self {
        let required = Some(Digests::List(digests.into_iter().collect()));
        Self { required, ..self }
    }

    /// The same, and the key does not exist: `If-None-Match: *`.
    #[must_use]
    pub fn create_only(self) -> Self {
        let refused = Some(Digests::Any);
        Self { refused, ..self }
    }

    /// The same, and the key points at none of `digests`: `If-None-Match` with a list.
    #[must_use]
    pub fn unless(self, digests: impl IntoIterator<Item = Digest>) -> Self {
        let refused = Some(Digests::List(digests.into_iter().collect()));
        Self { refused, ..self }
    }

    /// The same, and the key does not exist, or points at what is written already: what an
    /// immutable tag demands.
    #[must_use]
    pub fn create_or_same(self) -> Self {
        Self {
            is_immutable: true,
            ..self
        }
    }

    /// Checks it for a key that points at `current` and shall point at `new`. A key that does not
    /// exist points at nothing, and one that is deleted shall.
    ///
    /// # Errors
    ///
    /// - [`PreconditionFailed`](SourceError::PreconditionFailed): the key does not point where the
    ///   caller wants it to.
    /// - [`Immutable`](SourceError::Immutable): it does, and must not move.
    pub fn check(&self, current: Option<&Digest>, new: Option<&Digest>) -> Result<(), SourceError> {
        let required = self.required.as_ref();
        let refused = self.refused.as_ref();
        if required.is_some_and(|digests| !digests.contain(current))
            || refused.is_some_and(|digests| digests.contain(current))
        {
            return Err(SourceError::PreconditionFailed);
        }
        match self.is_immutable && current.is_some() && current != new {
            true => Err(SourceError::Immutable),
            false => Ok(()),
        }
    }
}
