//! What is copied: an image, one of its platforms, what refers to it.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    str::FromStr,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use tower_oci::{
    BlobSource, BoxError, Descriptor, Digest, DynSource, Found, GetManifest, Image, ImageError,
    LayoutSource, ListReferrers, Listing, Manifest, Page, Platform, RemoteSource, RepositoryName,
    SourceError,
    client::{RegistryClient, RegistryUrl},
};

use crate::{
    connections::ConnectionArgs,
    place::{ImageName, Location},
    progress::{Counted, Progress},
};

/// A configuration that tells its platform is smaller than this.
const LARGEST_CONFIG: u64 = 4 << 20;

/// How many artifacts may refer to an image and to each other, and in how many pages they are listed.
const MOST_REFERRERS: usize = 1_000;

/// Where images come from.
pub(crate) struct Origin {
    source: DynSource,
    repository: RepositoryName,
    /// The client of the registry, if it is one.
    client: Option<RegistryClient>,
}

impl Origin {
    /// Opens a layout or an archive, or prepares to ask a registry.
    pub(crate) async fn open(
        location: &Location,
        connections: &ConnectionArgs,
        progress: &Arc<Progress>,
    ) -> Result<Self, BoxError> {
        let (source, repository, client) = match location {
            Location::Registry(url, repository) => {
                let client = connections.client(url, progress).await?;
                let source = DynSource::new(RemoteSource::new(client.clone()));
                (source, repository.clone(), Some(client))
            }
            Location::Layout(path) | Location::Archive(path) => {
                let repository: RepositoryName = "layout".parse()?;
                let source = LayoutSource::open([(repository.clone(), path)]).await?;
                (DynSource::new(source), repository, None)
            }
        };
        Ok(Self {
            source: DynSource::new(Counted::new(source, progress)),
            repository,
            client,
        })
    }

    /// The client of this registry, and the repository, if it is the one at `url`.
    pub(crate) fn in_registry(
        &self,
        url: &RegistryUrl,
    ) -> Option<(RegistryClient, RepositoryName)> {
        let client = self.client.clone()?;
        (client.registry() == url).then(|| (client, self.repository.clone()))
    }

    /// The image that `name` names, with all that it lists; or the one in it for `platform`.
    pub(crate) async fn image(
        &self,
        name: &ImageName,
        platform: Option<&WantedPlatform>,
    ) -> Result<Image, BoxError> {
        let reference = name.reference().ok_or("it names no image")?;
        let Some(platform) = platform else {
            let image = Image::load(&self.source, &self.repository, &reference).await?;
            name.check(image.manifest())?;
            return Ok(image);
        };
        let options = GetManifest::default();
        let manifest = self.source.manifest(&self.repository, &reference, options);
        let Found::Content(manifest) = manifest.await? else {
            return Err("the source answered a request without conditions with none".into());
        };
        name.check(&manifest)?;
        let digest = match manifest.media_type().is_index() {
            true => platform.choose(&entries(&manifest)?)?,
            false => *manifest.digest(),
        };
        let image = self.load(digest).await?;
        if digest == *manifest.digest() {
            platform.check(&image).await?;
        }
        Ok(image)
    }

    async fn load(&self, digest: Digest) -> Result<Image, BoxError> {
        Ok(Image::load(&self.source, &self.repository, &digest.into()).await?)
    }

    /// What refers to `image`, to an image in it, or to another referrer. What is listed and not
    /// there is left out, and said.
    pub(crate) async fn referrers(
        &self,
        image: &Image,
        progress: &Progress,
    ) -> Result<Vec<Image>, BoxError> {
        let mut referrers = Vec::new();
        let mut seen = HashSet::new();
        let mut subjects = VecDeque::new();
        add_digests(image, &mut seen, &mut subjects);
        while let Some(subject) = subjects.pop_front() {
            for digest in self.referrers_of(&subject).await? {
                if seen.contains(&digest) {
                    continue;
                }
                if referrers.len() == MOST_REFERRERS {
                    return Err(format!("more than {MOST_REFERRERS} artifacts refer to it").into());
                }
                let reference = digest.into();
                let referrer = match Image::load(&self.source, &self.repository, &reference).await {
                    Err(ImageError::Source(SourceError::NotFound(_))) => {
                        progress.note(format_args!(
                            "{digest} refers to {subject}, and is not there"
                        ));
                        continue;
                    }
                    referrer => referrer?,
                };
                // A list that clients keep may have anything in it.
                if referrer.subject().is_some_and(|its| its.digest == subject) {
                    add_digests(&referrer, &mut seen, &mut subjects);
                    referrers.push(referrer);
                }
            }
        }
        Ok(referrers)
    }

