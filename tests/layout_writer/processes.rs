//! Several processes that write to one layout, and processes that are killed.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;

/// Tells the test [`child`] what to do: `KIND PATH TAG STEPS`.
const ORDER: &str = "TOWER_OCI_TEST_CHILD";

/// What a child says when it has come as far as it shall.
const STOPPED: &str = "stopped here";

/// What a child writes: enough to be killed in the middle.
fn large() -> Image {
    let mut image = ImageBuilder::new();
    for number in 0..12_u8 {
        image = image.layer(MediaType::OCI_LAYER, vec![number; 300_000]);
    }
    image.build().unwrap()
}

/// Not a test by itself: what the processes do that the tests here start.
#[test]
fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let [kind, path, tagged, steps] = *order.split(' ').collect::<Vec<_>>() else {
        panic!("{order}");
    };
    let (tagged, steps): (_, usize) = (tag(tagged), steps.parse().unwrap());
    let writer = match kind {
        "archive" => LayoutWriter::archive(path),
        _ => LayoutWriter::directory(path),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if kind == "small" {
        for number in 0..10 {
            let tagged = tag(&format!("{tagged}-{number}"));
            let image = small("a");
            runtime
                .block_on(writer.write(&image, Some(&tagged)))
                .unwrap();
        }
        return;
    }
    let taken = AtomicUsize::new(0);
    let writer = writer.on_progress(move |_| {
        if taken.fetch_add(1, SeqCst) == steps {
            // Not println, which the test harness may keep to itself.
            writeln!(std::io::stdout(), "\n{STOPPED}").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    runtime.block_on(async {
        let image = Counting::default().load(&large()).await;
        writer.write(&image, Some(&tagged)).await.unwrap();
    });
}

fn start(kind: &str, path: &Path, tagged: &str, steps: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture"])
        .env(ORDER, format!("{kind} {} {tagged} {steps}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn several_processes_lose_no_entry() {
    let (directory, layout) = place("demo");
    let children = ["a", "b", "c", "d"].map(|tagged| start("small", &layout, tagged, 0));
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let entries = index_json(&layout);
    assert_eq!(entries["manifests"].as_array().unwrap().len(), 40);
    assert_tidy(directory.path());
}

/// Kills children that have come so many steps, and tells whether one was done before.
fn kill_at(steps: usize, kind: &str, path: &Path) -> bool {
    let mut child = start(kind, path, "latest", steps);
    let said = BufReader::new(child.stdout.take().unwrap());
    let is_stopped = said.lines().any(|line| line.unwrap() == STOPPED);
    if is_stopped {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(is_stopped || status.success(), "{status}");
    !is_stopped
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_whole_blobs_and_the_next_goes_on() {
    let (directory, layout) = place("demo");
    let (mut there, mut grown, mut left) = (0, 0, false);
    for steps in [0, 3, 10, 17, 18, 19, 24, 31]
        .into_iter()
        .chain((40..).step_by(7))
    {
        let is_done = kill_at(steps, "directory", &layout);
        // Each is whole, and none is taken away.
        let now = contents(&layout).len();
        assert!(now >= there, "{now} blobs, and {there} before");
        grown += usize::from(now > there && !is_done);
        there = now;
        let paths = all_paths(&layout);
        left |= paths.iter().any(|path| path.contains(".layout-part-"));
        assert_eq!(layout.join("index.json").exists(), is_done);
        if is_done {
            break;
        }
    }
    assert!(grown > 1 && left, "{grown} grown, parts left: {left}");
    read_back(&layout, "latest").await;
    // What was left behind is gone with the next writer.
    assert_tidy(directory.path());
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_the_archive_as_it_was() {
    let (directory, file) = place("demo.tar");
    let writer = LayoutWriter::archive(&file);
    writer
        .write(&small("a"), Some(&tag("before")))
        .await
        .unwrap();
    let before = fs::read(&file).unwrap();
    for steps in (0..).step_by(25) {
        if kill_at(steps, "archive", &file) {
            break;
        }
        assert!(fs::read(&file).unwrap() == before);
    }
    for tag in ["before", "latest"] {
        read_back(&file, tag).await;
    }
    assert_tidy(directory.path());
}
