//! The `Range` header, and what it selects.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::source::ByteRange;

/// More ranges than this are answered with the whole content, as a client that asks for so many
/// wants most of it or means harm (RFC 9110 §14.2).
const MOST_RANGES: usize = 16;

/// The ranges that a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RangeHeader {
    /// No range that is understood: the whole is wanted.
    Whole,
    /// `bytes` ranges that make no sense, as Go's net/http and clients see them: 416.
    Malformed,
    /// At least one range.
    Ranges(Vec<ByteRange>),
}

impl RangeHeader {
    /// Reads the `Range` header. Another unit than `bytes` is ignored, and so are several headers,
    /// of which none can be said to be meant.
    // RFC 9110 §14.2
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::RANGE).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().map_or(Self::Whole, Self::parse),
            _ => Self::Whole,
        }
    }

    /// `bytes=0-499, 500-, -500`
    // RFC 9110 §14.1.1
    pub(crate) fn parse(value: &str) -> Self {
        let Some((unit, set)) = value.split_once('=') else {
            return Self::Whole;
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        // A list may have empty elements (RFC 9110 §5.6.1.2), and nothing else in it asks for nothing.
        let specs = set
            .split(',')
            .map(str::trim)
            .filter(|spec| !spec.is_empty());
        match specs.map(parse_spec).collect::<Option<Vec<_>>>() {
            None => Self::Malformed,
            Some(ranges) if ranges.is_empty() => Self::Whole,
            Some(ranges) => Self::Ranges(ranges),
        }
    }
}

/// `int-range` or `suffix-range`; nothing if it is neither, or reversed.
fn parse_spec(spec: &str) -> Option<ByteRange> {
    let (first, last) = spec.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return Some(ByteRange::Suffix(parse_position(last)?));
    }
    let first = parse_position(first)?;
    if last.is_empty() {
        return Some(ByteRange::From(first));
    }
    let last = parse_position(last)?;
    (first <= last).then_some(ByteRange::FromTo(first, last))
}

/// Digits only, as many as one likes: beyond 64 bits is beyond the end of any content.
fn parse_position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// What part of some content is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it: 200.
    Whole,
    /// One part: 206 with `Content-Range`.
    Part(Range<u64>),
    /// Several parts: 206 as `multipart/byteranges`.
    Parts(Vec<Range<u64>>),
    /// No byte that is asked for is there: 416.
    Unsatisfiable,
}

impl Selection {
    /// What `header` selects of `total` bytes.
    pub(crate) fn of(header: &RangeHeader, total: u64) -> Self {
        match header {
            RangeHeader::Whole => Self::Whole,
            // An empty blob has no ranges to speak of, and Go's clients expect it without error.
            _ if total == 0 => Self::Whole,
            RangeHeader::Malformed => Self::Unsatisfiable,
            RangeHeader::Ranges(ranges) if ranges.len() > MOST_RANGES => Self::Whole,
            RangeHeader::Ranges(ranges) => {
                let mut parts: Vec<_> = ranges
                    .iter()
                    .filter_map(|range| range.resolve(total))
                    .collect();
                let length = parts
                    .iter()
                    .fold(0_u64, |sum, part| sum.saturating_add(part.end - part.start));
                match parts.len() {
                    0 => Self::Unsatisfiable,
                    1 => Self::Part(parts.remove(0)),
                    _ if length > total => Self::Whole,
                    _ => Self::Parts(parts),
                }
            }
        }
    }
}

/// `bytes 0-499/1234`
// RFC 9110 §14.4
pub(crate) fn content_range(part: &Range<u64>, total: u64) -> String {
    format!("bytes {}-{}/{total}", part.start, part.end - 1)
}

/// `bytes */1234`
pub(crate) fn unsatisfied_range(total: u64) -> HeaderValue {
    ascii_header(&format!("bytes */{total}"))
}

/// A header of letters, digits and punctuation that this crate wrote itself.
pub(crate) fn ascii_header(text: &str) -> HeaderValue {
    // Only visible ASCII is passed here, which every header value may hold.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The same, without a copy.
pub(crate) fn ascii_bytes_header(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
