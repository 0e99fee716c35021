//! Query strings and percent-encoding.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The text behind percent-encoding; bytes that are no UTF-8 become U+FFFD, which no name holds.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    match text.contains('%') {
        true => percent_decode_str(text).decode_utf8_lossy(),
        false => text.into(),
    }
}

/// The parameters of a query string.
///
/// A `+` stays a `+`: it stands in media types, which clients often send bare, and no parameter of
/// the protocol has a space.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl<'a> Query<'a> {
    /// All values of the parameter `name`, decoded, in their order.
    pub(crate) fn all(self, name: &'static str) -> impl Iterator<Item = Cow<'a, str>> {
        self.0.split('&').filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value))
        })
    }

    /// The first value of the parameter `name`, decoded, if there is one and it is not empty.
    pub(crate) fn first(self, name: &'static str) -> Option<Cow<'a, str>> {
        self.all(name).next().filter(|value| !value.is_empty())
    }
}

/// Writes a path with a query string.
pub(crate) struct PathAndQuery {
    text: String,
    has_query: bool,
}

impl PathAndQuery {
    pub(crate) fn new(path: String) -> Self {
        Self {
            text: path,
            has_query: false,
        }
    }

    /// Adds the parameter `name`, encoded.
    pub(crate) fn parameter(&mut self, name: &'static str, value: &impl fmt::Display) {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        self.text
            .extend(utf8_percent_encode(&value.to_string(), RESERVED));
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}
