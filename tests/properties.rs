//! What holds for any input: properties, checked with generated ones.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod common;
#[path = "common/scripted.rs"]
mod scripted;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
    sync::LazyLock,
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use common::*;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::{collection::vec, option, prelude::*, sample::select, string::string_regex};
use regex::Regex;
use scripted::Scripted;
use tower_oci::{
    Algorithm, ArtifactType, Blob, BlobContent, BlobInfo, Cursor, Digest, DynBody, DynSource,
    Image, InvalidDigest, Listing, Manifest, MediaType, MemoryStore, Mount, OciRegistryService,
    OciRequest, Page, PageRequest, ReadOnly, Reference, RepositoryName, Tag, UploadId, Visibility,
    testing::ImageBuilder,
};

/// So many cases, and nothing written to disk.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs `future` to its end on this thread, but not for ever.
fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, future).await.unwrap()
    })
}

// ---- strategies -----------------------------------------------------------------------------

/// The protocol's own words, which are also good names.
const WORDS: &[&str] = &[
    "v2",
    "blobs",
    "uploads",
    "manifests",
    "tags",
    "list",
    "referrers",
    "sha256",
    "a",
    "0",
];

fn matching(regex: &str) -> impl Strategy<Value = String> + Clone + use<> {
    string_regex(regex).unwrap().no_shrink().boxed()
}

fn name_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => select(WORDS).prop_map(ToOwned::to_owned),
        1 => matching(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}"),
    ];
    vec(word, 1..6).prop_map(|words| words.join("/"))
}

fn repository() -> impl Strategy<Value = RepositoryName> {
    name_text().prop_map(|text| text.parse().unwrap())
}

fn a_tag() -> impl Strategy<Value = Tag> {
    let tag = prop_oneof![
        select(WORDS).prop_map(ToOwned::to_owned),
        matching("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}"),
        matching("[a-zA-Z0-9_][a-zA-Z0-9._-]{127}"),
    ];
    tag.prop_map(|text| text.parse().unwrap())
}

fn a_digest() -> impl Strategy<Value = Digest> {
    (any::<u8>(), any::<bool>()).prop_map(|(content, is_long)| {
        let algorithm = if is_long {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        algorithm.digest([content])
    })
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        a_tag().prop_map(Reference::Tag),
        a_digest().prop_map(Reference::Digest)
    ]
}

fn upload() -> impl Strategy<Value = UploadId> {
    let id = prop_oneof![
        select(WORDS).prop_map(ToOwned::to_owned),
        matching("[a-zA-Z0-9_-]{1,128}"),
    ];
    id.prop_map(|text| text.parse().unwrap())
}

fn artifact_type() -> impl Strategy<Value = ArtifactType> {
    matching("[ -~]{1,40}").prop_map(|text| text.parse().unwrap())
}

fn page_request() -> impl Strategy<Value = PageRequest> {
    let last = prop_oneof![any::<String>(), matching("[ -~]{1,20}"), name_text()];
    (option::of(any::<usize>()), option::of(last)).prop_map(|(n, last)| PageRequest {
        n,
        last: last.and_then(|last| Cursor::new(&last)),
    })
}

fn request() -> impl Strategy<Value = OciRequest> {
    use OciRequest as R;
    let read = prop_oneof![
        Just(R::Ping),
        page_request().prop_map(|page| R::ListRepositories { page }),
        (repository(), reference()).prop_map(|(repository, reference)| R::GetManifest {
            repository,
            reference
        }),
        (repository(), reference()).prop_map(|(repository, reference)| R::HeadManifest {
            repository,
            reference
        }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::GetBlob { repository, digest }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::HeadBlob { repository, digest }),
        (repository(), page_request())
            .prop_map(|(repository, page)| R::ListTags { repository, page }),
        (
            repository(),
            a_digest(),
            option::of(artifact_type()),
            page_request()
        )
            .prop_map(
                |(repository, subject, artifact_type, page)| R::ListReferrers {
                    repository,
                    subject,
                    artifact_type,
                    page,
                }
            ),
    ];
    let algorithm = option::of(select(vec![Algorithm::Sha256, Algorithm::Sha512]));
    let write = prop_oneof![
        (repository(), algorithm).prop_map(|(repository, algorithm)| R::StartUpload {
            repository,
            algorithm
        }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::PushBlob { repository, digest }),
        (repository(), a_digest(), option::of(repository())).prop_map(
            |(repository, digest, from)| R::MountBlob {
                repository,
                digest,
                from
            }
        ),
        (repository(), upload())
            .prop_map(|(repository, upload)| R::UploadStatus { repository, upload }),
        (repository(), upload())
            .prop_map(|(repository, upload)| R::AppendUpload { repository, upload }),
        (repository(), upload(), a_digest()).prop_map(|(repository, upload, digest)| {
            R::FinishUpload {
                repository,
                upload,
                digest,
            }
        }),
        (repository(), upload())
            .prop_map(|(repository, upload)| R::CancelUpload { repository, upload }),
        (repository(), reference(), vec(a_tag(), 0..3)).prop_map(
            |(repository, reference, tags)| R::PutManifest {
                repository,
                reference,
                tags
            }
        ),
        (repository(), reference()).prop_map(|(repository, reference)| R::DeleteManifest {
            repository,
            reference
        }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::DeleteBlob { repository, digest }),
    ];
    prop_oneof![read, write]
}

