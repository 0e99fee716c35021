//! The walk over a socket, as the suite does it: HTTP/1.1, with chunked bodies for what has no
//! length.

use std::net::SocketAddr;

use hyper::{body::Incoming, client, server};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use walk::{Tagging, walk};

/// Serves a registry on a socket of this machine until the test ends.
async fn listen() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(everything());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(connection);
        }
    });
    address
}

/// One request on a connection of its own.
async fn request(
    address: SocketAddr,
    request: Request<Body>,
) -> Result<Response<Incoming>, BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn registry_behind_a_socket() -> Registry {
    let address = listen().await;
    let service = service_fn(move |sent| request(address, sent));
    BoxCloneService::new(service.map_response(|response| response.map(Body::new)))
}

// section 3, lines 3, 4, 10 to 14
#[tokio::test]
async fn every_kind_of_content_goes_the_whole_way_over_a_socket() {
    let registry = registry_behind_a_socket().await;
    let mut uploads = Upload::ALL.into_iter().cycle();
    for algorithm in ALGORITHMS {
        for data in Data::all(algorithm) {
            walk(
                &registry,
                &data,
                uploads.next().unwrap(),
                Tagging::Parameter,
            )
            .await;
        }
    }
    for data in Data::all(Algorithm::Sha256) {
        walk(&registry, &data, uploads.next().unwrap(), Tagging::Push).await;
    }
}

// section 3, lines 3, 4 and 11
#[tokio::test]
async fn every_kind_of_upload_stores_blobs_of_every_size_over_a_socket() {
    let registry = registry_behind_a_socket().await;
    for algorithm in ALGORITHMS {
        for upload in Upload::ALL {
            for size in [0, 1, 2, 512, 3 * upload::CHUNK - 5, 300_000] {
                let content = noise(size);
                let digest = algorithm.digest(&content);
                let answer = upload.send(&registry, REPO, &digest, &content).await;
                assert_created(&registry, &answer, &digest, &content).await;
                assert_blob(&registry, REPO, &digest, &content).await;
                let answer = ask(&registry, "DELETE", &blob_uri(REPO, &digest), &[]).await;
                assert_eq!(answer.status, 202);
                assert_no_blob(&registry, REPO, &digest).await;
            }
        }
    }
}

// section 3, line 5: with Transfer-Encoding: chunked
#[tokio::test]
async fn line_5_a_large_manifest_is_taken_in_chunks_over_a_socket() {
    let registry = registry_behind_a_socket().await;
    let annotations: BTreeMap<String, String> = (0..390)
        .map(|number| (format!("large-annotation-{number}"), "A".repeat(10_000)))
        .collect();
    let mut data = Data::new("large-manifest", Algorithm::Sha256);
    let image = data.image(json!({"annotations": annotations}));
    data.tag(&image);
    walk(&registry, &data, Upload::PostPut, Tagging::Push).await;
}
