//! An OCI registry to pull from: `cargo run --release --example serve -- --help`.

#![allow(clippy::print_stderr)] // a program that is run in a terminal

mod commands;
mod demo;
mod server;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tower::ServiceBuilder;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tower_oci::{BoxError, DynSource, LayoutSource, OciRegistryService, RepositoryName};
use tracing::{Level, level_filters::LevelFilter};

/// Serves container images over the OCI distribution protocol, to pull from.
///
/// Without --layout it serves a small image that is built in, for linux/amd64 and linux/arm64, and
/// an artifact that refers to it. With --layout it serves the layouts, and nothing else.
///
/// The first Ctrl-C or SIGTERM lets running requests finish, for up to 30 seconds; the second ends
/// them. There is no TLS and no login: put it behind a proxy before others can reach it.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: String,

    /// Serves the OCI image layout in the folder PATH as the repository NAME; may be repeated
    #[arg(long = "layout", value_name = "NAME=PATH")]
    layouts: Vec<String>,

    /// What to log on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LevelFilter,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve: {}", one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_max_level(args.log)
        .with_writer(std::io::stderr)
        .init();
    let source = source(&args.layouts).await?;
    let listener = TcpListener::bind(&args.listen).await;
    let listener =
        listener.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let stop = stop_signals()?;
    let address = listener.local_addr()?;
    let commands = commands::to_pull(&source, reachable(address)).await?;
    // Nobody needs to read them: a closed pipe is no reason to stop.
    let _ = std::io::stdout().write_all(commands.as_bytes());

    let registry = ServiceBuilder::new()
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
                .on_response(server::log_response)
                // What failed is logged with its cause by the registry.
                .on_failure(()),
        )
        .service(OciRegistryService::new(source));
    if server::serve(listener, registry, stop).await {
        Ok(())
    } else {
        Err("stopped before all running requests had finished".into())
    }
}

/// What is served: the layouts, or the image that is built in.
async fn source(layouts: &[String]) -> Result<DynSource, BoxError> {
    if layouts.is_empty() {
        return Ok(DynSource::new(demo::store()?));
    }
    let layouts: Result<Vec<_>, _> = layouts.iter().map(|layout| named_path(layout)).collect();
    Ok(DynSource::new(LayoutSource::open(layouts?).await?))
}

fn named_path(layout: &str) -> Result<(RepositoryName, PathBuf), BoxError> {
    let (name, path) = layout
        .split_once('=')
        .filter(|(_, path)| !path.is_empty())
        .ok_or_else(|| format!("--layout {layout} is not of the form NAME=PATH"))?;
    let name = name.parse();
    let name = name.map_err(|error| format!("--layout {layout}: {error}"))?;
    Ok((name, path.into()))
}

/// One message for each Ctrl-C and each SIGTERM.
fn stop_signals() -> std::io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(()).await.is_ok() {}
        });
    }
    Ok(receiver)
}

/// Where a client on this machine finds a server that listens on `address`.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// An error with its causes.
fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ").replace('\n', " ")
}
