//! Where images go to.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use tower_oci::{
    BoxError, Image, LayoutWriter, RepositoryName, Tag,
    client::{PushOptions, RegistryUrl},
};

use crate::{connections::ConnectionArgs, images::Origin, place::Location, progress::Progress};

/// Images that are about to be written.
pub(crate) struct Writing<'a> {
    pub(crate) from: &'a Origin,
    pub(crate) images: &'a [(&'a Image, Option<&'a Tag>)],
    /// How many blobs at a time.
    pub(crate) jobs: NonZeroUsize,
    /// How many bytes of a blob are sent to a registry at a time, if not all.
    pub(crate) chunk: Option<u64>,
}

/// What became of the blobs.
#[derive(Default)]
pub(crate) struct Written {
    copied: usize,
    mounted: usize,
    present: usize,
    absent: usize,
}

impl Writing<'_> {
    pub(crate) async fn to(
        &self,
        location: &Location,
        connections: &ConnectionArgs,
        progress: &Arc<Progress>,
    ) -> Result<Written, BoxError> {
        match location {
            Location::Registry(url, repository) => {
                self.push(url, repository, connections, progress).await
            }
            Location::Layout(path) => self.write(LayoutWriter::directory(path)).await,
            Location::Archive(path) => self.write(LayoutWriter::archive(path)).await,
        }
    }

    /// All images in one step: none of them is there without the others.
    async fn write(&self, layout: LayoutWriter) -> Result<Written, BoxError> {
        let layout = layout.concurrency(self.jobs);
        let written = layout.write_all(self.images.iter().copied()).await?;
        Ok(Written {
            copied: written.blobs,
            present: written.present,
            absent: written.absent.len(),
            ..Written::default()
        })
    }

    /// The images one after the other: what refers to another follows it.
    async fn push(
        &self,
        url: &RegistryUrl,
        repository: &RepositoryName,
        connections: &ConnectionArgs,
        progress: &Arc<Progress>,
    ) -> Result<Written, BoxError> {
        let mut options = PushOptions::default();
        options.chunk = self.chunk;
        options.concurrency = self.jobs.get();
        let client = match self.from.in_registry(url) {
            Some((client, from)) => {
                options.mount_from = Some(from);
                client
            }
            None => connections.client(url, progress).await?,
        };
        let mut written = Written::default();
        for &(image, tag) in self.images {
            let pushed = client.push_image(repository, tag, image, &options).await?;
            written.copied += pushed.sent;
            written.mounted += pushed.mounted;
            written.present += pushed.present;
        }
        Ok(written)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            copied,
            mounted,
            present,
            absent,
        } = self;
        write!(f, "{copied} copied")?;
        for (count, what) in [
            (mounted, "mounted"),
            (present, "there already"),
            (absent, "left out, as the source does not have them"),
        ] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
