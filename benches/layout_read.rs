//! How fast one reader drains a blob of 256 MiB from a layout in the page cache:
//! `cargo bench --bench layout_read`. It measures the size of the pieces in which a file is read.

#![allow(clippy::print_stdout)] // what is measured is told

use std::{fs, time::Instant};

use http_body_util::BodyExt;
use tower_oci::{
    Algorithm, Blob, BlobSource, BoxError, GetBlob, LayoutSource, MediaType, RepositoryName,
};

const SIZE: usize = 256 << 20;
const ROUNDS: usize = 9;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    let directory = tempfile::tempdir()?;
    let blobs = directory.path().join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let write = |bytes: &[u8]| -> Result<_, BoxError> {
        let digest = Algorithm::Sha256.digest(bytes);
        fs::write(blobs.join(digest.encoded()), bytes)?;
        Ok((digest, bytes.len()))
    };
    let descriptor = |media_type: MediaType, (digest, size)| {
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    };
    let layer = write(&vec![7; SIZE])?;
    let config = descriptor(MediaType::OCI_EMPTY, write(b"{}")?);
    let layers = descriptor(MediaType::OCI_LAYER, layer);
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
    let manifest = descriptor(MediaType::OCI_MANIFEST, write(manifest.as_bytes())?);
    fs::write(
        directory.path().join("index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#),
    )?;
    fs::write(
        directory.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;

    let name: RepositoryName = "demo".parse()?;
    let source = LayoutSource::open([(name.clone(), directory.path())]).await?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let blob = source.blob(&name, &layer.0, GetBlob::default()).await?;
        let Blob::Content(mut content) = blob else {
            return Err("a layout never redirects".into());
        };
        let started = Instant::now();
        let mut length = 0;
        while let Some(piece) = content.body.frame().await {
            length += piece?.into_data().map_or(0, |piece| piece.len());
        }
        if length != SIZE {
            return Err("the blob is not complete".into());
        }
        rates.push(256.0 / started.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{:.0} MiB/s, from {:.0} to {:.0} in {ROUNDS} rounds",
        rates[ROUNDS / 2],
        rates[0],
        rates[ROUNDS - 1]
    );
    Ok(())
}
