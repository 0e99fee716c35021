use super::*;

fn range_spec() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..40_u64, 0..40_u64).prop_map(|(first, last)| format!("{first}-{last}")),
        3 => (0..40_u64).prop_map(|first| format!("{first}-")),
        3 => (0..40_u64).prop_map(|length| format!("-{length}")),
        1 => any::<u64>().prop_map(|first| format!("{first}-")),
        1 => any::<u64>().prop_map(|last| format!("1-{last}")),
        1 => Just("0-99999999999999999999999999".to_owned()),
        1 => Just("-99999999999999999999999999".to_owned()),
        1 => select(vec!["", " ", "-", "x", "1", "1-x", "--1", "+1-2", "1 -2", "1-2-3", "0x1-2", "1 - 2"])
            .prop_map(ToOwned::to_owned),
    ]
}

pub(super) fn range_header() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        12 => Just("bytes="),
        1 => select(vec!["Bytes=", "bytes =", "lines=", "bytes", "", "=", "bytes:"]),
    ];
    let separator = select(vec![",", ", ", " ,", ",,", "\t,"]);
    (unit, vec(range_spec(), 0..5), separator)
        .prop_map(|(unit, specs, separator)| format!("{unit}{}", specs.join(separator)))
}

#[derive(Debug, PartialEq)]
enum Selected {
    Whole,
    Unsatisfiable,
    Parts(Vec<Range<u64>>),
}

/// RFC 9110 §14.1.2 and the design's additions, byte by byte.
fn selected(header: &str, total: u64) -> Selected {
    let Some((unit, set)) = header.split_once('=') else {
        return Selected::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || total == 0 {
        return Selected::Whole;
    }
    let number = |digits: &str| {
        let digits =
            Some(digits).filter(|digits| digits.chars().all(|digit| digit.is_ascii_digit()))?;
        Some(digits.parse::<u128>().unwrap_or(u128::MAX))
    };
    let mut parts = Vec::new();
    let specs: Vec<&str> = set
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
        .collect();
    if specs.is_empty() {
        return Selected::Whole;
    }
    for spec in &specs {
        let Some((first, last)) = spec.split_once('-') else {
            return Selected::Unsatisfiable;
        };
        let (first, last) = (first.trim(), last.trim());
        let (Some(first_number), Some(last_number)) = (number(first), number(last)) else {
            return Selected::Unsatisfiable;
        };
        let is_reversed = !first.is_empty() && !last.is_empty() && first_number > last_number;
        if is_reversed || (first.is_empty() && last.is_empty()) {
            return Selected::Unsatisfiable;
        }
        let is_in = |byte: &u64| match (first.is_empty(), last.is_empty()) {
            (true, _) => u128::from(total - byte) <= last_number,
            (_, true) => u128::from(*byte) >= first_number,
            _ => (first_number..=last_number).contains(&u128::from(*byte)),
        };
        let bytes: Vec<u64> = (0..total).filter(is_in).collect();
        if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            parts.push(*first..last + 1);
        }
    }
    let length: u64 = parts.iter().map(|part| part.end - part.start).sum();
    match parts.len() {
        _ if specs.len() > 16 => Selected::Whole,
        0 => Selected::Unsatisfiable,
        1 => Selected::Parts(parts),
        _ if length > total => Selected::Whole,
        _ => Selected::Parts(parts),
    }
}

/// The ranges and bytes of each part of a multipart answer.
fn multipart(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let content_type = answer.header("content-type");
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert!((1..=70).contains(&boundary.len()));
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    let mut rest = answer.body.strip_prefix(delimiter).unwrap();
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = part
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&part[..end]).unwrap();
        let head: BTreeMap<_, _> = head
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        assert_eq!(head["Content-Type"], "application/octet-stream");
        let body = &part[end + 4..];
        let end = body
            .windows(delimiter.len())
            .position(|bytes| bytes == delimiter)
            .unwrap();
        parts.push((head["Content-Range"].to_owned(), body[..end].to_vec()));
        rest = &body[end + delimiter.len()..];
    }
    assert_eq!(rest, b"--\r\n");
    parts
}

proptest! {
    #![proptest_config(cases(1200))]

    // protocol 18 and 90
    #[test]
    fn ranges_of_a_blob_are_what_the_specification_says(
        length in 0..36_usize,
        header in prop_oneof![
            20 => range_header(),
            1 => vec(Just("0-0"), 15..19).prop_map(|specs| format!("bytes={}", specs.join(","))),
        ],
    ) {
        let content = noise(length);
        let total = length as u64;
        let (service, uri) = blob_registry(&content);
        let answer = wait(ask(&service, "GET", &uri, &[("range", &header)]));
        let expected = selected(&header, total);
        let part_of = |part: &Range<u64>| {
            content[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()].to_vec()
        };
        let content_range = |part: &Range<u64>| format!("bytes {}-{}/{total}", part.start, part.end - 1);
        match &expected {
            Selected::Whole => {
                prop_assert_eq!(answer.status, 200);
                prop_assert_eq!(&answer.body, &content);
            }
            Selected::Unsatisfiable => {
                answer.assert_error(416, "SIZE_INVALID");
                prop_assert_eq!(answer.header("content-range"), format!("bytes */{total}"));
            }
            Selected::Parts(parts) if parts.len() == 1 => {
                prop_assert_eq!(answer.status, 206);
                prop_assert_eq!(answer.header("content-range"), content_range(&parts[0]));
                prop_assert_eq!(answer.header("content-type"), "application/octet-stream");
                prop_assert_eq!(&answer.body, &part_of(&parts[0]));
            }
            Selected::Parts(parts) => {
                prop_assert_eq!(answer.status, 206);
                prop_assert_eq!(answer.header("content-range"), "");
                let expected: Vec<_> = parts.iter().map(|part| (content_range(part), part_of(part))).collect();
                prop_assert_eq!(multipart(&answer), expected);
            }
        }
        if answer.status != 416 {
            prop_assert_eq!(answer.header("accept-ranges"), "bytes");
        }
        // Where a strict and independent reader accepts all ranges, it selects the same; but that
        // one finds a first byte in content that has none.
        let strict = http_range_header::parse_range_header(&header).ok().filter(|_| total > 0);
        if let Some(ranges) = strict.and_then(|ranges| ranges.validate(total).ok()) {
            let ranges = ranges.into_iter().map(|range| *range.start()..range.end() + 1);
            prop_assert_eq!(expected, Selected::Parts(ranges.collect()));
        }
        // A manifest is answered by the same rules; HEAD ignores them.
        let head = wait(ask(&service, "HEAD", &uri, &[("range", &header)]));
        prop_assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*total.to_string()));
    }
}
