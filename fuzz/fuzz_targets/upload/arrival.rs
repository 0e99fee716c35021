//! How a piece arrives: what its headers say, and what its body has.

use std::sync::{Arc, atomic::AtomicBool};

use http::HeaderValue;
use tower_oci_fuzz::Frames;

use crate::{
    expected::Expected::{self, Refused},
    script::{Length, Piece, Range},
};

/// The largest blob that is taken.
pub(crate) const LARGEST_BLOB: u64 = 600;

/// What the headers of a piece say.
pub(crate) struct Announced {
    ranges: Vec<Vec<u8>>,
    length: Option<u64>,
}

impl Announced {
    pub(crate) fn of(piece: &Piece, offset: usize) -> Self {
        let (start, length) = (offset as u64, piece.data().len() as u64);
        let last = (start + length).saturating_sub(1);
        let range = |first: u64, last: u64| format!("{first}-{last}").into_bytes();
        let by = |few: u8| u64::from(few % 4) + 1;
        let ranges = match piece.range {
            Range::None => Vec::new(),
            Range::Right => vec![range(start, last)],
            Range::Early(few) => {
                let by = by(few).min(start);
                vec![range(start - by, last - by)]
            }
            Range::Late(few) => vec![range(start + by(few), last + by(few))],
            Range::Short(few) => vec![range(start, last.saturating_sub(by(few)))],
            Range::Long(few) => vec![range(start, last + by(few))],
            Range::Any(first, last) => vec![range(first, last)],
            Range::Text(text) => vec![text.to_vec()],
            Range::Twice => vec![range(start, last); 2],
        };
        // What no header can hold never arrives.
        let can_be_sent = |range: &Vec<u8>| HeaderValue::from_bytes(range).is_ok();
        Self {
            ranges: ranges.into_iter().filter(can_be_sent).collect(),
            length: match piece.length {
                Length::None => None,
                Length::Right => Some(length),
                Length::Other(length) => Some(length.into()),
                Length::Huge(length) => Some(length),
            },
        }
    }

    pub(crate) fn write(&self, mut request: http::request::Builder) -> http::request::Builder {
        for range in &self.ranges {
            request = request.header("content-range", HeaderValue::from_bytes(range).unwrap());
        }
        if let Some(length) = self.length {
            request = request.header("content-length", length);
        }
        request
    }

    /// Where the piece begins and how long it is, as far as it is known.
    pub(crate) fn check(&self) -> Result<(Option<u64>, Option<u64>), Expected> {
        let range = match &self.ranges[..] {
            [] => None,
            [range] => Some(parse(range).ok_or(Refused(400, "BLOB_UPLOAD_INVALID"))?),
            _ => return Err(Refused(400, "BLOB_UPLOAD_INVALID")),
        };
        let of_range = range.map(|(first, last)| last - first + 1);
        if let (Some(of_range), Some(length)) = (of_range, self.length)
            && of_range != length
        {
            return Err(Refused(400, "SIZE_INVALID"));
        }
        let length = of_range.or(self.length);
        match length {
            Some(length) if length > LARGEST_BLOB => Err(Refused(413, "SIZE_INVALID")),
            _ => Ok((range.map(|(first, _)| first), length)),
        }
    }
}

/// Two numbers of 64 bits in order, the length of which has 64 bits too.
fn parse(range: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(range).ok()?;
    let numbers: Vec<&str> = text.split('-').collect();
    let [first, last] = numbers[..] else {
        return None;
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (first, last): (u64, u64) = (number(first)?, number(last)?);
    (first <= last && (first, last) != (0, u64::MAX)).then_some((first, last))
}

/// Reads the body, and says what is wrong: at once, or with its end.
pub(crate) fn read(
    piece: &Piece,
    offset: usize,
    announced: Option<u64>,
) -> Result<Option<Expected>, Expected> {
    let mut received = 0;
    for data in piece.frames().flatten() {
        received += data.len() as u64;
        if announced.is_some_and(|announced| received > announced) {
            return Err(Refused(400, "SIZE_INVALID"));
        }
        if offset as u64 + received > LARGEST_BLOB {
            return Err(Refused(413, "SIZE_INVALID"));
        }
    }
    Ok(match announced {
        _ if piece.is_lost() => Some(Refused(400, "BLOB_UPLOAD_INVALID")),
        Some(announced) if received < announced => Some(Refused(400, "SIZE_INVALID")),
        _ => None,
    })
}

pub(crate) fn body(piece: &Piece, gate: Option<&Arc<AtomicBool>>) -> Frames {
    let mut body = Frames::default();
    for frame in piece.frames() {
        match frame {
            Some(data) => body.push(&data),
            None => body.push_trailers(),
        }
    }
    let body = body.failing(piece.is_lost());
    match gate {
        Some(gate) => body.held_by(gate),
        None => body,
    }
}
