//! Over TLS: who is trusted, who is shown what, and how often it is connected.

use http::Version;

use super::*;
use crate::certificates::Authority;

const HTTP_2: &[&str] = &["h2", "http/1.1"];
const HTTP_1: &[&str] = &["http/1.1"];

/// A registry that speaks `protocols` with the certificate that `authority` signs for `host`.
async fn registry(authority: &Authority, host: &str, protocols: &[&str]) -> Server {
    let tls = authority.server(&[host]).serving(protocols, None);
    let registry = OciRegistryService::writable(store_with(&index()));
    let options = Options {
        tls: Some(tls),
        ..Options::default()
    };
    Server::with(registry, options).await
}

/// Besides those of this machine, `authority` is trusted.
fn trusting(authority: &Authority) -> Network {
    Network::new().trust(authority.pem().as_bytes()).unwrap()
}

fn over(network: Network, server: &Server) -> ClientBuilder<HttpService> {
    let url = server.url().parse().unwrap();
    RegistryClient::builder(url, network.build().unwrap()).retry(impatient())
}

#[tokio::test(flavor = "multi_thread")]
async fn content_moves_both_ways_over_both_versions_of_http() {
    let authority = Authority::new("ours");
    let rows = [
        (HTTP_2, Version::HTTP_2, large()),
        (HTTP_1, Version::HTTP_11, &index()),
        (&[], Version::HTTP_11, &index()),
    ];
    for (protocols, version, image) in rows {
        let server = registry(&authority, "localhost", protocols).await;
        let client = over(trusting(&authority), &server).bounded();
        assert_pulled(&client, "demo", &index()).await;
        for chunk in [None, Some(40_000)] {
            let chunk = chunk.map(|chunk| {
                if protocols == HTTP_2 {
                    100 * chunk
                } else {
                    chunk
                }
            });
            let copy = format!("copy-{}", chunk.is_some());
            push(&client, &copy, image, &pieces(chunk)).await.unwrap();
            assert_pulled(&client, &copy, image).await;
        }
        let versions = server.versions();
        assert!(versions.iter().all(|it| *it == version), "{versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_used_again() {
    let authority = Authority::new("ours");
    for protocols in [HTTP_2, HTTP_1] {
        let server = registry(&authority, "localhost", protocols).await;
        let client = over(trusting(&authority), &server).bounded();
        let demo = name("demo");
        for _ in 0..5 {
            client.ping().await.unwrap();
            assert_pulled(&client, "demo", &index()).await;
            client.all_tags(&demo).await.unwrap();
            // What is not there does not cost the connection.
            let missing = Reference::Tag(tag("missing"));
            let error = client.manifest(&demo, &missing).await.unwrap_err();
            assert!(error.is_not_found(), "{error}");
            let subject = *index().digest();
            client
                .all_referrers(&name("unknown"), &subject, None)
                .await
                .unwrap();
        }
        for number in 0..5 {
            push(&client, &format!("copy-{number}"), &index(), &pieces(None))
                .await
                .unwrap();
        }
        let requests = server.requests().len();
        assert!(requests > 150, "{requests}");
        // Over HTTP/1.1 it connects for what is asked at the same time, and once in a while for
        // what could have waited for a connection.
        let most = if protocols == HTTP_2 { 1 } else { requests / 5 };
        assert!(
            server.accepted() <= most,
            "{protocols:?}: {}",
            server.accepted()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_share_one_connection_of_http_2() {
    let authority = Authority::new("ours");
    let server = registry(&authority, "localhost", HTTP_2).await;
    let client = over(trusting(&authority), &server).bounded();
    client.ping().await.unwrap();
    let demo = name("demo");
    let lists = (0..50).map(|_| client.all_tags(&demo));
    futures_util::future::try_join_all(lists).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

/// What a client says to a server that it must not trust: at once, as it is not to be trusted another
/// time either.
async fn refusal(client: ClientBuilder<HttpService>) -> String {
    refusal_by_server(client.on_retry(|event| panic!("tried again: {}", event.error))).await
}

/// What a client says to a server that does not take it.
async fn refusal_by_server(client: ClientBuilder<HttpService>) -> String {
    let error = client.bounded().ping().await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::Connection(_)),
        "{error}"
    );
    assert!(!error.is_temporary(), "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_an_unknown_authority_is_refused() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    for protocols in [HTTP_2, HTTP_1] {
        let server = registry(&ours, "localhost", protocols).await;
        for network in [Network::new(), trusting(&other)] {
            let error = refusal(over(network, &server)).await;
            assert!(error.contains(&server.url()), "{error}");
            assert!(
                error.contains("invalid peer certificate: UnknownIssuer"),
                "{error}"
            );
        }
        assert_eq!(server.requests(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_host_is_refused() {
    let authority = Authority::new("ours");
    let server = registry(&authority, "other.example", HTTP_2).await;
    let error = refusal(over(trusting(&authority), &server)).await;
    assert!(
        error.contains("certificate not valid for name \"localhost\""),
        "{error}"
    );
    assert!(error.contains("other.example"), "{error}");
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_found_by_its_address_if_its_certificate_has_it() {
    let authority = Authority::new("ours");
    let tls = authority.server(&["127.0.0.1"]).serving(HTTP_2, None);
    let options = Options {
        tls: Some(tls),
        ..Options::default()
    };
    let server = Server::with(OciRegistryService::new(store_with(&index())), options).await;
    let url = format!("https://{}", server.address).parse().unwrap();
    let network = trusting(&authority).build().unwrap();
    let client = RegistryClient::builder(url, network).bounded();
    assert_pulled(&client, "demo", &index()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_its_certificate_where_one_is_demanded() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let shown = |authority: &Authority| {
        let identity = authority.client("alice");
        let (certificate, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
        trusting(&ours).identity(certificate, key).unwrap()
    };
    for protocols in [HTTP_2, HTTP_1] {
        let tls = ours
            .server(&["localhost"])
            .serving(protocols, Some(&clients));
        let options = Options {
            tls: Some(tls),
            ..Options::default()
        };
        let server = Server::with(OciRegistryService::new(store_with(&index())), options).await;
        let client = over(shown(&clients), &server).bounded();
        assert_pulled(&client, "demo", &index()).await;

        let asked = server.requests().len();
        let error = refusal_by_server(over(trusting(&ours), &server)).await;
        assert!(error.contains("CertificateRequired"), "{error}");
        let error = refusal_by_server(over(shown(&Authority::new("unknown")), &server)).await;
        assert!(error.contains("UnknownCA"), "{error}");
        assert_eq!(server.requests().len(), asked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_not_spoken_to_who_speaks_http() {
    let server = Server::of(OciRegistryService::new(store_with(&index()))).await;
    let url = server.url().replace("http:", "https:").parse().unwrap();
    let client = RegistryClient::connect(url).unwrap();
    let error = refusal(client).await;
    assert!(error.contains("InvalidContentType"), "{error}");
}

#[tokio::test]
async fn what_is_no_certificate_or_key_is_an_error() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.client("alice"), authority.client("bob"));
    for pem in ["", "no PEM", &one.key] {
        let error = Network::new().trust(pem.as_bytes()).unwrap_err();
        assert!(format!("{error:?}").contains("PEM"), "{error:?}");
    }
    let identity = |certificate: &str, key: &str| {
        let network = Network::new().identity(certificate.as_bytes(), key.as_bytes());
        network.and_then(Network::build).map(|_| ())
    };
    identity(&one.certificate, &one.key).unwrap();
    for (certificate, key) in [
        (&one.certificate, &one.certificate),
        (&one.key, &one.key),
        // It is not the key of the certificate.
        (&one.certificate, &other.key),
    ] {
        identity(certificate, key).unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_nobody_reads_do_not_hold_up_others_on_their_connection() {
    let authority = Authority::new("ours");
    let tls = authority.server(&["localhost"]).serving(HTTP_2, None);
    let options = Options {
        tls: Some(tls),
        ..Options::default()
    };
    let server = Server::with(OciRegistryService::new(store_with(large())), options).await;
    let client = over(trusting(&authority), &server).bounded();
    let layer = &large().layers()[0];
    let mut unread = Vec::new();
    for _ in 0..10 {
        unread.push(client.blob(&name("demo"), &layer.digest).await.unwrap());
    }
    // Time for what is sent of them without being asked for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    download(&client, "demo", layer).await;
    assert_eq!(server.accepted(), 1);
    drop(unread);
}