/// `text` with a character put in, taken out or exchanged, so often.
fn mutated(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let strange = prop_oneof![
        3 => select(vec!['/', '.', '_', '-', ':', '%', 'A', 'a', '0', '+', '=', ' ', '\n', 'é', '\0']),
        1 => any::<char>(),
    ];
    (
        text,
        vec((any::<prop::sample::Index>(), 0..3, strange), 0..3),
    )
        .prop_map(|(text, changes)| {
            let mut characters: Vec<char> = text.chars().collect();
            for (index, change, strange) in changes {
                let at = index.index(characters.len() + 1);
                match change {
                    0 => characters.insert(at, strange),
                    1 if at < characters.len() => characters[at] = strange,
                    _ if at < characters.len() => drop(characters.remove(at)),
                    _ => {}
                }
            }
            characters.into_iter().collect()
        })
}

// ---- requests -------------------------------------------------------------------------------

fn parse(method: &Method, path_and_query: &str) -> OciRequest {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    OciRequest::parse(method, path, query).unwrap()
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn what_a_request_writes_is_parsed_as_the_same_request(request in request()) {
        let (method, written) = (request.method(), request.path_and_query());
        prop_assert_eq!(&parse(&method, &written), &request);

        let uri: Uri = format!("/r/v2{written}").parse().unwrap();
        let parts = Request::builder().method(&method).uri(uri).body(()).unwrap().into_parts().0;
        let mount = Mount::nested_at("/r/v2").unwrap();
        prop_assert_eq!(&mount.parse(&parts).unwrap(), &request);

        // protocol 12: unknown parameters change nothing, wherever they stand.
        let (path, query) = written.split_once('?').unwrap_or((&written, ""));
        for query in [format!("ns=docker.io&x=%zz&=&{query}"), format!("{query}&&ns&nn=1&N=%")] {
            prop_assert_eq!(&OciRequest::parse(&method, path, &query).unwrap(), &request);
        }
        // protocol 82: clients encode the colon of a digest, and some encode more.
        let encoded = path.replace(':', "%3a");
        prop_assert_eq!(&OciRequest::parse(&method, &encoded, query).unwrap(), &request);
    }

    #[test]
    fn a_request_says_which_repository_it_needs_access_to(request in request()) {
        let scope = request.required_access().map(|access| access.to_string());
        let expected = match (&request, request.repository()) {
            (OciRequest::ListRepositories { .. }, _) => Some("registry:catalog:*".to_owned()),
            (_, None) => None,
            (_, Some(repository)) => {
                let operation = request.operation().as_str();
                let actions = match operation {
                    "delete_manifest" | "delete_blob" => "delete",
                    _ if operation.starts_with("get_") || operation.starts_with("head_")
                        || operation.starts_with("list_") => "pull",
                    _ => "pull,push",
                };
                Some(format!("repository:{repository}:{actions}"))
            }
        };
        prop_assert_eq!(scope, expected);
    }
}

// ---- the grammars ---------------------------------------------------------------------------

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$")
        .unwrap()
});
static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$").unwrap());
static DIGEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([a-z0-9]+([+._-][a-z0-9]+)*):[a-zA-Z0-9=_-]+$").unwrap());
static SUPPORTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$").unwrap());
static ALGORITHM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9]+([+._-][a-z0-9]+)*$").unwrap());
static MEDIA_TYPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$")
        .unwrap()
});

fn any_digest_text() -> impl Strategy<Value = String> {
    prop_oneof![
        a_digest().prop_map(|digest| digest.to_string()),
        matching("sha256:[a-f0-9]{63,65}"),
        matching("sha512:[a-f0-9]{127,129}"),
        matching("(sha256|sha384|blake3|a[+._-]b|sha256[+._-]b64u)[:.][a-zA-Z0-9=_-]{0,70}"),
    ]
}

