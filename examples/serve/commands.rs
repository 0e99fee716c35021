//! The commands that a newcomer can try: what is served can be pulled, and pushed again.

use std::fmt::Write;

use tokio::time::{Duration, Instant, timeout_at};
use tower_oci::{
    BlobSource, BoxError, Digest, DynStore, ListReferrers, Page, RepositoryName, SourceError, Tag,
};

/// At most so many repositories are shown.
const MOST: usize = 10;

/// How long all mirrors together may take to say what they have. The server has not begun yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the server lets clients write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    None,
    Pushes,
    All,
}

/// The commands for the first tag of every repository of `store`, from the server at `address`.
///
/// What refers to an image is looked for if it `is_demo`. In a layout that takes as long as it has
/// manifests, and the server has not begun yet.
pub(crate) async fn to_try(
    store: &DynStore,
    address: &str,
    writes: Writes,
    is_demo: bool,
) -> Result<String, BoxError> {
    let mut text = format!("Listening on http://{address}/v2/\n");
    let mut first_of_all = None;
    let deadline = Instant::now() + PATIENCE;
    let repositories = store.repositories(Page::first(MOST)).await?;
    for name in &repositories.items {
        let image = format!("{address}/{name}");
        let api = format!("http://{address}/v2/{name}");
        writeln!(text, "\n  curl '{api}/tags/list'")?;
        // What is broken, or does not answer, is told to the clients that ask for it; the rest is served.
        let first = timeout_at(deadline, first_image(store, name)).await;
        let first = first.unwrap_or_else(|late| Err(SourceError::UpstreamTimeout(late.into())));
        if let Some((tag, digest)) = first.inspect_err(log_broken).ok().flatten() {
            writeln!(
                text,
                "  skopeo copy --all --src-tls-verify=false docker://{image}:{tag} dir:pulled\n  \
                   skopeo inspect --raw --tls-verify=false docker://{image}@{digest}\n  \
                   podman pull --tls-verify=false {image}:{tag}\n  \
                   curl '{api}/referrers/{digest}'",
            )?;
            if is_demo && let Some(artifact) = first_referrer(store, name, &digest).await {
                let copy = "skopeo copy --src-tls-verify=false";
                writeln!(text, "  {copy} docker://{image}@{artifact} dir:artifact")?;
            }
            first_of_all.get_or_insert_with(|| format!("{image}:{tag}"));
        }
    }
    if repositories.next.is_some() {
        writeln!(text, "\n  curl 'http://{address}/v2/_catalog'")?;
    }
    if let Some(image) = first_of_all.filter(|_| writes != Writes::None) {
        let copy = format!("{address}/{}", unused_name(store).await?);
        write_pushes(&mut text, &image, &copy, writes)?;
    }
    writeln!(text, "\nCtrl-C stops.")?;
    Ok(text)
}

/// The commands that push `image` to the repository `copy`, as tools do that have it already.
fn write_pushes(
    text: &mut String,
    image: &str,
    copy: &str,
    writes: Writes,
) -> Result<(), std::fmt::Error> {
    let options = "--all --preserve-digests --src-tls-verify=false --dest-tls-verify=false";
    write!(
        text,
        "\nWhat is pushed is kept in memory until the server stops:\n\n  \
           skopeo copy {options} docker://{image} docker://{copy}:latest\n  \
           skopeo copy --all --src-tls-verify=false docker://{copy}:latest dir:copied\n  \
           podman push --tls-verify=false {image} {copy}:podman\n  \
           skopeo list-tags --tls-verify=false docker://{copy}\n",
    )?;
    if writes == Writes::All {
        writeln!(
            text,
            "  skopeo delete --tls-verify=false docker://{copy}:latest"
        )?;
    }
    Ok(())
}

/// A name that no repository has yet.
async fn unused_name(store: &DynStore) -> Result<RepositoryName, BoxError> {
    let mut name: RepositoryName = "copy".parse()?;
    let mut number = 1;
    while !matches!(
        store.tags(&name, Page::first(1)).await,
        Err(SourceError::NotFound(_))
    ) {
        number += 1;
        name = format!("copy{number}").parse()?;
    }
    Ok(name)
}

/// The first tag of a repository, and what it points at.
async fn first_image(
    store: &DynStore,
    repository: &RepositoryName,
) -> Result<Option<(Tag, Digest)>, SourceError> {
    let tags = store.tags(repository, Page::first(1)).await?;
    let Some(tag) = tags.items.into_iter().next() else {
        return Ok(None);
    };
    let manifest = store.stat_manifest(repository, &tag.clone().into()).await?;
    Ok(Some((tag, manifest.digest)))
}

/// The first artifact that refers to what was found.
async fn first_referrer(
    store: &DynStore,
    repository: &RepositoryName,
    subject: &Digest,
) -> Option<Digest> {
    let options = ListReferrers::new(Page::first(1));
    let referrers = store.referrers(repository, subject, options).await;
    let referrers = referrers.inspect_err(log_broken).ok()?;
    referrers.items.first().map(|referrer| referrer.digest)
}

fn log_broken(error: &SourceError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "an image cannot be read"
    );
}
