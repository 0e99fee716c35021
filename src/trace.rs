//! What is told to the operator: through `tracing` with that feature, and nowhere without it.

use std::error::Error;

/// A source failed; the client sees a constant message.
pub(crate) fn source_failed(operation: &'static str, error: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::error!(operation, error, "the registry's storage failed");
    #[cfg(not(feature = "tracing"))]
    let _ = (operation, error);
}

/// A body broke off after the response had begun.
pub(crate) fn body_failed(error: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::error!(error, "the registry ended a response early");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// The service was mounted in a way that makes every link wrong.
#[cfg(feature = "axum")]
pub(crate) fn mount_rewritten(original: &str, arrived: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!(
        original,
        arrived,
        "the path was rewritten between the router and the registry: tell the registry where it \
         is mounted, with nested_at, served_at or a Mount extension"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (original, arrived);
}

/// A layout on disk cannot be read; it is served as it was last. The text names the file.
#[cfg(feature = "fs")]
pub(crate) fn layout_failed(failure: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!(failure, "an OCI image layout cannot be read");
    #[cfg(not(feature = "tracing"))]
    let _ = failure;
}

/// Something in a layout, or in a tree of them, is not served as its writer may have meant.
#[cfg(feature = "fs")]
pub(crate) fn layout_warned(path: &std::path::Path, warning: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(path = %path.display(), "{warning}");
    #[cfg(not(feature = "tracing"))]
    let _ = (path, warning);
}