proptest! {
    #![proptest_config(cases(1500))]

    // protocol 2
    #[test]
    fn names_are_those_of_the_specification(
        text in prop_oneof![name_text(), mutated(name_text()), any::<String>()]
    ) {
        let parsed = text.parse::<RepositoryName>();
        prop_assert_eq!(parsed.is_ok(), NAME.is_match(&text) && text.len() <= 255, "{:?}", text);
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed.as_str(), text);
        }
    }

    // protocol 3
    #[test]
    fn tags_are_those_of_the_specification(
        text in prop_oneof![
            mutated(a_tag().prop_map(|tag| tag.to_string())),
            matching("[a-zA-Z0-9._-]{0,130}"),
            any::<String>(),
        ]
    ) {
        let parsed = text.parse::<Tag>();
        prop_assert_eq!(parsed.is_ok(), TAG.is_match(&text), "{:?}", text);
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed.as_str(), &text);
            prop_assert_eq!(text.parse::<Reference>().unwrap(), Reference::Tag(parsed));
        }
    }

    // protocol 4
    #[test]
    fn digests_are_those_of_the_specification(
        text in prop_oneof![any_digest_text(), mutated(any_digest_text()), any::<String>()]
    ) {
        let is_digest = DIGEST.captures(&text);
        let algorithm = is_digest.and_then(|parts| parts.get(1)).map(|part| part.as_str());
        match text.parse::<Digest>() {
            Ok(digest) => {
                prop_assert!(SUPPORTED.is_match(&text), "{:?}", text);
                prop_assert_eq!(digest.to_string(), &text[..]);
                prop_assert_eq!(text.parse::<Reference>().unwrap(), Reference::Digest(digest));
                let parts = format!("{}:{}", digest.algorithm(), digest.encoded());
                prop_assert_eq!(parts, &text[..]);
                prop_assert!(Tag::referrers_of(&digest).as_str().parse::<Tag>().is_ok());
            }
            Err(InvalidDigest::Unsupported { .. }) => {
                let is_other = algorithm.is_some_and(|name| name != "sha256" && name != "sha512");
                prop_assert!(is_other, "{:?}", text);
            }
            Err(InvalidDigest::Malformed(_)) => {
                prop_assert!(!SUPPORTED.is_match(&text), "{:?}", text);
                let is_known = algorithm.is_none_or(|name| name == "sha256" || name == "sha512");
                prop_assert!(is_known, "{:?}", text);
                prop_assert!(!text.contains(':') || text.parse::<Reference>().is_err());
            }
        }
    }

    #[test]
    fn algorithms_are_known_unsupported_or_malformed(
        text in prop_oneof![
            mutated(select(vec!["sha256", "sha512", "sha256+b64u", "a.b"]).prop_map(str::to_owned)),
            any::<String>(),
        ]
    ) {
        match text.parse::<Algorithm>() {
            Ok(algorithm) => prop_assert_eq!(algorithm.as_str(), text),
            Err(error) => {
                let is_unsupported = matches!(error, InvalidDigest::Unsupported { .. });
                prop_assert_eq!(is_unsupported, ALGORITHM.is_match(&text), "{:?}", text);
            }
        }
    }

    #[test]
    fn media_types_lose_their_parameters_and_nothing_else(
        text in prop_oneof![
            matching("[a-z]{1,5}/[a-z.+]{0,8}"),
            mutated(Just(MediaType::OCI_MANIFEST.to_string())),
            matching("[a-z]{126,129}/[a-z]{126,129}"),
            any::<String>(),
        ],
        parameters in select(vec!["", ";", "; charset=utf-8", " ;q=1", "\t; a=\"b/c\"; d"]),
    ) {
        let bare = text.split(';').next().unwrap().trim_matches([' ', '\t']);
        match format!("{text}{parameters}").parse::<MediaType>() {
            Ok(parsed) => {
                prop_assert!(MEDIA_TYPE.is_match(bare), "{:?}", text);
                prop_assert_eq!(parsed.as_str(), bare);
                prop_assert_eq!(&parsed.as_str().parse::<MediaType>().unwrap(), &parsed);
            }
            Err(_) => prop_assert!(!MEDIA_TYPE.is_match(bare), "{:?}", text),
        }
    }
}

#[test]
fn names_end_at_255_bytes_and_tags_at_128() {
    for (length, is_name) in [(254, true), (255, true), (256, false), (100_000, false)] {
        assert_eq!(
            "a".repeat(length).parse::<RepositoryName>().is_ok(),
            is_name
        );
        let segments = format!("{}a", "a/".repeat(length / 2));
        let parsed = segments.parse::<RepositoryName>();
        assert_eq!(parsed.is_ok(), segments.len() <= 255);
    }
    for (length, is_tag) in [(127, true), (128, true), (129, false)] {
        assert_eq!("a".repeat(length).parse::<Tag>().is_ok(), is_tag);
    }
}

// ---- ranges ---------------------------------------------------------------------------------

