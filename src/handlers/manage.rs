//! Content management: what is deleted.

use http::StatusCode;

use super::{Answer, Call, bare};
use crate::{
    digest::Digest,
    http::conditional::Conditions,
    name::{Reference, RepositoryName},
    store::{BlobStore, Precondition},
};

impl<S: BlobStore> Call<'_, S> {
    /// `DELETE /v2/<name>/manifests/<reference>`: a tag alone, or a manifest with its tags.
    // protocol 57 and 58
    pub(super) async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<S::Body> {
        let demanded = self.demanded();
        match reference {
            Reference::Tag(tag) => self.store.delete_tag(repository, tag, demanded).await?,
            Reference::Digest(digest) => {
                self.store
                    .delete_manifest(repository, digest, demanded)
                    .await?;
            }
        }
        Ok(bare(StatusCode::ACCEPTED))
    }

    /// `DELETE /v2/<name>/blobs/<digest>`.
    ///
    /// A manifest may still name the blob. All registries but one delete it then: whoever cleans
    /// up deletes in any order, and to refuse would make the order theirs to find out.
    // protocol 59
    pub(super) async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Answer<S::Body> {
        let demanded = self.demanded();
        self.store.delete_blob(repository, digest, demanded).await?;
        Ok(bare(StatusCode::ACCEPTED))
    }

    fn demanded(&self) -> Precondition {
        Conditions::of(self.headers()).of_write()
    }
}
