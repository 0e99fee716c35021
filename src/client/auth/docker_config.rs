//! The credentials that `docker login`, `podman login` and their like have stored.

use std::{
    collections::BTreeMap,
    env, fmt, io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::{fs::File, io::AsyncReadExt};

use self::{helper::Helper, location::Variables};
use super::credentials::{CredentialSource, Credentials};
use crate::{body::BoxError, name::RepositoryName, text::Excerpt};

mod helper;
mod key;
mod location;

/// The stored credentials of a user: `~/.docker/config.json` and the files like it.
///
/// It is what the files held when they were read: a later `docker login` is not seen. What a
/// credential helper stores is asked for each time.
///
/// In a file, the first of these that has credentials for the registry is taken:
///
/// 1. The program of the registry in `credHelpers`. If the registry has one, nothing else in this
///    file counts.
/// 2. The entry in `auths` that is for the longest part of `registry/namespace/repository`. Entries
///    of a whole registry may be written as a URL. `docker.io`, `index.docker.io` and
///    `registry-1.docker.io` are one registry. A port is a part of the name.
/// 3. The program in `credsStore`.
///
/// Programs are those that Docker knows as `docker-credential-NAME`, and found in the `PATH`. They
/// have 30 seconds, and are ended when nobody waits for their answer any more.
#[derive(Clone, Default)]
pub struct DockerConfig {
    files: Arc<[ConfigFile]>,
}

/// Why stored credentials cannot be had. The text names files and programs, and has no secret: what
/// stands in a file or comes out of a program is not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerConfigError {
    /// A file is there and cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file is too large to be a configuration.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A file is not JSON, or not that of a configuration.
    #[error("{} is no Docker configuration: see line {line}, column {column}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line where that shows, from 1.
        line: usize,
        /// The column, from 1, or 0 at the end of the line before.
        column: usize,
    },
    /// The entry of a registry has an `auth` that is none.
    #[error(
        "{} has an auth for {registry} that is not the base64 of USER:PASSWORD", .path.display()
    )]
    InvalidAuth {
        /// The file.
        path: PathBuf,
        /// The registry that was asked for.
        registry: String,
    },
    /// A file names a credential helper that cannot be the name of a program.
    #[error("{0} is not the name of a credential helper: letters, digits, '.', '_' and '-'")]
    InvalidHelper(Excerpt),
    /// A credential helper cannot be run.
    #[error("the credential helper {program} cannot be run")]
    HelperUnavailable {
        /// The program.
        program: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A credential helper says that it failed.
    #[error("the credential helper {program} failed: {status}")]
    HelperFailed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A credential helper does not answer.
    #[error("the credential helper {program} has not answered within {} s", .limit.as_secs())]
    HelperTimeout {
        /// The program.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// A credential helper does not answer with credentials.
    #[error("the answer of the credential helper {program} is not a JSON object with credentials")]
    HelperAnswer {
        /// The program.
        program: String,
    },
}

impl DockerConfig {
    /// Reads the files of the user. Those that do not exist have no credentials.
    ///
    /// If `REGISTRY_AUTH_FILE` is set, it is the file that is read. Without it, as podman does, these
    /// are; in each case the first that has credentials for a registry counts:
    ///
    /// 1. `$XDG_RUNTIME_DIR/containers/auth.json`; on Linux, without the variable,
    ///    `/run/containers/UID/auth.json`.
    /// 2. `$XDG_CONFIG_HOME/containers/auth.json`; without the variable,
    ///    `~/.config/containers/auth.json`.
    /// 3. `$DOCKER_CONFIG/config.json`; without the variable, `~/.docker/config.json`.
    ///
    /// # Errors
    ///
    /// One of the files is there and cannot be read, is larger than 1 MiB, or is no Docker
    /// configuration.
    ///
    /// # Panics
    ///
    /// It needs a tokio runtime.
    pub async fn load() -> Result<Self, DockerConfigError> {
        let paths = Variables {
            get: &|name| env::var_os(name).map(PathBuf::from),
            home: env::home_dir(),
            user: location::user(),
        }
        .files();
        let mut files = Vec::new();
        for path in paths {
            files.extend(ConfigFile::read(&path).await?);
        }
        let files = files.into();
        Ok(Self { files })
    }

    /// Reads one file. If it does not exist, or is empty, it has no credentials.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read, is larger than 1 MiB, or is no Docker configuration.
    ///
    /// # Panics
    ///
    /// It needs a tokio runtime.
    pub async fn read(path: impl AsRef<Path>) -> Result<Self, DockerConfigError> {
        let files = ConfigFile::read(path.as_ref()).await?.into_iter().collect();
        Ok(Self { files })
    }

    async fn find(
        &self,
        registry: &str,
        repository: Option<&RepositoryName>,
    ) -> Result<Credentials, DockerConfigError> {
        let registry = key::of_registry(registry);
        for file in self.files.iter() {
            match file.find(&registry, repository).await? {
                Credentials::Anonymous => {}
                credentials => return Ok(credentials),
            }
        }
        Ok(Credentials::Anonymous)
    }
}

impl CredentialSource for DockerConfig {
    /// # Errors
    ///
    /// A [`DockerConfigError`].
    ///
    /// # Panics
    ///
    /// If there is a credential helper for the registry, it needs a tokio runtime with I/O and time.
    fn credentials<'a>(
        &'a self,
        registry: &'a str,
        repository: Option<&'a RepositoryName>,
    ) -> BoxFuture<'a, Result<Credentials, BoxError>> {
        Box::pin(async move { Ok(self.find(registry, repository).await?) })
    }
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.iter().map(|file| &file.path);
        f.debug_list().entries(files).finish()
    }
}