fn range_spec() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..40_u64, 0..40_u64).prop_map(|(first, last)| format!("{first}-{last}")),
        3 => (0..40_u64).prop_map(|first| format!("{first}-")),
        3 => (0..40_u64).prop_map(|length| format!("-{length}")),
        1 => any::<u64>().prop_map(|first| format!("{first}-")),
        1 => any::<u64>().prop_map(|last| format!("1-{last}")),
        1 => Just("0-99999999999999999999999999".to_owned()),
        1 => Just("-99999999999999999999999999".to_owned()),
        1 => select(vec!["", " ", "-", "x", "1", "1-x", "--1", "+1-2", "1 -2", "1-2-3", "0x1-2"])
            .prop_map(ToOwned::to_owned),
    ]
}

fn range_header() -> impl Strategy<Value = String> {
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
        return Selected::Unsatisfiable;
    }
    for spec in &specs {
        let Some((first, last)) = spec.split_once('-') else {
            return Selected::Unsatisfiable;
        };
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

/// A registry with one blob and the URI of that.
fn blob_registry(content: &Bytes) -> (OciRegistryService<ReadOnly<MemoryStore>>, String) {
    let image = ImageBuilder::new()
        .layer(MediaType::OCI_LAYER, content.clone())
        .build()
        .unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let uri = format!("/v2/demo/blobs/{}", image.layers()[0].digest);
    (OciRegistryService::new(store), uri)
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
        // Where a strict and independent reader accepts all ranges, it selects the same.
        let strict = http_range_header::parse_range_header(&header);
        if let Some(ranges) = strict.ok().and_then(|ranges| ranges.validate(total).ok()) {
            let ranges = ranges.into_iter().map(|range| *range.start()..range.end() + 1);
            prop_assert_eq!(expected, Selected::Parts(ranges.collect()));
        }
        // A manifest is answered by the same rules; HEAD ignores them.
        let head = wait(ask(&service, "HEAD", &uri, &[("range", &header)]));
        prop_assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*total.to_string()));
    }
}

// ---- conditions -----------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    This,
    ThisInSha512,
    Other,
    NoDigest,
}

/// An entity tag in a list: of which content, weak, quoted.
type EntityTag = (Which, bool, bool);

#[derive(Clone, Debug)]
enum Condition {
    Star,
    /// Lines of tags.
    Tags(Vec<Vec<EntityTag>>),
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    let which = select(vec![
        Which::This,
        Which::This,
        Which::ThisInSha512,
        Which::Other,
        Which::NoDigest,
    ]);
    let tags = vec(
        (which, prop::bool::weighted(0.3), prop::bool::weighted(0.7)),
        0..4,
    );
    option::of(prop_oneof![
        1 => Just(Condition::Star),
        6 => vec(tags, 1..3).prop_map(Condition::Tags),
    ])
}

impl Condition {
    fn lines(&self, this: &str, this_in_sha512: &str) -> Vec<String> {
        let Self::Tags(lines) = self else {
            return vec!["*".to_owned()];
        };
        let text = |&(which, is_weak, is_quoted): &EntityTag| {
            let opaque = match which {
                Which::This => this.to_owned(),
                Which::ThisInSha512 => this_in_sha512.to_owned(),
                Which::Other => Algorithm::Sha256.digest("other").to_string(),
                Which::NoDigest if is_quoted => "a, b".to_owned(),
                Which::NoDigest => "ab".to_owned(),
            };
            let quote = if is_quoted { "\"" } else { "" };
            format!("{}{quote}{opaque}{quote}", if is_weak { "W/" } else { "" })
        };
        let line = |tags: &Vec<EntityTag>| tags.iter().map(text).collect::<Vec<_>>().join(", ");
        lines.iter().map(line).collect()
    }

    fn matches(&self, is_strong: bool) -> bool {
        match self {
            Self::Star => true,
            Self::Tags(lines) => lines
                .iter()
                .flatten()
                .any(|(which, is_weak, _)| *which == Which::This && !(is_strong && *is_weak)),
        }
    }
}