    async fn referrers_of(&self, subject: &Digest) -> Result<Vec<Digest>, BoxError> {
        let mut digests = Vec::new();
        let mut after = None;
        for _ in 0..MOST_REFERRERS {
            let page = Page::first(MOST_REFERRERS).after(&after);
            let page = ListReferrers::new(page);
            let listing = self.source.referrers(&self.repository, subject, page).await;
            let Listing { items, next, .. } = match listing {
                Err(SourceError::NotFound(_)) => return Ok(digests),
                listing => listing?,
            };
            digests.extend(items.iter().map(|entry| entry.digest));
            if next.is_none() {
                return Ok(digests);
            }
            after = next;
            if digests.len() > MOST_REFERRERS {
                break;
            }
        }
        Err(format!("the list of what refers to {subject} does not end").into())
    }
}

/// Adds the digests of an image and of all images in it.
fn add_digests(image: &Image, seen: &mut HashSet<Digest>, digests: &mut VecDeque<Digest>) {
    if seen.insert(*image.digest()) {
        digests.push_back(*image.digest());
        for child in image.children() {
            add_digests(child, seen, digests); // at most `Image::MAX_DEPTH` deep
        }
    }
}

/// The entries of an index.
fn entries(index: &Manifest) -> Result<Vec<Descriptor>, BoxError> {
    #[derive(Deserialize)]
    struct Index<'a> {
        #[serde(borrow)]
        manifests: Vec<&'a RawValue>,
    }

    let index: Index<'_> = serde_json::from_slice(index.bytes())?;
    let entries = index.manifests.into_iter();
    Ok(entries
        .map(|entry| entry.get().parse())
        .collect::<Result<_, _>>()?)
}

/// `OS/ARCHITECTURE`, or `OS/ARCHITECTURE/VARIANT`.
#[derive(Clone, Debug)]
pub(crate) struct WantedPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl WantedPlatform {
    /// The first entry for this platform.
    // image-spec, "Image Index", manifests
    fn choose(&self, entries: &[Descriptor]) -> Result<Digest, BoxError> {
        let platforms = entries.iter().filter_map(|entry| {
            let platform = entry.platform.as_ref()?;
            Some((platform, entry.digest))
        });
        let mut others = Vec::new();
        for (platform, digest) in platforms {
            if self.is(platform) {
                return Ok(digest);
            }
            others.push(shown(platform));
        }
        others.truncate(20);
        let others = match others.is_empty() {
            true => "no platform at all".to_owned(),
            false => others.join(", "),
        };
        Err(format!("the index has no image for {self}: it has {others}").into())
    }

    /// Whether `image`, which is in no index, is for this platform.
    async fn check(&self, image: &Image) -> Result<(), BoxError> {
        let config = image
            .config()
            .ok_or("it is neither an image nor an index of images")?;
        let config = image.read_blob_verified(config, LARGEST_CONFIG).await?;
        let platform: Platform = serde_json::from_slice(&config).unwrap_or_default();
        match self.is(&platform) {
            true => Ok(()),
            false => Err(format!("it is for {}, and not for {self}", shown(&platform)).into()),
        }
    }

    fn is(&self, platform: &Platform) -> bool {
        let variant = |variant: &str| match (platform.architecture.as_str(), variant) {
            // There is no other.
            ("arm64", "") => "v8".to_owned(),
            _ => variant.to_owned(),
        };
        let wanted = self.variant.as_deref().map(variant);
        self.os == platform.os
            && self.architecture == platform.architecture
            && wanted.is_none_or(|wanted| wanted == variant(&platform.variant))
    }
}

impl FromStr for WantedPlatform {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self, BoxError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err("a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT".into()),
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(ToOwned::to_owned),
        })
    }
}

impl fmt::Display for WantedPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

fn shown(platform: &Platform) -> String {
    let Platform {
        os,
        architecture,
        variant,
        ..
    } = platform;
    match variant.as_str() {
        "" => format!("{os}/{architecture}"),
        variant => format!("{os}/{architecture}/{variant}"),
    }
}
