#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod body;
mod descriptor;
mod digest;
mod error;
mod handlers;
mod http;
mod image;
mod listing;
mod manifest;
mod media_type;
mod mount;
mod name;
mod operation;
mod request;
mod service;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod trace;

pub use access::{Access, Action, Visibility};
pub use body::{BoxError, BytesBody, DynBody, ResponseBody};
pub use descriptor::{Descriptor, InvalidDescriptor, Platform};
pub use digest::{Algorithm, Digest, Hasher, InvalidDigest};
pub use error::ErrorCode;
pub use image::{Image, ImageError};
pub use listing::{Cursor, Listing, Page};
pub use manifest::{InvalidManifest, Manifest};
pub use media_type::{ArtifactType, InvalidArtifactType, InvalidMediaType, MediaType};
pub use mount::{InvalidMount, Mount};
pub use name::{
    InvalidName, InvalidReference, InvalidTag, InvalidUploadId, Reference, RepositoryName, Tag,
    UploadId,
};
pub use operation::Operation;
pub use request::{AllowedMethods, InvalidRequest, OciRequest, PageRequest};
pub use service::{OciRegistryService, ResponseFuture};
pub use source::{
    Blob, BlobContent, BlobInfo, BlobSource, ByteRange, DynSource, Found, GetBlob, GetManifest,
    ListReferrers, ManifestInfo, MemoryStore, MissingContent, ReadOnly, SourceError,
};
#[cfg(feature = "fs")]
pub use source::{FileBody, LayoutError, LayoutSource};
pub use text::Excerpt;