proptest! {
    #![proptest_config(cases(800))]

    // RFC 9110 §13.2.2, in its order
    #[test]
    fn conditions_are_judged_in_order_for_blobs_and_manifests(
        if_match in condition(),
        if_none_match in condition(),
        if_range in option::of(select(vec![
            ("this", true),
            ("\"this\"", true),
            ("W/\"this\"", false),
            ("W/this", false),
            ("\"sha256:0\"", false),
            ("Wed, 21 Oct 2026 07:28:00 GMT", false),
            ("*", false),
            ("", false),
        ])),
        target in 0..4,
        method in select(vec!["GET", "HEAD"]),
    ) {
        let (service, blob) = blob_registry(&noise(20));
        let manifest = wait(get(&service, "/v2/demo/manifests/latest"));
        let manifest_digest = manifest.header("docker-content-digest").to_owned();
        let (uri, this, content) = match target {
            0 => (blob.clone(), blob.rsplit('/').next().unwrap().to_owned(), noise(20)),
            1 => ("/v2/demo/manifests/latest".to_owned(), manifest_digest, manifest.body.clone()),
            2 => (format!("/v2/demo/manifests/{manifest_digest}"), manifest_digest, manifest.body.clone()),
            _ => ("/v2/demo/manifests/missing".to_owned(), manifest_digest, manifest.body.clone()),
        };
        let in_sha512 = Algorithm::Sha512.digest(&content).to_string();
        let mut request = Request::builder().method(method).uri(&uri).header("range", "bytes=1-2");
        for (header, condition) in [("if-match", &if_match), ("if-none-match", &if_none_match)] {
            for line in condition.iter().flat_map(|condition| condition.lines(&this, &in_sha512)) {
                request = request.header(header, line);
            }
        }
        if let Some((value, _)) = if_range {
            request = request.header("if-range", value.replace("this", &this));
        }
        let answer = wait(send(&service, request.body(Body::empty()).unwrap()));

        let expected = if target == 3 {
            404 // existence first
        } else if if_match.is_some_and(|condition| !condition.matches(true)) {
            412
        } else if if_none_match.is_some_and(|condition| condition.matches(false)) {
            304
        } else if method == "GET" && if_range.is_none_or(|(_, holds)| holds) {
            206
        } else {
            200
        };
        prop_assert_eq!(answer.status, expected);
        if [200, 206, 304].contains(&expected) {
            prop_assert_eq!(answer.header("etag"), format!("\"{this}\""));
            let by_tag = uri.ends_with("latest");
            let caching = if by_tag { "no-cache" } else { "private, max-age=31536000, immutable" };
            prop_assert_eq!(answer.header("cache-control"), caching);
        }
        if method == "GET" {
            match expected {
                200 => prop_assert_eq!(&answer.body, &content),
                206 => prop_assert_eq!(&answer.body, &content[1..3]),
                304 => {}
                412 => answer.assert_error(412, "DENIED"),
                _ => answer.assert_error(404, "MANIFEST_UNKNOWN"),
            }
        }
    }
}

// ---- pages ----------------------------------------------------------------------------------

/// Follows the links from `uri` to the end, and gives the entries of each page.
fn pages<S, B>(
    service: &S,
    uri: &str,
    entries: &str,
    visibility: Option<&Visibility>,
) -> Vec<Vec<String>>
where
    S: tower::Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<tower_oci::BoxError>>,
{
    let mut pages = Vec::new();
    let mut next = Some(uri.to_owned());
    while let Some(uri) = next {
        assert!(pages.len() < 100, "the links never end");
        let mut request = Request::get(&uri).body(Body::empty()).unwrap();
        if let Some(visibility) = visibility {
            request.extensions_mut().insert(visibility.clone());
        }
        let answer = wait(send(service, request));
        assert_eq!(answer.status, 200, "{uri}: {answer:?}");
        let json = answer.json();
        let text = |entry: &serde_json::Value| {
            let text = if entry.is_object() {
                &entry["digest"]
            } else {
                entry
            };
            text.as_str().unwrap().to_owned()
        };
        pages.push(json[entries].as_array().unwrap().iter().map(text).collect());
        let link = answer.header("link").strip_prefix('<');
        next = link.map(|link| link.strip_suffix(">; rel=\"next\"").unwrap().to_owned());
    }
    pages
}

/// Every page is full but the last, none is empty unless it is the only one, and together they
/// are the list.
fn assert_pages(pages: &[Vec<String>], n: usize, expected: &[String]) {
    assert_eq!(pages.concat(), expected);
    let (last, full) = pages.split_last().unwrap();
    assert!(full.iter().all(|page| page.len() == n), "{pages:?}");
    assert!(
        last.len() <= n && (!last.is_empty() || full.is_empty()),
        "{pages:?}"
    );
}

