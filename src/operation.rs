//! The operations by name.

use std::fmt;

/// Which operation a request was: a label for metrics and logs, left as an extension on every
/// response of [`OciRegistryService`](crate::OciRegistryService).
///
/// ```
/// # use tower::ServiceExt;
/// # use tower_oci::{MemoryStore, OciRegistryService, Operation};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = OciRegistryService::new(MemoryStore::new());
/// let request = http::Request::get("/v2/").body(String::new())?;
/// let response = registry.oneshot(request).await?;
/// assert_eq!(response.extensions().get(), Some(&Operation::Ping));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `GET /v2/`.
    Ping,
    /// `GET` of a manifest.
    GetManifest,
    /// `HEAD` of a manifest.
    HeadManifest,
    /// `GET` of a blob.
    GetBlob,
    /// `HEAD` of a blob.
    HeadBlob,
    /// `POST` that opens an upload session.
    StartUpload,
    /// `POST` of a whole blob.
    PushBlob,
    /// `POST` that mounts a blob from another repository.
    MountBlob,
    /// `GET` of an upload session.
    UploadStatus,
    /// `PATCH` of an upload session.
    AppendUpload,
    /// `PUT` that ends an upload session.
    FinishUpload,
    /// `DELETE` of an upload session.
    CancelUpload,
    /// `PUT` of a manifest.
    PutManifest,
    /// `DELETE` of a manifest or a tag.
    DeleteManifest,
    /// `DELETE` of a blob.
    DeleteBlob,
    /// The list of tags.
    ListTags,
    /// The list of referrers.
    ListReferrers,
    /// The catalog.
    ListRepositories,
    /// A request that is none of the protocol's, or malformed.
    Invalid,
}

impl Operation {
    /// The name in snake case: `get_manifest`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::GetManifest => "get_manifest",
            Self::HeadManifest => "head_manifest",
            Self::GetBlob => "get_blob",
            Self::HeadBlob => "head_blob",
            Self::StartUpload => "start_upload",
            Self::PushBlob => "push_blob",
            Self::MountBlob => "mount_blob",
            Self::UploadStatus => "upload_status",
            Self::AppendUpload => "append_upload",
            Self::FinishUpload => "finish_upload",
            Self::CancelUpload => "cancel_upload",
            Self::PutManifest => "put_manifest",
            Self::DeleteManifest => "delete_manifest",
            Self::DeleteBlob => "delete_blob",
            Self::ListTags => "list_tags",
            Self::ListReferrers => "list_referrers",
            Self::ListRepositories => "list_repositories",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
