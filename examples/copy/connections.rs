//! Connections to registries.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tower_oci::{
    BoxError,
    client::{CredentialSource, Credentials, DockerConfig, Network, RegistryClient, RegistryUrl},
};

use crate::{progress::Progress, report::one_line};

/// How registries are reached.
#[derive(Args)]
pub(crate) struct ConnectionArgs {
    /// Trusts the certificate authorities in FILE too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Shows registries the certificate in FILE
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Logs in nowhere
    #[arg(long)]
    anonymous: bool,
}

impl ConnectionArgs {
    /// A client of the registry at `url`, which tells of each retry.
    pub(crate) async fn client(
        &self,
        url: &RegistryUrl,
        progress: &Arc<Progress>,
    ) -> Result<RegistryClient, BoxError> {
        let credentials: Arc<dyn CredentialSource> = match self.anonymous {
            true => Arc::new(Credentials::Anonymous),
            false => Arc::new(DockerConfig::load().await?),
        };
        let progress = progress.clone();
        let client = RegistryClient::builder(url.clone(), self.network()?.build()?)
            .credentials(credentials)
            .on_retry(move |retry| {
                let (error, pause) = (one_line(retry.error), retry.pause);
                progress.note(format_args!("{error}; trying again in {pause:.1?}"));
            });
        Ok(client.build())
    }

    fn network(&self) -> Result<Network, BoxError> {
        let mut network = Network::new();
        if let Some(path) = &self.ca {
            let trusted = network.trust(&read(path)?);
            network = trusted.map_err(|error| about(path, &error))?;
        }
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            let identity = network.identity(&read(certificate)?, &read(key)?);
            network = identity.map_err(|error| about(certificate, &error))?;
        }
        Ok(network)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BoxError> {
    std::fs::read(path).map_err(|error| about(path, &error))
}

fn about(path: &Path, error: &(dyn Error + 'static)) -> BoxError {
    format!("{}: {}", path.display(), one_line(error)).into()
}