proptest! {
    #![proptest_config(cases(150))]

    // protocol 46 to 48 and 66
    #[test]
    fn the_links_lead_to_every_tag_once_in_byte_order(
        tags in prop::collection::btree_set(a_tag(), 0..12),
        n in 1..6_usize,
        last in matching("[ -~]{0,5}"),
    ) {
        let image = ImageBuilder::new().build().unwrap();
        let store = MemoryStore::new();
        store.add_image(&name("demo"), None, &image);
        for a_tag in &tags {
            store.add_image(&name("demo"), Some(a_tag), &image);
        }
        let mut expected: Vec<String> = tags.iter().map(ToString::to_string).collect();
        expected.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
        // The same from a source that lists from memory with `Listing::page_of`.
        let unsorted: Vec<Tag> = tags.iter().rev().chain(&tags).cloned().collect();
        let paging = Paging(unsorted);
        let (store, paging) = (OciRegistryService::new(store), OciRegistryService::new(paging));
        for service in [&|uri: &str| pages(&store, uri, "tags", None), &|uri: &str| pages(&paging, uri, "tags", None)]
            as [&dyn Fn(&str) -> Vec<Vec<String>>; 2]
        {
            assert_pages(&service(&format!("/v2/demo/tags/list?n={n}")), n, &expected);
            assert_pages(&service("/v2/demo/tags/list"), 1000, &expected);
            prop_assert_eq!(service("/v2/demo/tags/list?n=0"), [Vec::<String>::new()]);
            // Any text is a position, whether or not there is such a tag.
            let mut encoded = String::new();
            for byte in last.bytes() {
                write!(encoded, "%{byte:02x}").unwrap();
            }
            let after: Vec<String> = expected.iter().filter(|tag| **tag > last).cloned().collect();
            assert_pages(&service(&format!("/v2/demo/tags/list?n={n}&last={encoded}")), n, &after);
            assert_pages(&service(&format!("/v2/demo/tags/list?last={encoded}")), 1000, &after);
        }
    }

    // protocol 64
    #[test]
    fn the_links_lead_to_every_repository_once_in_byte_order(
        repositories in prop::collection::btree_set(repository(), 0..12),
        n in 1..6_usize,
        seed in any::<u64>(),
    ) {
        let image = ImageBuilder::new().build().unwrap();
        let store = MemoryStore::new();
        for repository in &repositories {
            store.add_image(repository, None, &image);
        }
        let service = OciRegistryService::new(store);
        let expected: Vec<String> = repositories.iter().map(ToString::to_string).collect();
        let uri = format!("/v2/_catalog?n={n}");
        assert_pages(&pages(&service, &uri, "repositories", None), n, &expected);

        // A caller that may not know of all of them gets the same list without the others.
        let is_visible = move |name: &str| {
            let number = name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            number % 3 == 0
        };
        let visibility = Visibility::new(move |name| is_visible(name.as_str()));
        let expected: Vec<String> = expected.into_iter().filter(|name| is_visible(name)).collect();
        assert_pages(&pages(&service, &uri, "repositories", Some(&visibility)), n, &expected);
        let none = Visibility::new(|_| false);
        assert_pages(&pages(&service, &uri, "repositories", Some(&none)), n, &[]);
    }

    // protocol 52 and 53
    #[test]
    fn the_links_lead_to_every_referrer_once_in_the_order_of_digests(
        kinds in vec((0..3_u8, any::<bool>()), 0..8),
        n in 1..4_usize,
        filter in option::of(0..3_u8),
    ) {
        let subject = ImageBuilder::new().build().unwrap();
        let store = MemoryStore::new();
        let mut expected = BTreeSet::new();
        for (number, (kind, is_long)) in kinds.iter().enumerate() {
            let artifact = ImageBuilder::artifact(format!("a/kind+{kind} x").parse().unwrap())
                .algorithm(if *is_long { Algorithm::Sha512 } else { Algorithm::Sha256 })
                .annotation("number", number.to_string())
                .subject(&subject)
                .build()
                .unwrap();
            store.add_image(&name("demo"), None, &artifact);
            if filter.is_none_or(|filter| filter == *kind) {
                expected.insert(artifact.digest().to_string());
            }
        }
        let expected: Vec<String> = expected.into_iter().collect();
        let service = OciRegistryService::new(store);
        let filter = filter.map_or_else(String::new, |kind| format!("&artifactType=a/kind%2B{kind}%20x"));
        let uri = format!("/v2/demo/referrers/{}?n={n}{filter}", subject.digest());
        assert_pages(&pages(&service, &uri, "manifests", None), n, &expected);
    }
}

/// Lists these tags with [`Listing::page_of`].
struct Paging(Vec<Tag>);

impl tower_oci::BlobSource for Paging {
    type Body = DynBody;

    async fn manifest(
        &self,
        _: &RepositoryName,
        _: &Reference,
        _: tower_oci::GetManifest<'_>,
    ) -> Result<tower_oci::Found<Manifest>, tower_oci::SourceError> {
        Err(tower_oci::SourceError::Unsupported)
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        _: &Digest,
        _: tower_oci::GetBlob,
    ) -> Result<Blob<DynBody>, tower_oci::SourceError> {
        Err(tower_oci::SourceError::Unsupported)
    }

