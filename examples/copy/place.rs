//! Where images are copied from and to.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use http::uri::Authority;
use tower_oci::{BoxError, Digest, Manifest, Reference, RepositoryName, Tag, client::RegistryUrl};

/// An image in a registry, a layout or an archive.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) location: Location,
    pub(crate) name: ImageName,
    /// As it was written.
    text: String,
}

/// What images are kept in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Registry(RegistryUrl, RepositoryName),
    Layout(PathBuf),
    Archive(PathBuf),
}

/// The name of an image: a tag, a digest, or both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageName {
    pub(crate) tag: Option<Tag>,
    digest: Option<Digest>,
}

impl ImageName {
    fn parse(tag: Option<&str>, digest: Option<Digest>) -> Result<Self, BoxError> {
        if tag.is_none() && digest.is_none() {
            return Err("it names no image: add :TAG or @DIGEST".into());
        }
        let tag = tag.map(str::parse).transpose()?;
        Ok(Self { tag, digest })
    }

    /// What the image is asked for by. Where there are both, that is the tag, and
    /// [`check`](Self::check) looks whether it leads to the digest.
    pub(crate) fn reference(&self) -> Option<Reference> {
        let tag = self.tag.clone().map(Reference::Tag);
        tag.or(self.digest.map(Reference::Digest))
    }

    /// Whether `manifest` is the one that is meant.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), BoxError> {
        match self.digest {
            Some(digest) if !digest.verifies(manifest.bytes()) => {
                Err(format!("the image has the digest {}", manifest.digest()).into())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Place {
    type Err = BoxError;

    /// # Errors
    ///
    /// The text names no image. The error quotes nothing that may be a password.
    fn from_str(text: &str) -> Result<Self, BoxError> {
        let (location, name) = if let Some(rest) = text.strip_prefix("oci:") {
            let (path, name) = path_and_name(rest)?;
            (Location::Layout(path), name)
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (path, name) = path_and_name(rest)?;
            (Location::Archive(path), name)
        } else {
            in_registry(text)?
        };
        let text = text.to_owned();
        Ok(Self {
            location,
            name,
            text,
        })
    }
}

/// `PATH:TAG`, `PATH@DIGEST` or `PATH:TAG@DIGEST`. The path may have colons and at signs of its own.
fn path_and_name(text: &str) -> Result<(PathBuf, ImageName), BoxError> {
    let is_digest = |text: &&str| text.starts_with("sha256:") || text.starts_with("sha512:");
    let (text, digest) = match text.rsplit_once('@') {
        Some((text, digest)) if is_digest(&digest) => (text, Some(digest.parse()?)),
        _ => (text, None),
    };
    let (path, tag) = match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    };
    match path {
        "" => Err("it has no path".into()),
        path => Ok((path.into(), ImageName::parse(tag, digest)?)),
    }
}

/// `HOST/REPOSITORY:TAG` and its like, with `http://` or `https://` before it or without.
fn in_registry(text: &str) -> Result<(Location, ImageName), BoxError> {
    let (text, digest) = match text.rsplit_once('@') {
        Some((text, digest)) if !digest.contains('/') => (text, Some(digest.parse()?)),
        _ => (text, None),
    };
    if text.contains('@') {
        return Err("credentials do not belong here: log in with docker or podman".into());
    }
    let (scheme, text) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
        Some((scheme, _)) => return Err(format!("{scheme}:// is not known here").into()),
        None => (None, text),
    };
    let (host, path) = text.split_once('/').ok_or(
        "it is neither HOST/REPOSITORY:TAG nor oci:DIRECTORY:TAG nor oci-archive:FILE:TAG",
    )?;
    let (repository, tag) = match path.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    let scheme = scheme.map_or_else(|| scheme_of(host), Ok)?;
    let url = format!("{scheme}://{host}").parse()?;
    let name = ImageName::parse(tag, digest)?;
    Ok((Location::Registry(url, repository.parse()?), name))
}

/// Without a scheme, TLS is left out only where nobody can listen.
fn scheme_of(host: &str) -> Result<&'static str, BoxError> {
    let authority: Authority = host.parse()?;
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return Ok("http");
    }
    // As Docker tells a host from the first part of a repository's name.
    match host.contains(['.', ':']) {
        true => Ok("https"),
        false => Err(format!("{host} is no host: put one before it, or https://").into()),
    }
}
