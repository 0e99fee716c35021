//! Pieces of uploads: which `Content-Range` is taken, and what becomes of the upload if it is not.

use super::*;

/// The grammar of the specification; what the numbers must be is said below.
// protocol 27
static PIECE: LazyLock<Regex> = LazyLock::new(|| Regex::new("^([0-9]+)-([0-9]+)$").unwrap());

/// How many bytes fit into the store, and less than a blob may have.
const ROOM: u64 = 1 << 30;

/// Begin and length of the piece, if both are numbers of 64 bits, in order.
fn understood(text: &str) -> Option<(u64, u64)> {
    let numbers = PIECE.captures(text)?;
    // As many zeros as one likes may stand in front.
    let number = |group: usize| {
        let digits = numbers[group].trim_start_matches('0');
        match digits.len() {
            0 => Some(0),
            1..=20 => digits.parse::<u128>().ok(),
            _ => None,
        }
    };
    let (first, last) = (number(1)?, number(2)?);
    let last = u64::try_from(last).ok()?;
    let first = u64::try_from(first).ok().filter(|first| *first <= last)?;
    let length = u64::try_from(u128::from(last) - u128::from(first) + 1).ok()?;
    Some((first, length))
}

/// Headers for a piece of `length` bytes at `offset`: right ones, nearly right ones and others.
fn piece_range(offset: u64, length: u64) -> impl Strategy<Value = String> {
    let end = offset + length.max(1);
    let right = format!("{offset}-{}", end - 1);
    let near = (-2..3_i64, -2..3_i64).prop_map(move |(first, last)| {
        let first = offset.saturating_add_signed(first);
        let last = (end - 1).saturating_add_signed(last);
        format!("{first}-{last}")
    });
    let padded = (0..30_usize, 0..30_usize).prop_map(move |(first, last)| {
        let (zeros, more_zeros) = ("0".repeat(first), "0".repeat(last));
        format!("{zeros}{offset}-{more_zeros}{}", end - 1)
    });
    prop_oneof![
        6 => Just(right.clone()),
        4 => near,
        2 => padded,
        3 => mutated(Just(right.clone())),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(first, last)| format!("{first}-{last}")),
        1 => matching("[0-9]{0,22}-[0-9]{0,22}"),
        1 => any::<String>(),
        2 => select(vec![
            format!("bytes {right}/*"),
            format!("bytes={right}"),
            format!("{right}/{end}"),
            format!("{right},{right}"),
            format!("{offset} - {}", end - 1),
            format!("+{right}"),
            format!("{offset}-+{}", end - 1),
            format!("-{offset}-{}", end - 1),
            format!("{offset}-"),
            format!("-{}", end - 1),
            format!("{offset}-{}", offset + ROOM),
            format!("{offset}-{}", u64::MAX),
            format!("{offset}-{}", u128::from(u64::MAX) + 1),
            "0-18446744073709551614".to_owned(),
            "18446744073709551615-18446744073709551615".to_owned(),
        ]),
    ]
}

/// What was sent, and all that the answer depends on.
#[derive(Clone, Debug)]
struct Piece {
    /// What has arrived before.
    acknowledged: Bytes,
    body: Bytes,
    /// One header or several.
    ranges: Vec<String>,
    has_length: bool,
    /// With PUT and a digest of this algorithm, and not with PATCH.
    closing: Option<Algorithm>,
}

fn piece() -> impl Strategy<Value = Piece> {
    let closing = option::of(select(vec![Algorithm::Sha256, Algorithm::Sha512]));
    // One byte and none look alike in the ranges of answers, so there are many of those.
    let length = || prop_oneof![0..3_u64, 3..40_u64];
    (length(), length()).prop_flat_map(move |(offset, length)| {
        let number = prop_oneof![1 => Just(0_usize), 14 => Just(1), 1 => Just(2)];
        let ranges = number.prop_flat_map(move |number| vec(piece_range(offset, length), number));
        (ranges, any::<bool>(), closing.clone()).prop_map(move |(ranges, has_length, closing)| {
            let whole = noise(usize::try_from(offset + length).unwrap());
            let offset = usize::try_from(offset).unwrap();
            Piece {
                acknowledged: whole.slice(..offset),
                body: whole.slice(offset..),
                ranges,
                has_length,
                closing,
            }
        })
    })
}

