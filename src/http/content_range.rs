//! The ranges of an upload: the `Content-Range` of a piece, and the `Range` of what has arrived.

use http::{HeaderMap, HeaderValue, header};

use super::range::ascii_header;
use crate::text::Excerpt;

/// Which bytes of a blob a request brings: `<first>-<last>`, both included, without a unit.
// protocol 27
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PieceRange {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// The header is none that a piece of an upload can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the Content-Range of an upload: <first byte>-<last byte>, as in 0-1023")]
pub(crate) struct InvalidPieceRange(Excerpt);

impl PieceRange {
    /// The range in `headers`, if they have one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, InvalidPieceRange> {
        let mut values = headers.get_all(header::CONTENT_RANGE).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let range = Self::parse(&text).filter(|_| values.next().is_none());
        range
            .map(Some)
            .ok_or_else(|| InvalidPieceRange(Excerpt::of(&text)))
    }

    /// `[0-9]+-[0-9]+`, not reversed, and within what a size can be.
    fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<u64>().ok()).flatten()
        };
        let (first, last) = text.split_once('-')?;
        let (start, last) = (number(first)?, number(last)?);
        let length = last.checked_sub(start)?.checked_add(1)?;
        Some(Self { start, length })
    }
}

/// The `Range` of an upload of which `offset` bytes have arrived. An empty one has no legal value;
/// what every registry says then is also that of one byte.
// protocol 27, 30 and 89
pub(crate) fn uploaded_range(offset: u64) -> HeaderValue {
    ascii_header(&format!("0-{}", offset.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_that_are_not_reversed() {
        let range = |start, length| Some(PieceRange { start, length });
        assert_eq!(PieceRange::parse("0-0"), range(0, 1));
        assert_eq!(PieceRange::parse("40-49"), range(40, 10));
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "2-1",
            "bytes 40-49/100",
            "bytes=0-1",
            "0-1/2",
            "+0-1",
            " 0-1",
            "0--1",
            "0-18446744073709551616",
            "0-18446744073709551615",
        ] {
            assert_eq!(PieceRange::parse(text), None, "{text}");
        }
    }
}
