use tower_oci::LayoutError;

use super::*;

/// What an operator is shown.
fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}

async fn failure(path: &Path) -> String {
    let opened = LayoutSource::open([(name("demo"), path)]).await;
    let text = with_causes(&opened.expect_err("this is no good layout"));
    assert!(!text.contains('\n'), "{text:?} is more than one line");
    text
}

#[tokio::test]
async fn a_missing_oci_layout_file_is_an_error_that_names_it() {
    let (_directory, layout) = layout();
    let file = layout.path.join("oci-layout");
    fs::remove_file(&file).unwrap();
    let text = failure(&layout.path).await;
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(text.contains("is missing"), "{text}");
}

#[tokio::test]
async fn a_directory_that_does_not_exist_is_an_error_that_names_it() {
    let (directory, _) = layout();
    let nowhere = directory.path().join("nowhere");
    let text = failure(&nowhere).await;
    assert!(text.contains(nowhere.to_str().unwrap()), "{text}");
}

#[tokio::test]
async fn an_oci_layout_file_of_another_version_or_kind_is_an_error_that_names_it() {
    let (_directory, layout) = layout();
    let file = layout.path.join("oci-layout");
    for (content, reason) in [
        (r#"{"imageLayoutVersion":"2.0.0"}"#, "\"2.0.0\""),
        (r#"{"imageLayoutVersion":"10.0.0"}"#, "\"10.0.0\""),
        (
            r#"{"imageLayoutVersion":1}"#,
            "is not what a layout has there",
        ),
        ("{}", "imageLayoutVersion"),
        ("", "is not what a layout has there"),
        ("[]", "is not what a layout has there"),
    ] {
        fs::write(&file, content).unwrap();
        let text = failure(&layout.path).await;
        assert!(text.contains(file.to_str().unwrap()), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    fs::write(&file, r#"{"imageLayoutVersion":"1.1.0"}"#).unwrap();
    layout.open().await;
}

#[tokio::test]
async fn a_broken_or_missing_index_is_an_error_that_names_it() {
    let (_directory, layout) = layout();
    let file = layout.path.join("index.json");
    for content in ["", "{", "[]", r#"{"manifests": [}"#, "null"] {
        fs::write(&file, content).unwrap();
        let text = failure(&layout.path).await;
        assert!(text.contains(file.to_str().unwrap()), "{text}");
        assert!(text.contains("is not what a layout has there"), "{text}");
    }
    fs::remove_file(&file).unwrap();
    let text = failure(&layout.path).await;
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    fs::create_dir(&file).unwrap();
    let text = failure(&layout.path).await;
    assert!(text.contains("not a regular file"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn an_unreadable_file_is_an_error_that_keeps_its_cause() {
    let (_directory, layout) = layout();
    let file = layout.path.join("index.json");
    fs::remove_file(&file).unwrap();
    // A link to itself cannot be read, not even by root.
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let opened = LayoutSource::open([(name("demo"), &layout.path)]).await;
    let Err(LayoutError::Unreadable { path, error }) = opened else {
        panic!("expected Unreadable, got {opened:?}");
    };
    assert_eq!(path, file);
    assert!(error.raw_os_error().is_some());
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_an_error() {
    let (_directory, layout) = layout();
    let twice = [(name("demo"), &layout.path), (name("demo"), &layout.path)];
    let opened = LayoutSource::open(twice).await;
    assert!(matches!(opened, Err(LayoutError::Duplicate(twice)) if twice == name("demo")));
}

#[tokio::test]
async fn a_broken_layout_in_a_tree_is_an_error_that_names_the_file() {
    let (directory, layout) = layout();
    let file = layout.path.join("index.json");
    fs::write(&file, "{").unwrap();
    let opened = LayoutSource::open_tree(directory.path()).await;
    let text = opened.expect_err("the index is broken").to_string();
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    let nowhere = directory.path().join("nowhere");
    let opened = LayoutSource::open_tree(&nowhere).await;
    let text = opened.expect_err("there is no tree").to_string();
    assert!(text.contains(nowhere.to_str().unwrap()), "{text}");
}

#[test]
fn without_a_runtime_opening_is_an_error_and_not_a_panic() {
    let (_directory, layout) = layout();
    let opening = LayoutSource::open([(name("demo"), &layout.path)]);
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    let polled = std::pin::pin!(opening).poll(&mut context);
    let std::task::Poll::Ready(Err(error @ LayoutError::Runtime(_))) = polled else {
        panic!("expected Runtime, got {polled:?}");
    };
    assert!(with_causes(&error).contains("Tokio"), "{error}");
}