    async fn tags(
        &self,
        _: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, tower_oci::SourceError> {
        Ok(Listing::page_of(self.0.clone(), page))
    }
}

// ---- anything at all ------------------------------------------------------------------------

fn junk() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..12),
        matching("[!-~]{0,12}").prop_map(String::into_bytes),
        select(vec![
            "v2",
            "demo",
            "manifests",
            "latest",
            "blobs",
            "uploads",
            "tags",
            "list",
            "referrers",
            "_catalog",
            "..",
            ".",
            "",
            "%2e%2e",
            "%",
            "%zz",
            "%00",
            "sha256:",
            "sha256%3A",
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "é",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
    ]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let path = || vec(junk(), 0..6).prop_map(|segments| segments.join(&b'/'));
    let known = select(vec![
        "/v2/demo/manifests/latest",
        "/v2/demo/tags/list",
        "/v2/_catalog",
        "/v2/",
        "/a/v2/demo/tags/list",
        "/v2/demo/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "/v2/demo/blobs/uploads/",
        "/v2/demo/blobs/uploads/x",
        "/v2/demo/referrers/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ]);
    let path = prop_oneof![
        path(),
        path().prop_map(|path| [b"/v2/demo/", &path[..]].concat()),
        known.prop_map(|path| path.as_bytes().to_vec()),
    ];
    let key = select(vec![
        "n",
        "last",
        "digest",
        "mount",
        "from",
        "artifactType",
        "tag",
        "x",
    ]);
    let value = prop_oneof![
        junk(),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        (0..3_u8).prop_map(|number| number.to_string().into_bytes()),
    ];
    let query = vec((key, value), 0..3);
    (path, query).prop_map(|(mut path, query)| {
        for (position, (key, value)) in query.into_iter().enumerate() {
            path.push(if position == 0 { b'?' } else { b'&' });
            path.extend_from_slice(key.as_bytes());
            path.push(b'=');
            path.extend_from_slice(&value);
        }
        path
    })
}

const METHODS: &[&str] = &[
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "!#$%&'*+-.^_`|~",
];

const HEADERS: &[&str] = &[
    "range",
    "range",
    "if-match",
    "if-none-match",
    "if-range",
    "accept",
    "host",
    "x-forwarded-prefix",
    "expect",
    "content-length",
    "content-type",
    "content-range",
    "accept-encoding",
    "authorization",
    "transfer-encoding",
    "connection",
];

const CODES: &[&str] = &[
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
];

#[track_caller]
fn assert_known(method: &str, answer: &Answer) {
    let known = [200, 206, 304, 400, 404, 405, 412, 416];
    assert!(known.contains(&answer.status.as_u16()), "{answer:?}");
    let is_error = answer.status.as_u16() >= 400;
    if is_error {
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        if method != "HEAD" {
            let codes = answer.error_codes();
            assert!(
                !codes.is_empty() && codes.iter().all(|code| CODES.contains(&&**code)),
                "{answer:?}"
            );
            let json = answer.json();
            assert!(
                !json["errors"][0]["message"]
                    .as_str()
                    .unwrap()
                    .contains(char::is_control)
            );
        }
    }
    assert_eq!(
        answer.status == 405,
        answer.headers.contains_key("allow"),
        "{answer:?}"
    );
    let link = answer.header("link");
    assert!(
        link.is_empty() || (link.starts_with("</") && !link.starts_with("<//")),
        "{link}"
    );
    assert!(answer.extensions.get::<tower_oci::Operation>().is_some());
}

proptest! {
    #![proptest_config(cases(1200))]

    #[test]
    fn any_request_has_a_well_formed_answer(
        method in select(METHODS),
        target in target(),
        headers in vec((select(HEADERS), prop_oneof![
            junk(),
            range_header().prop_map(String::into_bytes),
            matching("[\"*W/,sha256:a-f0-9 -]{0,80}").prop_map(String::into_bytes),
        ]), 0..4),
        body in vec(any::<u8>(), 0..20),
        version in select(vec![http::Version::HTTP_10, http::Version::HTTP_11, http::Version::HTTP_2]),
    ) {
        let Ok(uri) = Uri::from_maybe_shared(Bytes::from(target)) else {
            return Ok(());
        };
        let request = || {
            let mut request = Request::new(Body::from(body.clone()));
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            *request.uri_mut() = uri.clone();
            *request.version_mut() = version;
            for (name, value) in &headers {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    request.headers_mut().append(HeaderName::from_static(name), value);
                }
            }
            request
        };
        let (registry, _) = blob_registry(&Bytes::from_static(b"{}"));
        let trusting = registry.clone().trust_forwarded_prefix(true);
        assert_known(method, &wait(send(&registry, request())));
        assert_known(method, &wait(send(&trusting, request())));
        let root = registry.clone().served_at("/").unwrap();
        assert_known(method, &wait(send(&root, request())));
        let stripped = registry.clone().nested_at("/x").unwrap();
        assert_known(method, &wait(send(&stripped, request())));
        let app = Router::new().fallback_service(trusting);
        assert_known(method, &wait(send(&app, request())));
        let app = Router::new()
            .nest_service("/{tenant}", registry.clone())
            .fallback_service(registry);
        assert_known(method, &wait(send(&app, request())));
    }
}

/// JSON that a document may have in any place, well formed and not.
fn fragment() -> impl Strategy<Value = String> {
    let digest = Algorithm::Sha256.digest("{}");
    let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":2}}"#);
    let empty = Algorithm::Sha256.digest("");
    let leaf = prop_oneof![
        6 => Just(descriptor),
        2 => Just(format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2}}"#, MediaType::OCI_INDEX)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":2,"data":"e30="}}"#)),
        1 => Just(format!(r#"{{"digest":"{empty}","size":0}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":-1}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":99999999999999999999}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":2,"size":2}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":2,"platform":["amd64","linux"],"annotations":[]}}"#)),
        1 => Just(format!("\"{digest}\"")),
        3 => select(vec![
            "null", "true", "0", "-1", "1e400", "\"\"", "\"\\ud800\"", "[]", "{}", "\"a/b\"",
            "\"application/vnd.oci.image.index.v1+json; charset=utf-8\"", "{\"a\":1,\"b\":\"c\"}",
            "{\"a\":\"b\",\"a\":\"c\"}", "[null]", "[[[]]]", "\"", "{", "1 2", "\u{feff}{}",
        ])
        .prop_map(ToOwned::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            1 => inner.prop_map(|item| format!("{{\"a\":{item}}}")),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let field = select(vec![
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "blobs",
        "manifests",
        "subject",
        "annotations",
        "unknown",
        "con\\u0066ig",
    ]);
    vec((field, fragment()), 0..6).prop_map(|fields| {
        let fields = fields
            .iter()
            .map(|(field, value)| format!("\"{field}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    })
}

/// Loads the manifest as an image, and uses everything that it then offers.
fn use_as_image(manifest: Manifest) {
    let bytes = manifest.bytes().clone();
    let source = Scripted::new()
        .on_manifest(move |(reference, _)| match reference {
            Reference::Tag(_) => Ok(manifest.clone().into()),
            Reference::Digest(digest) if digest.verifies("{}") => {
                Ok(Manifest::verified(digest, MediaType::OCI_INDEX, "{}")
                    .unwrap()
                    .into())
            }
            Reference::Digest(_) => Err(tower_oci::SourceError::NotFound(
                tower_oci::MissingContent::Manifest,
            )),
        })
        .on_blob(|_| {
            Ok(Blob::Content(BlobContent {
                info: BlobInfo::seekable(2),
                range: 0..2,
                body: DynBody::new(tower_oci::BytesBody::new("{}")),
            }))
        });
    wait(async {
        let reference = Reference::Tag(tag("latest"));
        let loaded = Image::load(&DynSource::new(source), &name("demo"), &reference).await;
        let image = match loaded {
            Ok(image) => image,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        };
        assert_eq!(image.manifest().bytes(), &bytes);
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        let service = OciRegistryService::new(store);
        let answer = get(&service, "/v2/demo/manifests/latest").await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &bytes));
        for descriptor in image.descriptors() {
            let read = image.read_blob_verified(descriptor, 10).await;
            assert!(read.is_err() || descriptor.digest.verifies(read.unwrap()));
        }
        if let Some(subject) = image.subject() {
            let uri = format!("/v2/demo/referrers/{}", subject.digest);
            let answer = get(&service, &uri).await;
            assert_eq!(answer.json()["manifests"].as_array().unwrap().len(), 1);
        }
    });
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn any_bytes_are_a_manifest_or_an_error(bytes in prop_oneof![
        vec(any::<u8>(), 0..60),
        mutated(document()).prop_map(String::into_bytes),
        fragment().prop_map(String::into_bytes),
    ]) {
        if let Ok(manifest) = Manifest::parse(bytes.clone()) {
            prop_assert_eq!(manifest.bytes(), &bytes);
            prop_assert_eq!(bytes.trim_ascii_start().first(), Some(&b'{'));
            use_as_image(manifest);
        }
    }

    #[test]
    fn any_document_is_an_image_or_an_error(document in document()) {
        use_as_image(Manifest::new(MediaType::OCI_MANIFEST, document));
    }
}

#[test]
fn deep_and_wide_documents_do_no_harm() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for value in [
        deep(100_000),
        objects(100_000),
        "[".repeat(100_000),
        "\"".to_owned(),
    ] {
        let fields = [
            "config",
            "layers",
            "manifests",
            "subject",
            "annotations",
            "mediaType",
            "x",
        ];
        for field in fields {
            let document = format!("{{\"{field}\":{value}}}");
            let _ = Manifest::parse(document.clone());
            use_as_image(Manifest::new(MediaType::OCI_MANIFEST, document));
        }
        let digest = Algorithm::Sha256.digest("x");
        for field in [
            "size",
            "data",
            "annotations",
            "urls",
            "platform",
            "mediaType",
            "x",
        ] {
            let document = format!(
                "{{\"layers\":[{{\"digest\":\"{digest}\",\"size\":1,\"{field}\":{value}}}]}}"
            );
            use_as_image(Manifest::new(MediaType::OCI_MANIFEST, document));
        }
    }
}
