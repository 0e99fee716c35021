//! The commands that pull what is served.

use std::fmt::Write;

use tower_oci::{
    BlobSource, BoxError, Digest, DynSource, ListReferrers, Page, RepositoryName, SourceError, Tag,
};

/// At most so many repositories are shown.
const MOST: usize = 10;

/// The commands for the first tag of every repository of `source`, from the server at `address`.
pub(crate) async fn to_pull(source: &DynSource, address: String) -> Result<String, BoxError> {
    let mut text = format!("Listening on http://{address}/v2/\n");
    let repositories = source.repositories(Page::first(MOST)).await?;
    for name in &repositories.items {
        let image = format!("{address}/{name}");
        let api = format!("http://{address}/v2/{name}");
        writeln!(text, "\n  curl '{api}/tags/list'")?;
        // What is broken is told to the clients that ask for it; the rest is served.
        let first = first_image(source, name).await;
        if let Some((tag, digest)) = first.inspect_err(log_broken).ok().flatten() {
            writeln!(
                text,
                "  skopeo copy --all --src-tls-verify=false docker://{image}:{tag} dir:pulled\n  \
                   skopeo inspect --raw --tls-verify=false docker://{image}@{digest}\n  \
                   podman pull --tls-verify=false {image}:{tag}\n  \
                   curl '{api}/referrers/{digest}'",
            )?;
            if let Some(artifact) = first_referrer(source, name, &digest).await {
                let copy = "skopeo copy --src-tls-verify=false";
                writeln!(text, "  {copy} docker://{image}@{artifact} dir:artifact")?;
            }
        }
    }
    if repositories.next.is_some() {
        writeln!(text, "\n  curl 'http://{address}/v2/_catalog'")?;
    }
    writeln!(text, "\nCtrl-C stops.")?;
    Ok(text)
}

/// The first tag of a repository, and what it points at.
async fn first_image(
    source: &DynSource,
    repository: &RepositoryName,
) -> Result<Option<(Tag, Digest)>, SourceError> {
    let tags = source.tags(repository, Page::first(1)).await?;
    let Some(tag) = tags.items.into_iter().next() else {
        return Ok(None);
    };
    let manifest = source
        .stat_manifest(repository, &tag.clone().into())
        .await?;
    Ok(Some((tag, manifest.digest)))
}

/// The first artifact that refers to what was found.
async fn first_referrer(
    source: &DynSource,
    repository: &RepositoryName,
    subject: &Digest,
) -> Option<Digest> {
    let options = ListReferrers::new(Page::first(1));
    let referrers = source.referrers(repository, subject, options).await;
    let referrers = referrers.inspect_err(log_broken).ok()?;
    referrers.items.first().map(|referrer| referrer.digest)
}

fn log_broken(error: &SourceError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "an image is broken"
    );
}
