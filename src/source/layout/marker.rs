//! The `oci-layout` file, which makes a directory a layout.

use std::{fs, io, path::Path};

use serde::Deserialize;

use super::{
    directory::{is_absent, open},
    error::LayoutError,
    stamp::read_at_most,
};
use crate::text::Excerpt;

pub(crate) const NAME: &str = "oci-layout";

/// The file holds one short field.
pub(super) const LARGEST: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Whether the directory is a layout of a version that can be served. Blocks.
// image-spec, image-layout, "oci-layout file"
pub(crate) fn check(layout: &Path) -> Result<(), LayoutError> {
    let path = layout.join(NAME);
    if let Err(error) = fs::read_dir(layout) {
        return Err(LayoutError::unreadable(layout, error));
    }
    let file = match open(&path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Err(LayoutError::NotALayout(path)),
        Err(error) => return Err(LayoutError::unreadable(&path, error)),
    };
    check_version(&path, &read_at_most(file, &path, LARGEST)?)
}

/// Whether this is the content of an `oci-layout` file, of a version that can be served.
pub(super) fn check_version(path: &Path, json: &[u8]) -> Result<(), LayoutError> {
    let path = path.to_owned();
    let marker: Marker = match serde_json::from_slice(json) {
        Ok(marker) => marker,
        Err(error) => {
            let error = error.into();
            return Err(LayoutError::Broken { path, error });
        }
    };
    let version = marker.image_layout_version;
    match version.split_once('.') {
        Some(("1", _)) => Ok(()),
        _ => Err(LayoutError::Version {
            path,
            version: Excerpt::of(&version),
        }),
    }
}

/// Whether the directory has the files of a layout, so that one can be read from it. One that is
/// being written gets its `index.json` last. Blocks.
pub(super) fn is_layout(directory: &Path) -> io::Result<bool> {
    for name in [NAME, "index.json"] {
        match fs::metadata(directory.join(name)) {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Whether the directory is known to be no layout any more. Blocks.
pub(super) fn is_gone(layout: &Path) -> bool {
    fs::metadata(layout.join(NAME)).is_err_and(|error| is_absent(&error))
}
