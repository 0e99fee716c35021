//! Copies container images between registries, OCI image layouts and archives of them:
//! `cargo run --release --example copy -- --help`.

mod connections;
mod destination;
mod images;
mod place;
mod progress;
mod report;

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write},
    num::NonZeroUsize,
    process::ExitCode,
    str::FromStr,
    sync::Arc,
};

use clap::{Parser, value_parser};
use connections::ConnectionArgs;
use destination::Writing;
use images::{Origin, WantedPlatform};
use place::Place;
use progress::Progress;
use report::one_line;
use tokio::signal::unix::{SignalKind, signal};
use tower_oci::{BoxError, LayoutWriter};

/// Copies container images between registries, OCI image layouts and archives of them.
///
/// SOURCE and DESTINATION are each one of
///
///   HOST/REPOSITORY:TAG            in a registry; over https, or plain HTTP if HOST is localhost
///   https://HOST/REPOSITORY:TAG    the same, over https in any case
///   http://HOST/REPOSITORY:TAG     the same, over plain HTTP in any case
///   oci:DIRECTORY:TAG              in an OCI image layout
///   oci-archive:FILE:TAG           in a tar archive of a layout
///
/// In place of :TAG there may be @DIGEST. With both, :TAG@DIGEST, the tag has to lead to the digest.
///
/// The copy has the same bytes and the same digest. What the destination has already is not fetched
/// again, so a copy that was interrupted goes on where it was when it is run again: after the last
/// blob that was finished. (An archive is one file and begins anew.) All content is verified.
///
/// Who the user is to a registry is read from where docker login and podman login store it.
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Args {
    /// What is copied
    source: String,

    /// Where it is copied to; an image with the same tag is replaced
    destination: String,

    /// Copies the images for all platforms (the default)
    #[arg(long, conflicts_with = "platform")]
    all: bool,

    /// Copies the image for one platform alone, in place of the index that lists it
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,

    /// Copies what refers to the image too, as signatures do, and what refers to that
    #[arg(long)]
    referrers: bool,

    /// How many blobs are copied at the same time
    #[arg(long, value_name = "N", default_value_t = LayoutWriter::CONCURRENCY)]
    jobs: NonZeroUsize,

    /// Sends blobs to a registry in pieces of this size, and not in one request each
    #[arg(long, value_name = "MIB", value_parser = value_parser!(u64).range(1..=u64::MAX >> 20))]
    chunk: Option<u64>,

    #[command(flatten)]
    connections: ConnectionArgs,

    /// Says nothing unless the copy fails
    #[arg(long)]
    quiet: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let copied = match Progress::new(args.quiet) {
        Ok(progress) => copy_unless_stopped(&args, &Arc::new(progress)).await,
        Err(error) => Err(error.into()),
    };
    match copied {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = one_line(&*error);
            // As below, a closed pipe changes nothing.
            let _ = writeln!(io::stderr(), "copy: {line}");
            ExitCode::FAILURE
        }
    }
}

/// Copies until it is done, or Ctrl-C or SIGTERM ends it: what is dropped then is not half written.
async fn copy_unless_stopped(args: &Args, progress: &Arc<Progress>) -> Result<(), BoxError> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let copied = tokio::select! {
        copied = copy(args, progress) => copied,
        _ = interrupts.recv() => Err("interrupted".into()),
        _ = terminations.recv() => Err("terminated".into()),
    };
    progress.clear();
    let summary = copied?;
    if !args.quiet {
        // Nobody needs to read it: a closed pipe is no reason to fail.
        let _ = writeln!(io::stdout(), "{summary}");
    }
    Ok(())
}

/// Copies, and says what was done.
async fn copy(args: &Args, progress: &Arc<Progress>) -> Result<String, BoxError> {
    let source: Place = parsed("SOURCE", &args.source)?;
    let destination: Place = parsed("DESTINATION", &args.destination)?;
    let platform: Option<WantedPlatform> = match &args.platform {
        Some(platform) => Some(parsed("--platform", platform)?),
        None => None,
    };
    let from = Origin::open(&source.location, &args.connections, progress).await;
    let from = from.map_err(|error| about(&source, &*error))?;

    let image = from.image(&source.name, platform.as_ref()).await;
    let image = image.map_err(|error| about(&source, &*error))?;
    let checked = destination.name.check(image.manifest());
    checked.map_err(|error| about(&destination, &*error))?;
    let referrers = match args.referrers {
        true => from.referrers(&image, progress).await,
        false => Ok(Vec::new()),
    };
    let referrers = referrers.map_err(|error| about(&source, &*error))?;

    let mut images = vec![(&image, destination.name.tag.as_ref())];
    images.extend(referrers.iter().map(|referrer| (referrer, None)));
    let writing = Writing {
        from: &from,
        images: &images,
        jobs: args.jobs,
        chunk: args.chunk.map(|mib| mib << 20),
    };
    let written = writing
        .to(&destination.location, &args.connections, progress)
        .await;
    let written = written.map_err(|error| about(&destination, &*error))?;
    let digest = image.digest();
    let also = match referrers.len() {
        0 => String::new(),
        count => format!("; referrers: {count}"),
    };
    Ok(format!("{destination} is {digest}; blobs: {written}{also}"))
}

fn parsed<T: FromStr<Err = BoxError>>(argument: &str, text: &str) -> Result<T, BoxError> {
    text.parse()
        .map_err(|error: BoxError| about(argument, &*error))
}

/// An error, and what it is about.
fn about(what: impl Display, error: &(dyn Error + 'static)) -> BoxError {
    format!("{what}: {}", one_line(error)).into()
}
