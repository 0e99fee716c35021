//! What is said on stderr.

use std::error::Error;

use tower_oci::{ImageError, SourceError};

/// An error with its causes, in one line, with nothing in it that could move the cursor.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        let text = error.to_string();
        // Some errors have told their cause already.
        if is_told_by_its_cause(error) || line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line.replace(char::is_control, " ")
}

/// Whether an error says no more than that a registry failed.
fn is_told_by_its_cause(error: &(dyn Error + 'static)) -> bool {
    let of_source = error.downcast_ref::<SourceError>();
    let of_box = || {
        error
            .downcast_ref::<Box<SourceError>>()
            .map(|error| &**error)
    };
    let of_image = || match error.downcast_ref()? {
        ImageError::Source(error) => Some(error),
        _ => None,
    };
    matches!(
        of_source.or_else(of_box).or_else(of_image),
        Some(SourceError::Upstream(_) | SourceError::UpstreamTimeout(_))
    )
}
