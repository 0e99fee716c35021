//! Random operations, which become simpler where one fails.

use proptest::{collection::vec, option, prelude::*, sample::select};
use tower_oci::Algorithm;

use super::{
    operations::{
        ByteRange, Conditions, EntityTags, Framing, Length, Operation, Options, Page, Piece,
        PieceRange, PutManifest, PutTo, Reference, SentAs, SessionRef,
    },
    universe::{
        ALGORITHMS, CONTENT_COUNT, DOCUMENT_COUNT, FIRST_ARTIFACT, NOWHERE, Named, REPOSITORIES,
        SECOND_ARTIFACT, TAGS,
    },
};

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let rarely = || prop::bool::weighted(0.25);
    let repositories = prop_oneof![3 => Just(REPOSITORIES.len()), 1 => 1..REPOSITORIES.len()];
    (
        any::<bool>(),
        rarely(),
        any::<bool>(),
        rarely(),
        repositories,
    )
        .prop_map(
            |(anonymous_mounts, sparse_manifests, immutable_tag, no_deletes, repositories)| {
                Options {
                    allows_anonymous_mounts: anonymous_mounts,
                    allows_sparse_manifests: sparse_manifests,
                    has_immutable_tag: immutable_tag,
                    allows_deletes: !no_deletes,
                    repositories,
                }
            },
        )
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => upload(),
        5 => blob(),
        7 => put_manifest().prop_map(Operation::PutManifest),
        5 => delete(),
        3 => read(),
        1 => (1..5_u64).prop_map(|quarters| Operation::Wait { quarters }),
    ]
}

fn upload() -> impl Strategy<Value = Operation> {
    let start = (repository(), content(), option::of(algorithm()));
    let finish = (session(), piece(), algorithm(), sometimes(content()));
    prop_oneof![
        3 => start.prop_map(|(repository, content, algorithm)| Operation::Start {
            repository,
            content,
            algorithm,
        }),
        4 => (session(), piece()).prop_map(|(session, piece)| Operation::Append { session, piece }),
        5 => finish.prop_map(|(session, piece, algorithm, other)| Operation::Finish {
            session,
            piece,
            algorithm,
            other,
        }),
        1 => session().prop_map(|session| Operation::Status { session }),
        1 => session().prop_map(|session| Operation::Cancel { session }),
    ]
}

fn blob() -> impl Strategy<Value = Operation> {
    let from = option::of(prop_oneof![6 => repository(), 1 => Just(NOWHERE)]);
    let mount = (repository(), named_blob(), from);
    let push = (repository(), named_blob(), sometimes(content()), framing());
    prop_oneof![
        1 => mount.prop_map(|(repository, blob, from)| Operation::Mount {
            repository,
            blob,
            from,
        }),
        3 => push.prop_map(|(repository, blob, other, framing)| Operation::Push {
            repository,
            blob,
            content: other.unwrap_or(blob.number),
            framing,
        }),
    ]
}

fn put_manifest() -> impl Strategy<Value = PutManifest> {
    let to = prop_oneof![
        6 => tag().prop_map(PutTo::Tag),
        6 => algorithm().prop_map(PutTo::Digest),
        1 => named_document().prop_map(PutTo::WrongDigest),
    ];
    let sent_as = prop_oneof![
        6 => Just(SentAs::Own),
        1 => Just(SentAs::Missing),
        1 => Just(SentAs::Docker),
        1 => Just(SentAs::Opaque),
    ];
    let tags = prop_oneof![2 => Just(Vec::new()), 1 => vec(tag(), 0..4)];
    let conditions = conditions(named_document().boxed());
    (
        repository(),
        document(),
        to,
        sent_as,
        tags,
        conditions,
        framing(),
    )
        .prop_map(
            |(repository, document, to, sent_as, tags, conditions, framing)| PutManifest {
                repository,
                document,
                to,
                sent_as,
                tags,
                conditions,
                framing,
            },
        )
}

fn delete() -> impl Strategy<Value = Operation> {
    let of_documents = || conditions(named_document().boxed());
    let of_blobs = conditions(named_blob().boxed());
    prop_oneof![
        (repository(), tag(), of_documents()).prop_map(|(repository, tag, conditions)| {
            Operation::DeleteTag {
                repository,
                tag,
                conditions,
            }
        }),
        (repository(), named_document(), of_documents()).prop_map(
            |(repository, document, conditions)| Operation::DeleteManifest {
                repository,
                document,
                conditions,
            }
        ),
        (repository(), named_blob(), of_blobs).prop_map(|(repository, blob, conditions)| {
            Operation::DeleteBlob {
                repository,
                blob,
                conditions,
            }
        }),
    ]
}

