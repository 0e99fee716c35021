use super::*;

#[tokio::test]
async fn bare_hyper_serves_over_a_socket() {
    use http_body_util::BodyExt;
    use hyper_util::{rt::TokioIo, service::TowerToHyperService};

    let exchange = async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(registry());
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await
        });
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);

        let mut uri = "/v2/v2/foo/tags/list?n=1".to_owned();
        let mut tags = Vec::new();
        loop {
            let request = Request::get(&uri)
                .header("host", "registry")
                .body(Body::empty());
            let response = client.send_request(request.unwrap()).await.unwrap();
            let (parts, body) = response.into_parts();
            assert_eq!(parts.status, 200);
            let body = body.collect().await.unwrap().to_bytes();
            let length = parts.headers["content-length"].to_str().unwrap();
            assert_eq!(length, body.len().to_string());
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            tags.push(json["tags"][0].as_str().unwrap().to_owned());
            let Some(link) = parts.headers.get("link") else {
                break;
            };
            let target = link.to_str().unwrap().trim_start_matches('<');
            uri = target.split('>').next().unwrap().to_owned();
        }
        assert_eq!(tags, TAGS);

        // protocol 19 and 103: a HEAD over the wire keeps its length.
        let request = Request::head("/v2/demo/manifests/a").header("host", "registry");
        let response = client
            .send_request(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_ne!(response.headers()["content-length"], "0");

        drop(client);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    };
    tokio::time::timeout(Duration::from_secs(20), exchange)
        .await
        .unwrap();
}
