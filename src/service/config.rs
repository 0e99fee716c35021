//! How a registry behaves, beyond what its store decides.

use std::{fmt, sync::Arc};

use super::OciRegistryService;
use crate::{
    limits::Limits,
    mount::{InvalidMount, Mount},
    name::{RepositoryName, Tag},
    request::AllowedMethods,
    store::ReferenceCheck,
};

/// What an embedder has set.
#[derive(Clone)]
pub(crate) struct Config {
    pub(super) mount: Option<Mount>,
    pub(super) trust_forwarded_prefix: bool,
    /// Whether writes reach the store at all.
    pub(super) is_writable: bool,
    allows_deletes: bool,
    pub(crate) allows_anonymous_mounts: bool,
    pub(crate) reference_check: ReferenceCheck,
    immutable_tags: Option<TagFilter>,
    pub(crate) limits: Limits,
}

type TagFilter = Arc<dyn Fn(&RepositoryName, &Tag) -> bool + Send + Sync>;

impl Config {
    pub(super) fn new(is_writable: bool) -> Self {
        Self {
            mount: None,
            trust_forwarded_prefix: false,
            is_writable,
            allows_deletes: true,
            allows_anonymous_mounts: false,
            reference_check: ReferenceCheck::Required,
            immutable_tags: None,
            limits: Limits::default(),
        }
    }

    /// Whether `tag` may only be created, never moved.
    pub(crate) fn is_immutable(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        let immutable = self.immutable_tags.as_ref();
        immutable.is_some_and(|is_immutable| is_immutable(repository, tag))
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable
    }

    pub(crate) fn allows_deletes(&self) -> bool {
        self.is_writable && self.allows_deletes
    }

    /// Those of `methods` that this registry answers.
    pub(crate) fn allowed(&self, methods: AllowedMethods) -> Vec<http::Method> {
        let mut allowed = methods.reads().to_vec();
        if self.is_writable() {
            allowed.extend_from_slice(methods.writes());
        }
        if self.allows_deletes() {
            allowed.extend_from_slice(methods.deletes());
        }
        allowed
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("mount", &self.mount)
            .field("is_writable", &self.is_writable)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<S> OciRegistryService<S> {
    /// Says that the service gets whole paths, which begin with `prefix`: `/registry/v2`.
    ///
    /// # Errors
    ///
    /// [`InvalidMount`] if that is not an absolute path of visible ASCII characters.
    pub fn served_at(self, prefix: &str) -> Result<Self, InvalidMount> {
        let mount = Some(Mount::served_at(prefix)?);
        Ok(self.configured(|config| config.mount = mount))
    }

    /// Says that the service gets paths from which `prefix` was taken away, in a way that it
    /// cannot see itself. Under axum's `nest_service` this is not needed.
    ///
    /// # Errors
    ///
    /// [`InvalidMount`] if that is not an absolute path of visible ASCII characters.
    pub fn nested_at(self, prefix: &str) -> Result<Self, InvalidMount> {
        let mount = Some(Mount::nested_at(prefix)?);
        Ok(self.configured(|config| config.mount = mount))
    }

    /// Says whether links begin with the request's `X-Forwarded-Prefix`. The default is no.
    ///
    /// Only for a service that nothing but a proxy can reach, which sets that header or takes it
    /// away: from anybody else it would put links into responses as they like.
    #[must_use]
    pub fn trust_forwarded_prefix(self, trust: bool) -> Self {
        self.configured(|config| config.trust_forwarded_prefix = trust)
    }

    /// Sets what is accepted at most.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.configured(|config| config.limits = limits)
    }

    /// Says whether tags, manifests and blobs can be deleted. The default is yes, in a registry that
    /// takes writes; without it a delete is answered with 405.
    ///
    /// Uploads can be cancelled all the same.
    #[must_use]
    pub fn allow_deletes(self, allow: bool) -> Self {
        self.configured(|config| config.allows_deletes = allow)
    }

    /// Says whether a client may mount a blob without naming the repository that has it. The default
    /// is no.
    ///
    /// It saves uploads, and tells whoever may push that a blob with some digest is somewhere in
    /// the registry. What a caller may not know of is left out if a layer says so with a
    /// [`Visibility`](crate::Visibility).
    // protocol 33
    #[must_use]
    pub fn allow_anonymous_mounts(self, allow: bool) -> Self {
        self.configured(|config| config.allows_anonymous_mounts = allow)
    }

    /// Says whether a manifest may be pushed whose content the repository does not have. The default
    /// is no: it is refused, with an error for each digest that is missing.
    // protocol 39
    #[must_use]
    pub fn allow_sparse_manifests(self, allow: bool) -> Self {
        let check = match allow {
            true => ReferenceCheck::Sparse,
            false => ReferenceCheck::Required,
        };
        self.configured(|config| config.reference_check = check)
    }

    /// Says which tags can be created and not moved. Pushing the same manifest to such a tag again
    /// succeeds, another one is answered with 403. By default all tags move.
    ///
    /// It is about pushes: deleting a tag, and then pushing another, is a matter of the right to
    /// delete ([`allow_deletes`](Self::allow_deletes), [`Action::Delete`](crate::Action::Delete)).
    ///
    /// ```
    /// # use tower_oci::{MemoryStore, OciRegistryService};
    /// // Releases stay what they are.
    /// let registry = OciRegistryService::writable(MemoryStore::new())
    ///     .immutable_tags(|_, tag| tag.as_str().starts_with('v'));
    /// ```
    #[must_use]
    pub fn immutable_tags(
        self,
        is_immutable: impl Fn(&RepositoryName, &Tag) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.configured(|config| config.immutable_tags = Some(Arc::new(is_immutable)))
    }

    fn configured(mut self, configure: impl FnOnce(&mut Config)) -> Self {
        configure(Arc::make_mut(&mut self.config));
        self
    }
}