/// One file, its registries under one name each.
struct ConfigFile {
    path: PathBuf,
    auths: BTreeMap<String, Entry>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

/// The file as it is written. All else in it is for other programs.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<String>,
}

impl ConfigFile {
    const LARGEST: u64 = 1 << 20;

    /// The file at `path`, if there is one.
    async fn read(path: &Path) -> Result<Option<Self>, DockerConfigError> {
        let unreadable = |error| DockerConfigError::Unreadable {
            path: path.to_owned(),
            error,
        };
        let file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut content = Vec::new();
        let mut file = file.take(Self::LARGEST + 1);
        file.read_to_end(&mut content).await.map_err(unreadable)?;
        if content.len() as u64 > Self::LARGEST {
            return Err(DockerConfigError::TooLarge {
                path: path.to_owned(),
                limit: Self::LARGEST,
            });
        }
        Self::parse(path, &content).map(Some)
    }

    fn parse(path: &Path, content: &[u8]) -> Result<Self, DockerConfigError> {
        // Those who want no credentials name /dev/null.
        let document = if content.trim_ascii().is_empty() {
            Document::default()
        } else {
            // The text of the error may have a piece of the content in it.
            serde_json::from_slice(content).map_err(|error| DockerConfigError::Malformed {
                path: path.to_owned(),
                line: error.line(),
                column: error.column(),
            })?
        };
        let auths = document.auths.unwrap_or_default().into_iter();
        let auths = auths.filter_map(|(key, entry)| Some((key, entry?)));
        // Docker leaves empty entries of what a helper stores.
        let auths = auths.filter(|(_, entry)| entry.has_any());
        let helpers = document.cred_helpers.unwrap_or_default().into_iter();
        Ok(Self {
            path: path.to_owned(),
            auths: key::normalized(auths),
            helpers: key::normalized(helpers),
            store: document.creds_store.filter(|store| !store.is_empty()),
        })
    }

    /// The credentials in this file for a registry with its one name.
    async fn find(
        &self,
        registry: &str,
        repository: Option<&RepositoryName>,
    ) -> Result<Credentials, DockerConfigError> {
        if let Some(helper) = self.helpers.get(registry) {
            return Helper::named(helper)?.get(key::of_server(registry)).await;
        }
        let mut keys = key::most_specific_first(registry, repository);
        if let Some(entry) = keys.find_map(|key| self.auths.get(&key)) {
            let invalid = || DockerConfigError::InvalidAuth {
                path: self.path.clone(),
                registry: registry.to_owned(),
            };
            return entry.credentials().ok_or_else(invalid);
        }
        match &self.store {
            Some(store) => Helper::named(store)?.get(key::of_server(registry)).await,
            None => Ok(Credentials::Anonymous),
        }
    }
}

/// Whether there is no file because it, or a folder on the way to it, does not exist.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl Entry {
    fn has_any(&self) -> bool {
        let texts = [
            &self.auth,
            &self.username,
            &self.password,
            &self.identity_token,
            &self.registry_token,
        ];
        texts.into_iter().any(|text| !given(text).is_empty())
    }

    /// A token before a password, as what has a token has a user name beside it; nothing if `auth`
    /// makes no sense.
    fn credentials(&self) -> Option<Credentials> {
        let token = given(&self.registry_token);
        if !token.is_empty() {
            return Some(Credentials::RegistryToken(token.to_owned()));
        }
        let token = given(&self.identity_token);
        if !token.is_empty() {
            return Some(Credentials::IdentityToken(token.to_owned()));
        }
        match given(&self.auth) {
            "" => Some(Credentials::basic(
                given(&self.username),
                given(&self.password),
            )),
            auth => decode(auth),
        }
    }
}

fn given(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// The user name and password behind an `auth`.
fn decode(auth: &str) -> Option<Credentials> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    // People make it with the program base64, which breaks lines. Docker does not mind either.
    let auth: String = auth.split_ascii_whitespace().collect();
    let text = String::from_utf8(LENIENT.decode(auth).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    // Old Dockers filled it up with these.
    Some(Credentials::basic(username, password.trim_matches('\0')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests;
