//! Links from one page of a list to the next.

use http::HeaderValue;

use super::range::ascii_header;
use crate::{
    limits::Limits,
    listing::{Cursor, Listing, Page},
    mount::Location,
    request::{OciRequest, PageRequest},
};

impl PageRequest {
    /// The page to ask a source for. Where the client wants no entry at all, a source is still
    /// asked for one, so that it says whether the list exists.
    pub(crate) fn page(&self, limits: &Limits) -> Page<'_> {
        let wanted = self.n.unwrap_or(limits.default_page.max(1));
        Page::first(wanted.min(limits.largest_page)).after(&self.last)
    }

    /// `listing`, or no entry and no next page if that is what the client wants.
    // protocol 47
    pub(crate) fn cut<T>(&self, listing: Listing<T>) -> Listing<T> {
        match self.n {
            Some(0) => Listing::default(),
            _ => listing,
        }
    }

    /// The request for the page after this one.
    pub(crate) fn next(&self, cursor: Cursor, limits: &Limits) -> Self {
        Self {
            n: Some(self.n.unwrap_or(limits.default_page.max(1))),
            last: Some(cursor),
        }
    }
}

/// `</v2/demo/tags/list?n=10&last=b>; rel="next"`
// RFC 8288 §3, protocol 47 and 66
pub(crate) fn link_to_next(location: &Location<'_>, next: &OciRequest) -> HeaderValue {
    ascii_header(&format!("<{}>; rel=\"next\"", location.link_to(next)))
}
