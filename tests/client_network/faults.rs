//! Bad networks: connections that break, stand still or are gone, and servers that say nothing.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    certificates::Authority,
    wire::{End, Fault, Wire},
};

const MEGABYTE: u64 = 1 << 20;

/// How long a download of these tests may stand still.
const STALL: Duration = Duration::from_millis(300);

fn soon_stalled() -> RetryPolicy {
    let mut policy = impatient();
    policy.longest_stall = STALL;
    policy
}

/// A registry with the large image over plain HTTP.
async fn large_registry() -> Server {
    Server::of(OciRegistryService::new(store_with(large()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_its_connection_broke() {
    let server = large_registry().await;
    for end in [End::Cut, End::Reset, End::Stall] {
        // More connections than a request is tried again: each of them brings something.
        let wire = Wire::to(server.address, move |_| Fault::down(2_500_000, end)).await;
        let policy = if end == End::Stall {
            soon_stalled()
        } else {
            impatient()
        };
        let client = connect(&wire.url()).retry(policy).bounded();
        download(&client, "demo", &large().layers()[0]).await;
        assert!(wire.connections() >= 9, "{end:?}: {}", wire.connections());
        // Nothing comes twice, unless what was on its way is lost.
        let is_once = wire.down() < 21 * MEGABYTE;
        assert!(is_once || end != End::Cut, "{end:?}: {}", wire.down());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_arrives_whole_over_connections_that_break_at_any_point() {
    let (server, image) = (
        Server::of(OciRegistryService::new(store_with(&index()))).await,
        index(),
    );
    for end in [End::Cut, End::Reset] {
        // The first ones break in the head of an answer, the later ones further in.
        let fault = move |number| Fault::down(37 * (number as u64 + 1).pow(2), end);
        let wire = Wire::to(server.address, fault).await;
        let mut policy = impatient();
        policy.retries = 100;
        let client = connect(&wire.url()).retry(policy).bounded();
        assert_pulled(&client, "demo", &image).await;
        assert!(wire.connections() > 10, "{}", wire.connections());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_is_not_a_broken_one() {
    let server = large_registry().await;
    let slow = |_| Fault::delay(Duration::from_millis(5));
    let wire = Wire::to(server.address, slow).await;
    let client = connect(&wire.url()).retry(RetryPolicy::never()).bounded();
    let begin = Instant::now();
    download(&client, "demo", &large().layers()[0]).await;
    // Longer than it may stand still.
    assert!(begin.elapsed() > STALL, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_never_carries_enough_is_given_up() {
    let server = large_registry().await;
    // Not even a head.
    let wire = Wire::to(server.address, |_| Fault::down(20, End::Cut)).await;
    let client = connect(&wire.url()).bounded();
    let error = client
        .blob(&name("demo"), &large().layers()[0].digest)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::Connection(_)),
        "{error}"
    );
    assert_eq!(wire.connections(), 1 + impatient().retries);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_an_error_that_says_so() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let client = connect(&format!("http://{address}")).bounded();
    let error = client.ping().await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("GET http://{address}/v2/")),
        "{error}"
    );
    assert!(error.contains("Connection refused"), "{error}");
}

/// A server that accepts connections and does what `answer` does with them.
async fn raw<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> (String, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    (address.to_string(), running)
}

/// Reads the head of a request. There is none if the client has gone.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_costs_no_more_than_the_deadline() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let silent = |stream| async move {
        let _held = stream;
        std::future::pending().await
    };
    let (silent, _running) = raw(silent).await;
    let half = |mut stream| async move {
        head(&mut stream).await;
        let half =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{";
        stream.write_all(half).await.unwrap();
        std::future::pending().await
    };
    let (half, _running) = raw(half).await;
    let (demo, digest) = (name("demo"), large().layers()[0].digest);
    for url in [
        format!("http://{silent}"),
        format!("https://{silent}"),
        format!("http://{half}"),
    ] {
        let begin = Instant::now();
        let client = connect(&url).build().until(begin + DEADLINE);
        let errors = [
            client.manifest(&demo, &latest()).await.err(),
            client.all_tags(&demo).await.err(),
            push(&client, "demo", large(), &pieces(None)).await.err(),
            match client.blob(&demo, &digest).await {
                Ok(download) => {
                    use http_body_util::BodyExt;
                    download.body.collect().await.err()
                }
                Err(error) => Some(error),
            },
        ];
        for error in errors {
            let error = error.unwrap();
            assert!(
                matches!(error.kind(), ClientErrorKind::Deadline),
                "{url}: {error}"
            );
        }
        let took = begin.elapsed();
        assert!(took >= DEADLINE && took < PATIENCE / 4, "{url}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_ends_in_time_even_if_only_tls_is_late() {
    let silent = |stream| async move {
        let _held = stream;
        std::future::pending().await
    };
    let (address, _running) = raw(silent).await;
    let network = Network::new().connect_timeout(Duration::from_millis(200));
    let url = format!("https://{address}").parse().unwrap();
    let client = RegistryClient::builder(url, network.build().unwrap());
    let client = client.retry(RetryPolicy::never()).bounded();
    let begin = Instant::now();
    let error = client.ping().await.unwrap_err();
    assert!(
        error.to_string().contains("not connected within 200ms"),
        "{error}"
    );
    assert!(error.is_temporary());
    assert!(begin.elapsed() < PATIENCE / 4, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_closed_meanwhile_is_replaced() {
    let options = Options {
        idle: Some(Duration::from_secs(1)),
        ..Options::default()
    };
    let registry = OciRegistryService::writable(store_with(&index()));
    let server = Server::with(registry, options).await;
    let client = connect(&server.url()).retry(RetryPolicy::never()).bounded();
    for round in 1..=2 {
        client.all_tags(&name("demo")).await.unwrap();
        assert_eq!(server.accepted(), round);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_without_saying_so_costs_retries_at_most() {
    let (address, _running) = raw(|mut stream| async move {
        if head(&mut stream).await.is_some() {
            // Nothing says that this is the last answer on the connection.
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"tags\":[]}";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let client = connect(&format!("http://{address}")).bounded();
    for _ in 0..50 {
        assert!(client.all_tags(&name("demo")).await.unwrap().is_empty());
    }
}

/// A registry with the large image over TLS, to push to.
async fn large_registry_over_tls(authority: &Authority, protocols: &[&str]) -> Server {
    let options = Options {
        tls: Some(authority.server(&["localhost"]).serving(protocols, None)),
        ..Options::default()
    };
    Server::with(OciRegistryService::writable(store_with(large())), options).await
}

/// A client of what is behind `wire`, which gives up what is dead soon.
fn connect_over_tls(authority: &Authority, wire: &Wire) -> RegistryClient {
    let network = Network::new().trust(authority.pem().as_bytes()).unwrap();
    let network = network.keep_alive(STALL).build().unwrap();
    let url = format!("https://localhost:{}", wire.address.port());
    let client = RegistryClient::builder(url.parse().unwrap(), network);
    client.retry(soon_stalled()).bounded()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http_2_may_break_as_well() {
    let authority = Authority::new("ours");
    let server = large_registry_over_tls(&authority, &["h2"]).await;
    for end in [End::Cut, End::Reset] {
        let wire = Wire::to(server.address, move |_| Fault::down(2_500_000, end)).await;
        let client = connect_over_tls(&authority, &wire);
        download(&client, "demo", &large().layers()[0]).await;
        assert!(wire.connections() >= 9, "{end:?}: {}", wire.connections());

        let wire = Wire::to(server.address, move |_| Fault::up(2_500_000, end)).await;
        let client = connect_over_tls(&authority, &wire);
        let copy = format!("copy-{end:?}").to_lowercase();
        push(&client, &copy, large(), &pieces(Some(MEGABYTE)))
            .await
            .unwrap();
        assert!(wire.connections() >= 9, "{end:?}: {}", wire.connections());
        assert_pulled(&client, &copy, large()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_gone_dead_is_given_up() {
    let authority = Authority::new("ours");
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = large_registry_over_tls(&authority, protocols).await;
        // Only the first one: what waits for it has to go on over another.
        let dead = |number| match number {
            0 => Fault::down(3_000_000, End::Stall),
            _ => Fault::NONE,
        };
        let wire = Wire::to(server.address, dead).await;
        let client = connect_over_tls(&authority, &wire);
        let begin = Instant::now();
        download(&client, "demo", &large().layers()[0]).await;
        client.all_tags(&name("demo")).await.unwrap();
        assert!(wire.connections() >= 2, "{protocols:?}");
        assert!(
            begin.elapsed() < PATIENCE / 2,
            "{protocols:?}: {:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_although_nobody_answers_when_it_is_resumed() {
    let server = large_registry().await;
    // The second connection does not even bring a head.
    let fault = |number| match number {
        0 => Fault::down(3_000_000, End::Cut),
        1 => Fault::down(0, End::Stall),
        _ => Fault::NONE,
    };
    let wire = Wire::to(server.address, fault).await;
    let client = connect(&wire.url()).retry(soon_stalled()).bounded();
    download(&client, "demo", &large().layers()[0]).await;
    assert!(wire.connections() >= 3, "{}", wire.connections());
}
