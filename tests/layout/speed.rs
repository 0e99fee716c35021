#![allow(clippy::print_stdout)] // what is measured is told

use super::*;

/// The measurement behind the size of the pieces that a file is read in:
/// `cargo test --release --test layout -- --ignored --nocapture speed`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and proves nothing"]
async fn speed_of_one_reader() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image(vec![7; 256 << 20]);
    layout.list(&image, "latest");
    let source = layout.open().await;
    let mut times = Vec::new();
    for _ in 0..9 {
        let mut part = source.get_range(&layer, ByteRange::From(0)).await.unwrap();
        let started = Instant::now();
        while let Some(piece) = part.body.frame().await {
            piece.unwrap();
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("{:.0} MiB/s", 256.0 / times[times.len() / 2].as_secs_f64());
}
