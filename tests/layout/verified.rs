//! A HEAD of a manifest says what a GET would.

use super::*;

async fn stat(source: &LayoutSource) -> Result<u64, SourceError> {
    let latest = "latest".parse().unwrap();
    let info = source.stat_manifest(&name("demo"), &latest).await?;
    Ok(info.size)
}

#[tokio::test]
async fn a_manifest_of_other_bytes_of_the_right_length_is_told_without_reading_it_out() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let file = layout.file(&image);
    let right = fs::read(&file).unwrap();
    let wrong = vec![b' '; right.len()];
    fs::write(&file, &wrong).unwrap();
    let source = layout.open().await;
    for _ in 0..3 {
        assert_backend(stat(&source).await, &file);
        fs::write(&file, &right).unwrap();
        assert_eq!(stat(&source).await.unwrap(), right.len() as u64);
        assert!(source.get("latest").await.is_ok());
        fs::write(&file, &wrong).unwrap();
    }
}

#[tokio::test]
async fn a_manifest_that_was_verified_is_verified_again_when_its_file_changes() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let file = layout.file(&image);
    let right = fs::read(&file).unwrap();
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let source = layout.open().await;
    // Until then a change could go without a trace, and nothing is remembered.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(stat(&source).await.unwrap(), right.len() as u64);
    assert_eq!(stat(&source).await.unwrap(), right.len() as u64);
    fs::write(&file, vec![b' '; right.len()]).unwrap();
    let opened = fs::File::options().write(true).open(&file).unwrap();
    opened.set_modified(modified).unwrap();
    assert_backend(stat(&source).await, &file);
}