impl Piece {
    /// The request, if its headers can be sent at all.
    fn request(&self, location: &str) -> Option<Request<Body>> {
        let whole = [&self.acknowledged[..], &self.body].concat();
        let mut request = match self.closing {
            None => Request::patch(location),
            Some(algorithm) => {
                Request::put(format!("{location}?digest={}", algorithm.digest(whole)))
            }
        };
        if self.has_length {
            request = request.header("content-length", self.body.len());
        }
        for range in &self.ranges {
            let range = HeaderValue::from_bytes(range.as_bytes()).ok()?;
            request = request.header("content-range", range);
        }
        // In frames of three bytes, because nothing may depend on how it is cut.
        let frames = self.body.chunks(3).map(Bytes::copy_from_slice);
        let frames: Vec<Result<_, std::io::Error>> = frames.map(Ok).collect();
        let frames = futures_util::stream::iter(frames);
        Some(request.body(Body::from_stream(frames)).unwrap())
    }

    /// Why the piece is refused, if it is.
    // protocol 25, 27 to 29
    fn refusal(&self, largest: u64) -> Option<(u16, &'static str)> {
        let length = self.body.len() as u64;
        let range = match &self.ranges[..] {
            [] => return None,
            [range] => understood(range),
            _ => None,
        };
        let Some((first, of_range)) = range else {
            return Some((400, "BLOB_UPLOAD_INVALID"));
        };
        if self.has_length && of_range != length {
            return Some((400, "SIZE_INVALID"));
        }
        if of_range > largest {
            return Some((413, "SIZE_INVALID"));
        }
        if first != self.acknowledged.len() as u64 {
            return Some((416, "BLOB_UPLOAD_INVALID"));
        }
        if of_range > ROOM {
            return Some((507, "UNKNOWN"));
        }
        (of_range != length).then_some((400, "SIZE_INVALID"))
    }
}

fn range_of(length: usize) -> String {
    format!("0-{}", length.saturating_sub(1))
}

/// The upload is still there, with so many bytes, and ends as if nothing else had been sent.
async fn assert_goes_on(service: &OciRegistryService<MemoryStore>, location: &str, content: &[u8]) {
    let status = get(service, location).await;
    let range = range_of(content.len());
    assert_eq!(
        (status.status.as_u16(), status.header("range")),
        (204, &*range)
    );
    let digest = Algorithm::Sha256.digest(content);
    let answer = put(
        service,
        "PUT",
        &format!("{location}?digest={digest}"),
        &[],
        "",
    )
    .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let blob = get(service, answer.header("location")).await;
    assert_eq!((blob.status.as_u16(), &blob.body[..]), (200, content));
}

