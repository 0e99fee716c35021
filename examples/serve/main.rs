//! An OCI registry that takes pushes into memory, and serves image layouts and repositories of other
//! registries beside them:
//! `cargo run --release --example serve -- --help`.

#![allow(clippy::print_stderr)] // a program that is run in a terminal

mod commands;
mod demo;
mod mirror;
mod repositories;
mod server;

use std::{convert::Infallible, io::Write, net::SocketAddr, process::ExitCode};

use clap::{Parser, value_parser};
use commands::Writes;
use mirror::mirror_of;
use repositories::Repositories;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Duration, sleep},
};
use tower::ServiceBuilder;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tower_oci::{
    BlobStore, BoxError, DynStore, LayoutSource, MemoryStore, OciRegistryService, ReadOnly,
    RepositoryName, testing::DiscardStore,
};
use tracing::{Level, level_filters::LevelFilter};

/// How often abandoned uploads are cleared away.
const SWEEP: Duration = Duration::from_secs(60);

/// Serves container images over the OCI distribution protocol, and takes what is pushed.
///
/// What is pushed is kept in memory, and gone when the server stops. Without --layout and --mirror
/// there is a small image at the beginning, for linux/amd64 and linux/arm64, and an artifact that
/// refers to it. With them there is what they name instead: these names are only read, all others
/// can be pushed to.
///
/// Of a mirror nothing is kept: each request is one to its registry, with the credentials that docker
/// login and podman login have stored for it. Whoever reaches this server may read what they may.
///
/// The first Ctrl-C or SIGTERM lets running requests finish, for up to 30 seconds; the second ends
/// them. There is no TLS and no login: whoever reaches the server may push and delete. Put it behind
/// a proxy before others can.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: String,

    /// Serves the OCI image layout at PATH, a folder or a tar archive, as the repository NAME; may be
    /// repeated
    #[arg(long = "layout", value_name = "NAME=PATH")]
    layouts: Vec<String>,

    /// Serves the repository at URL, in another registry, as the repository NAME; may be repeated
    #[arg(long = "mirror", value_name = "NAME=URL")]
    mirrors: Vec<String>,

    /// Takes no pushes and no deletes
    #[arg(long, conflicts_with_all = ["sparse", "memory", "discard"])]
    read_only: bool,

    /// Takes images and indexes whose content is missing
    #[arg(long)]
    sparse: bool,

    /// Deletes nothing that was pushed
    #[arg(long)]
    no_deletes: bool,

    /// How much clients may push in all; more is refused
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    #[arg(value_parser = value_parser!(u64).range(1..=u64::MAX >> 20))]
    memory: u64,

    /// Keeps no blob that is pushed: for measuring
    #[arg(long, hide = true, conflicts_with = "memory")]
    discard: bool,

    /// What to log on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LevelFilter,
}

impl Args {
    /// Whether what is served is the image that shows how it works.
    fn is_demo(&self) -> bool {
        self.layouts.is_empty() && self.mirrors.is_empty() && !self.discard
    }
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
    let store = store(&args).await?;
    let listener = TcpListener::bind(&args.listen).await;
    let listener =
        listener.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let stop = stop_signals()?;
    let address = reachable(listener.local_addr()?);
    let writes = match (args.read_only, args.no_deletes) {
        (true, _) => Writes::None,
        (false, true) => Writes::Pushes,
        (false, false) => Writes::All,
    };
    let commands = commands::to_try(&store, &address, writes, args.is_demo()).await?;
    // Nobody needs to read them: a closed pipe is no reason to stop.
    let _ = std::io::stdout().write_all(commands.as_bytes());

    let all_finished = match args.read_only {
        true => serve(OciRegistryService::new(store), listener, stop).await,
        false => {
            let registry = OciRegistryService::writable(store.clone())
                .allow_anonymous_mounts(true)
                .allow_deletes(!args.no_deletes)
                .allow_sparse_manifests(args.sparse);
            tokio::select! {
                all_finished = serve(registry, listener, stop) => all_finished,
                never = sweep(&store) => match never {},
            }
        }
    };
    match all_finished {
        true => Ok(()),
        false => Err("stopped before all running requests had finished".into()),
    }
}

/// What is served, and where pushes go.
async fn store(args: &Args) -> Result<DynStore, BoxError> {
    let pushed = MemoryStore::builder().max_bytes(args.memory << 20).build();
    if args.is_demo() {
        demo::add_to(&pushed)?;
    }
    let pushed = match args.discard {
        true => DynStore::new(DiscardStore::new()),
        false => DynStore::new(pushed),
    };
    if args.layouts.is_empty() && args.mirrors.is_empty() {
        return Ok(pushed);
    }
    let layouts = args.layouts.iter();
    let layouts = layouts.map(|layout| named("--layout", layout, "PATH"));
    let layouts: Vec<(RepositoryName, &str)> = layouts.collect::<Result<_, _>>()?;
    let names: Vec<RepositoryName> = layouts.iter().map(|(name, _)| name.clone()).collect();
    let layouts = LayoutSource::open(layouts).await?;
    if args.read_only && args.mirrors.is_empty() {
        return Ok(DynStore::new(ReadOnly::new(layouts)));
    }
    let mut repositories = Repositories::new(pushed);
    for name in names {
        let added = repositories.add(name, layouts.clone());
        added.map_err(|name| format!("--layout {name}: the name is taken already"))?;
    }
    for mirror in &args.mirrors {
        let (name, url) = named("--mirror", mirror, "URL")?;
        let mirror = mirror_of(url).await;
        let mirror = mirror.map_err(|error| format!("--mirror {name}: {}", one_line(&*error)))?;
        let added = repositories.add(name, mirror);
        added.map_err(|name| format!("--mirror {name}: the name is taken already"))?;
    }
    Ok(DynStore::new(repositories))
}

/// Serves a registry, and logs what it answers if anybody wants to know.
async fn serve<S: BlobStore>(
    registry: OciRegistryService<S>,
    listener: TcpListener,
    stop: mpsc::Receiver<()>,
) -> bool {
    if !tracing::enabled!(Level::INFO) {
        return server::serve(listener, registry, stop).await;
    }
    let registry = ServiceBuilder::new()
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
                .on_response(server::log_response)
                // What failed is logged with its cause by the registry.
                .on_failure(()),
        )
        .service(registry);
    server::serve(listener, registry, stop).await
}

/// Makes room, now and then: uploads that were abandoned are unknown without this, but kept.
async fn sweep(store: &DynStore) -> Infallible {
    loop {
        sleep(SWEEP).await;
        if let Err(error) = store.sweep().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot clear abandoned uploads away");
        }
    }
}

/// A name, and what is served under it: `NAME=PATH`, or `NAME=URL`.
fn named<'a>(
    option: &str,
    value: &'a str,
    what: &str,
) -> Result<(RepositoryName, &'a str), BoxError> {
    let (name, served) = value
        .split_once('=')
        .filter(|(_, served)| !served.is_empty())
        // A URL may have a password in it, so it is not shown.
        .ok_or_else(|| format!("{option} needs NAME={what}"))?;
    let name = name.parse();
    let name = name.map_err(|error| format!("{option}: {error}"))?;
    Ok((name, served))
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
