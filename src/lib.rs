mod body;
mod descriptor;
mod digest;
mod image;
mod listing;
mod manifest;
mod media_type;
mod name;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod trace;

pub use body::{BoxError, BytesBody, DynBody, ResponseBody};
pub use descriptor::{Descriptor, InvalidDescriptor, Platform};
pub use digest::{Algorithm, Digest, Hasher, InvalidDigest};
pub use image::{Image, ImageError};
pub use listing::{Cursor, Listing, Page};
pub use manifest::{InvalidManifest, Manifest};
pub use media_type::{ArtifactType, InvalidArtifactType, InvalidMediaType, MediaType};
pub use name::{
    InvalidName, InvalidReference, InvalidTag, InvalidUploadId, Reference, RepositoryName, Tag,
    UploadId,
};
pub use source::{
    Blob, BlobContent, BlobInfo, BlobSource, ByteRange, DynSource, Found, GetBlob, GetManifest,
    ListReferrers, ManifestInfo, MemoryStore, MissingContent, ReadOnly, SourceError,
};
#[cfg(feature = "fs")]
pub use source::{FileBody, LayoutError, LayoutSource};
pub use text::Excerpt;
