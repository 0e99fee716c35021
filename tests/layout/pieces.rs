//! The pieces that the body of a blob is handed out in. Their buffers are lent again once their
//! readers have let go of them.

use std::{
    collections::VecDeque,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use proptest::prelude::*;

use super::*;

/// What a body reads at a time, and what it reads for a reader that still has the piece before.
const PIECE: usize = 98_304;
const SMALL_PIECE: usize = 16_384;

/// A layout with one layer.
async fn with_layer(content: &Bytes) -> (TempDir, PathBuf, Value, LayoutSource) {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image(content);
    layout.list(&image, "latest");
    let source = layout.open().await;
    (directory, layout.file(&layer), layer, source)
}

async fn body_of(source: &LayoutSource, layer: &Value) -> FileBody {
    let part = source.get_range(layer, ByteRange::From(0)).await;
    part.unwrap().body
}

async fn piece_of(body: &mut FileBody) -> Option<Bytes> {
    let frame = body.frame().await?;
    Some(frame.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn a_reader_that_holds_on_to_its_pieces_gets_small_ones_after_the_first() {
    let content = bytes(3_000_001);
    let (_directory, _, layer, source) = with_layer(&content).await;
    let mut body = body_of(&source, &layer).await;
    let mut held = Vec::new();
    while let Some(piece) = piece_of(&mut body).await {
        let largest = if held.is_empty() { PIECE } else { SMALL_PIECE };
        assert!((1..=largest).contains(&piece.len()));
        held.push(piece);
    }
    assert_eq!(held[0].len(), PIECE);
    assert!(held.concat() == content);
}

#[tokio::test]
async fn a_reader_that_lets_go_of_each_piece_gets_large_ones() {
    let content = bytes(3_000_001);
    let (_directory, _, layer, source) = with_layer(&content).await;
    let mut body = body_of(&source, &layer).await;
    let (mut read, mut large) = (Vec::new(), 0);
    while let Some(piece) = piece_of(&mut body).await {
        assert!((1..=PIECE).contains(&piece.len()));
        large += usize::from(piece.len() > SMALL_PIECE);
        read.extend_from_slice(&piece);
    }
    assert!(read == content);
    // Fewer only where the page cache has lost some of it again.
    assert!(large > 20, "{large} large pieces");
}

#[tokio::test]
async fn a_reader_that_lets_go_of_its_pieces_late_gets_large_ones_again() {
    let content = bytes(1_000_000);
    let (_directory, _, layer, source) = with_layer(&content).await;
    let mut body = body_of(&source, &layer).await;
    let first = piece_of(&mut body).await.unwrap();
    // A part of it is enough.
    let part = first.slice(70..80);
    drop(first);
    assert!(piece_of(&mut body).await.unwrap().len() <= SMALL_PIECE);
    assert_eq!(part, content[70..80]);
    drop(part);
    let mut largest = 0;
    while let Some(piece) = piece_of(&mut body).await {
        largest = largest.max(piece.len());
    }
    assert!(largest > SMALL_PIECE, "{largest}");
}

#[tokio::test]
async fn what_the_page_cache_does_not_have_is_read_too() {
    let content = bytes(8_000_001);
    let (_directory, file, layer, source) = with_layer(&content).await;
    // As `dd` documents it: the kernel is advised to drop the cache of the whole file.
    let dropped = Command::new("dd")
        .arg(format!("of={}", file.display()))
        .args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0"])
        .output();
    assert!(dropped.unwrap().status.success());
    let mut body = body_of(&source, &layer).await;
    let mut held = VecDeque::new();
    let mut read = Vec::new();
    while let Some(piece) = piece_of(&mut body).await {
        held.push_back(piece);
        if held.len() > 3 {
            read.extend_from_slice(&held.pop_front().unwrap());
        }
    }
    for piece in held {
        read.extend_from_slice(&piece);
    }
    assert!(read == content);
}

#[tokio::test]
async fn a_reader_that_never_waits_lets_other_tasks_run() {
    let content = bytes(32 << 20);
    let (_directory, _, layer, source) = with_layer(&content).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let reader = tokio::spawn(async move {
        let mut body = body_of(&source, &layer).await;
        let before = turns.load(Relaxed);
        let mut read = 0;
        while let Some(piece) = piece_of(&mut body).await {
            read += piece.len();
        }
        (read, turns.load(Relaxed) - before)
    });
    let (read, turns) = reader.await.unwrap();
    other.abort();
    assert_eq!(read, content.len());
    assert!(turns > 1, "the other task had {turns} turns");
}

/// What a reader does after it got a piece.
#[derive(Clone, Copy, Debug)]
enum Step {
    Hold,
    /// Holds a part of the piece.
    HoldPart,
    LetGo,
    /// Lets go of the oldest too.
    LetGoOfOldest,
    LetGoOfAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Hold),
        2 => Just(Step::HoldPart),
        4 => Just(Step::LetGo),
        2 => Just(Step::LetGoOfOldest),
        1 => Just(Step::LetGoOfAll),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Reads all of it, taking the steps again and again, and compares each piece when it comes and when
/// it goes.
async fn reads_right(source: &LayoutSource, layer: &Value, content: &Bytes, steps: &[Step]) {
    let compare = |(at, piece): (usize, Bytes)| {
        assert!(piece == content[at..at + piece.len()], "at {at}");
    };
    let mut body = body_of(source, layer).await;
    let (mut at, mut held) = (0, VecDeque::new());
    for step in steps.iter().cycle() {
        let Some(piece) = piece_of(&mut body).await else {
            break;
        };
        compare((at, piece.clone()));
        let next = at + piece.len();
        match step {
            Step::Hold => held.push_back((at, piece)),
            Step::HoldPart => held.push_back((at + 1, piece.slice(1..))),
            Step::LetGo => {}
            Step::LetGoOfOldest => held.pop_front().into_iter().for_each(compare),
            Step::LetGoOfAll => held.drain(..).for_each(compare),
        }
        at = next;
    }
    held.into_iter().for_each(compare);
    assert_eq!(at, content.len());
    assert!(body.frame().await.is_none(), "the end is the end");
}

#[test]
fn no_piece_changes_while_its_reader_has_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    let content = bytes(1_500_001);
    let (_directory, _, layer, source) = runtime.block_on(with_layer(&content));
    let config = ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in steps())| {
        runtime.block_on(reads_right(&source, &layer, &content, &steps));
    });
}
