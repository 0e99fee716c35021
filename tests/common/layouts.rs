//! Images on disk, for tests that serve or push them.

#![allow(unreachable_pub, clippy::unwrap_used)] // a test fails by panicking

use std::{fs, path::Path};

use serde_json::json;
use tower_oci::Image;

/// Writes `image`, with the images that it lists, as an OCI image layout with this tag.
pub async fn write_layout(folder: &Path, tag: &str, image: &Image) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let version = json!({"imageLayoutVersion": "1.0.0"});
    fs::write(folder.join("oci-layout"), version.to_string()).unwrap();
    let manifest = image.manifest();
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": manifest.media_type().as_str(),
        "digest": manifest.digest().to_string(),
        "size": manifest.size(),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    for part in image.children().iter().chain([image]) {
        let manifest = part.manifest();
        fs::write(blobs.join(part.digest().encoded()), manifest.bytes()).unwrap();
        for blob in part.config().into_iter().chain(part.layers()) {
            let content = part.read_blob_verified(blob, 64 << 20).await.unwrap();
            fs::write(blobs.join(blob.digest.encoded()), content).unwrap();
        }
    }
}
