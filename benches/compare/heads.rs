//! `HEAD` requests, one after the other on each of 32 connections: wrk waits for the body that an
//! answer to `HEAD` does not have.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use tower_oci::BoxError;

const CONNECTIONS: usize = 32;

/// docker-registry has no OCI manifest for those who do not ask for one.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json";

/// Asks for `path` for as long as said, and prints how many answers came in how many seconds.
pub(crate) async fn send(
    address: SocketAddr,
    path: &str,
    seconds: Duration,
) -> Result<(), BoxError> {
    let headers = format!("Host: {address}\r\nAccept: {ACCEPT}\r\n");
    let request = format!("HEAD {path} HTTP/1.1\r\n{headers}\r\n");
    let request: Arc<[u8]> = request.into_bytes().into();
    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(client(address, request.clone(), begin + seconds));
    }
    let mut answers = 0;
    while let Some(client) = clients.join_next().await {
        answers += client??;
    }
    println!("{answers} {}", begin.elapsed().as_secs_f64());
    Ok(())
}

async fn client(address: SocketAddr, request: Arc<[u8]>, end: Instant) -> Result<u64, BoxError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(4096);
    let mut answers = 0;
    while Instant::now() < end {
        stream.write_all(&request).await?;
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Err("the server closed a connection".into());
            }
        }
        if !head.starts_with(b"HTTP/1.1 200 ") {
            let head = String::from_utf8_lossy(&head);
            return Err(format!("a request was answered with {head:?}").into());
        }
        answers += 1;
    }
    Ok(answers)
}