proptest! {
    #![proptest_config(cases(1500))]

    // protocol 25, 27 to 30 and 89; pitfalls: a one-byte first chunk, PUT ignores its Content-Range
    #[test]
    fn a_piece_is_taken_exactly_if_its_range_is_where_the_upload_is_and_as_long_as_its_body(
        piece in piece()
    ) {
        let store = MemoryStore::builder().max_bytes(ROOM).build();
        let service = OciRegistryService::writable(store.clone());
        wait(async {
            let location = start(&service, "demo").await;
            let answer = put(&service, "PATCH", &location, &[], piece.acknowledged.clone()).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            let Some(request) = piece.request(&location) else {
                return;
            };
            let used = store.used_bytes();
            let answer = send(&service, request).await;
            let largest = Limits::default().uploads.blob_size;
            let whole = [&piece.acknowledged[..], &piece.body].concat();
            if let Some((status, code)) = piece.refusal(largest) {
                answer.assert_error(status, code);
                // A client that is out of order learns where the upload is.
                let range = if status == 416 { range_of(piece.acknowledged.len()) } else { String::new() };
                assert_eq!(answer.header("range"), range);
                assert_eq!(store.used_bytes(), used);
                assert_goes_on(&service, &location, &piece.acknowledged).await;
            } else if let Some(algorithm) = piece.closing {
                assert_eq!(answer.status, 201, "{answer:?}");
                let digest = algorithm.digest(&whole).to_string();
                assert_eq!(answer.header("docker-content-digest"), digest);
                let blob = get(&service, answer.header("location")).await;
                assert_eq!((blob.status.as_u16(), &blob.body[..]), (200, &whole[..]));
                get(&service, &location).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
            } else {
                assert_eq!(answer.status, 202, "{answer:?}");
                assert_eq!(answer.header("range"), range_of(whole.len()));
                assert_goes_on(&service, answer.header("location"), &whole).await;
            }
        });
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Range,
    Stream,
    /// Sent twice: the second time is out of order, and changes nothing.
    Again,
    /// Lost in the middle, and sent again.
    Lost,
}

proptest! {
    #![proptest_config(cases(400))]

    // protocol 27 to 29, 80 and 81
    #[test]
    fn a_blob_is_what_was_sent_however_it_was_cut_and_whatever_broke(
        pieces in vec((1..30_usize, select(vec![Way::Range, Way::Stream, Way::Again, Way::Lost])), 0..6),
        last in 0..30_usize,
        algorithm in select(vec![Algorithm::Sha256, Algorithm::Sha512]),
    ) {
        let whole = noise(pieces.iter().map(|(length, _)| length).sum::<usize>() + last);
        let service = OciRegistryService::writable(MemoryStore::new());
        wait(async {
            let location = start(&service, "demo").await;
            let mut offset = 0;
            for (length, way) in pieces {
                let piece = whole.slice(offset..offset + length);
                let range = format!("{offset}-{}", offset + length - 1);
                let range: &[(&str, &str)] = &[("content-range", &*range)];
                let headers = if matches!(way, Way::Stream) { &[] } else { range };
                if matches!(way, Way::Lost) {
                    let half = Ok::<_, std::io::Error>(piece.slice(..length / 2));
                    let lost = [half, Err(std::io::Error::other("lost"))];
                    let body = Body::from_stream(futures_util::stream::iter(lost));
                    let request = Request::patch(&location).body(body).unwrap();
                    send(&service, request).await.assert_error(400, "BLOB_UPLOAD_INVALID");
                }
                let answer = put(&service, "PATCH", &location, headers, piece.clone()).await;
                offset += length;
                assert_eq!(answer.status, 202, "{answer:?}");
                assert_eq!(answer.header("range"), range_of(offset));
                if matches!(way, Way::Again) {
                    let answer = put(&service, "PATCH", &location, headers, piece).await;
                    answer.assert_error(416, "BLOB_UPLOAD_INVALID");
                    assert_eq!(answer.header("range"), range_of(offset));
                }
            }
            let digest = algorithm.digest(&whole);
            let uri = format!("{location}?digest={digest}");
            let answer = put(&service, "PUT", &uri, &[], whole.slice(offset..)).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            let blob = get(&service, answer.header("location")).await;
            assert_eq!(blob.body, whole);
        });
    }
}

// protocol 31: the place and the room of an upload that has expired are free, for every kind of push
#[test]
fn a_blob_in_one_request_takes_the_place_and_the_room_of_an_upload_that_has_expired() {
    let now = Arc::new(Mutex::new(Instant::now()));
    let clock = now.clone();
    let clock = Clock::new(move || *clock.lock().unwrap());
    let store = MemoryStore::builder().clock(clock).max_bytes(4_000).build();
    let mut limits = Limits::default();
    limits.uploads.sessions = 1;
    let service = OciRegistryService::writable(store).limits(limits);
    wait(async {
        let abandoned = start(&service, "demo").await;
        let answer = put(&service, "PATCH", &abandoned, &[], noise(2_500)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        *now.lock().unwrap() += limits.uploads.lifetime;
        push_blob(&service, "demo", noise(2_000)).await;
        let status = get(&service, &abandoned).await;
        status.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    });
}
