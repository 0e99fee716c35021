//! The commands that pull what is served.

use std::fmt::Write;

use tower_oci::{BlobSource, BoxError, DynSource, Page};

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
        let tags = source.tags(name, Page::first(1)).await?;
        if let Some(tag) = tags.items.into_iter().next() {
            let digest = source
                .stat_manifest(name, &tag.clone().into())
                .await?
                .digest;
            writeln!(
                text,
                "  skopeo copy --all --src-tls-verify=false docker://{image}:{tag} dir:pulled\n  \
                   skopeo inspect --raw --tls-verify=false docker://{image}@{digest}\n  \
                   podman pull --tls-verify=false {image}:{tag}\n  \
                   curl '{api}/referrers/{digest}'",
            )?;
        }
    }
    if repositories.next.is_some() {
        writeln!(text, "\n  curl 'http://{address}/v2/_catalog'")?;
    }
    writeln!(text, "\nCtrl-C stops.")?;
    Ok(text)
}
