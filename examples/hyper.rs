//! A registry on bare hyper, without a router: `cargo run --example hyper`, then
//! `curl http://127.0.0.1:3000/v2/demo/tags/list`.

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower_oci::{BoxError, MemoryStore, OciRegistryService, testing::ImageBuilder};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let image = ImageBuilder::new().file("etc/motd", "hello").build()?;
    let store = MemoryStore::new();
    store.add_image(&"demo".parse()?, Some(&"latest".parse()?), &image);
    let registry = OciRegistryService::new(store);

    tracing_subscriber::fmt().init();
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(registry.clone());
        tokio::spawn(async move {
            let served = http1::Builder::new()
                // Without this hyper keeps up to 400 KiB for each client that reads slowly.
                .max_buf_size(16 << 10)
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(error = &error as &dyn std::error::Error, "a client left");
            }
        });
    }
}