fn read() -> impl Strategy<Value = Operation> {
    let reference = prop_oneof![
        tag().prop_map(Reference::Tag),
        named_document().prop_map(Reference::Digest)
    ];
    let of_documents = conditions(named_document().boxed());
    let range = option::of(byte_range());
    prop_oneof![
        3 => list(),
        1 => (repository(), reference, of_documents, any::<bool>()).prop_map(
            |(repository, reference, conditions, is_head)| Operation::ReadManifest {
                repository,
                reference,
                conditions,
                is_head,
            }
        ),
        1 => (repository(), named_blob(), range, any::<bool>()).prop_map(
            |(repository, blob, range, is_head)| Operation::ReadBlob {
                repository,
                blob,
                range,
                is_head,
            }
        ),
    ]
}

fn list() -> impl Strategy<Value = Operation> {
    let artifact_type = select(vec![FIRST_ARTIFACT, SECOND_ARTIFACT, "application/none"]);
    let filter = option::of(artifact_type);
    let n = option::of(0..3_usize);
    // Positions need not be names that exist.
    let repositories = REPOSITORIES.into_iter().chain(["", "a/", "zz"]).collect();
    let tags = TAGS.into_iter().chain(["A", "m"]).collect();
    prop_oneof![
        (repository(), page(tags))
            .prop_map(|(repository, page)| Operation::ListTags { repository, page }),
        page(repositories).prop_map(|page| Operation::ListRepositories { page }),
        (repository(), named_document(), filter, n).prop_map(
            |(repository, subject, artifact_type, n)| Operation::ListReferrers {
                repository,
                subject,
                artifact_type,
                n,
            }
        ),
    ]
}

fn repository() -> impl Strategy<Value = &'static str> {
    // The first one is used most.
    prop_oneof![3 => Just(REPOSITORIES[0]), 1 => select(&REPOSITORIES[1..])]
}

fn tag() -> impl Strategy<Value = &'static str> {
    select(&TAGS[..])
}

fn content() -> impl Strategy<Value = usize> {
    // What manifests are made of is used most.
    prop_oneof![2 => 1..3_usize, 1 => 0..CONTENT_COUNT]
}

fn document() -> impl Strategy<Value = usize> {
    // What needs nothing else is used most, and then what needs a blob or two.
    prop_oneof![
        3 => select(vec![6, 7]),
        3 => select(vec![0, 3, 4, 8]),
        1 => 0..DOCUMENT_COUNT,
    ]
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![3 => Just(ALGORITHMS[0]), 1 => Just(ALGORITHMS[1])]
}

fn named_blob() -> impl Strategy<Value = Named> {
    (content(), algorithm()).prop_map(|(number, algorithm)| Named { number, algorithm })
}

fn named_document() -> impl Strategy<Value = Named> {
    (document(), algorithm()).prop_map(|(number, algorithm)| Named { number, algorithm })
}

fn sometimes<T: std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    option::weighted(0.15, strategy)
}

fn session() -> impl Strategy<Value = SessionRef> {
    let is_open = prop::bool::weighted(0.75);
    let through = option::weighted(0.05, repository());
    let newer = prop_oneof![3 => Just(0), 2 => 1..4_usize];
    (newer, is_open, through).prop_map(|(newer, is_open, through)| SessionRef {
        newer,
        is_open,
        through,
    })
}

fn piece() -> impl Strategy<Value = Piece> {
    let length = prop_oneof![
        6 => Just(Length::Rest),
        6 => select(vec![0, 1, 2, 100, 4_096, 66_000]).prop_map(Length::UpTo),
        1 => select(vec![1, 80_001]).prop_map(Length::Exactly),
    ];
    let range = prop_oneof![
        6 => Just(PieceRange::None),
        6 => Just(PieceRange::Right),
        1 => Just(PieceRange::FromStart),
        1 => Just(PieceRange::Gap),
        1 => Just(PieceRange::TooLong),
        1 => Just(PieceRange::Malformed),
    ];
    (length, range, framing()).prop_map(|(length, range, framing)| Piece {
        length,
        range,
        framing,
    })
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![
        8 => Just(Framing::Whole),
        6 => Just(Framing::InPieces),
        6 => Just(Framing::Streamed),
        1 => Just(Framing::Broken),
        1 => Just(Framing::TooShort),
        1 => Just(Framing::TooLong),
    ]
}

fn conditions(named: BoxedStrategy<Named>) -> impl Strategy<Value = Conditions> {
    let tags = move || {
        let named = vec(named.clone(), 1..4).prop_map(EntityTags::Of);
        let tags = prop_oneof![1 => Just(EntityTags::Any), 2 => named];
        option::weighted(0.15, tags)
    };
    (tags(), tags()).prop_map(|(if_match, if_none_match)| Conditions {
        if_match,
        if_none_match,
    })
}

fn page(entries: Vec<&'static str>) -> impl Strategy<Value = Page> {
    (option::of(0..6_usize), option::of(select(entries))).prop_map(|(n, last)| Page { n, last })
}

fn byte_range() -> impl Strategy<Value = ByteRange> {
    let position = || select(vec![0, 1, 2, 4_096, 4_999, 5_000, 69_999, 1_000_000]);
    prop_oneof![
        position().prop_map(ByteRange::From),
        (position(), position()).prop_map(|(first, last)| ByteRange::FromTo(first, last)),
        position().prop_map(ByteRange::Suffix),
    ]
}
