#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
#[cfg(feature = "fs")]
mod archive;
mod body;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod descriptor;
mod digest;
mod error;
mod handlers;
mod hash;
mod http;
mod image;
#[cfg(feature = "fs")]
mod layout_writer;
mod limits;
mod listing;
mod manifest;
mod media_type;
mod mount;
mod name;
mod operation;
mod request;
mod service;
mod source;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod trace;

pub use access::{Access, Action, Visibility};
pub use body::{BoxError, BytesBody, DynBody, ResponseBody};
pub use clock::Clock;
pub use descriptor::{Descriptor, InvalidDescriptor, Platform};
pub use digest::{Algorithm, Digest, Hasher, InvalidDigest};
pub use error::ErrorCode;
pub use image::{Image, ImageError};
#[cfg(feature = "fs")]
pub use layout_writer::{BlobProgress, BlobState, LayoutWriteError, LayoutWriter, WrittenLayout};
pub use limits::{Limits, UploadLimits};
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
#[cfg(feature = "client")]
pub use source::RemoteSource;
pub use source::{
    Blob, BlobContent, BlobInfo, BlobSource, ByteRange, DynSource, Found, GetBlob, GetManifest,
    ListReferrers, ManifestInfo, MemoryStore, MemoryStoreBuilder, MissingContent, ReadOnly,
    SourceError,
};
#[cfg(feature = "fs")]
pub use source::{FileBody, LayoutError, LayoutSource};
pub use store::{
    BeginUpload, BlobStore, ContentReference, DynStore, MountFrom, NewManifest, Precondition,
    ReferenceCheck, Session, StoredManifest, TagUpdate, UploadBody, UploadStatus,
};
pub use text::Excerpt;
