//! To a registry that others wrote, and back: all that the client does, and byte for byte.

use http::{Method, Request, StatusCode, header};
use tower::{Service, ServiceExt};
use tower_oci::{
    ByteRange, BytesBody, DynBody, MediaType, MissingContent, RemoteSource, RepositoryName,
    SourceError, client::Credentials,
};

use super::*;
use crate::{
    client::Client,
    distribution::{Distribution, Login},
    wire::{End, Fault, Wire},
};

mod lists;

const USER: &str = "alice";
const PASSWORD: &str = "open sesame: ä";

fn alice() -> Credentials {
    Credentials::basic(USER, PASSWORD)
}

/// An open registry, and a client of it. There is none if it is not installed and need not be.
async fn open() -> Option<(Distribution, RegistryClient)> {
    let registry = Distribution::start(Login::Everybody).await?;
    let client = connect(&registry.url()).bounded();
    Some((registry, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_comes_back_byte_for_byte() {
    let image = index();
    for login in [Login::Everybody, Login::Basic(USER, PASSWORD)] {
        let Some(registry) = Distribution::start(login).await else {
            return;
        };
        let client = connect(&registry.url()).credentials(alice()).bounded();
        client.ping().await.unwrap();
        for (repository, chunk) in [("team/whole", None), ("team/pieces", Some(30_000))] {
            let pushed = push(&client, repository, &image, &pieces(chunk))
                .await
                .unwrap();
            // Two manifests with a configuration and two layers each; a layer is the same.
            assert_eq!((pushed.sent, pushed.mounted, pushed.present), (5, 0, 0));
            assert_pulled(&client, repository, &image).await;
            // What is there is not sent again.
            let pushed = push(&client, repository, &image, &pieces(chunk))
                .await
                .unwrap();
            assert_eq!((pushed.sent, pushed.mounted, pushed.present), (0, 0, 5));
        }
        assert_described(&client, "team/whole", &image).await;
        assert!(!registry.log().contains("panic"), "{}", registry.log());
    }
}

/// What the registry says of an image without sending it, and parts of it.
async fn assert_described(client: &RegistryClient, repository: &str, image: &Image) {
    let repository = name(repository);
    assert_eq!(client.all_tags(&repository).await.unwrap(), [tag("latest")]);
    for reference in [latest(), Reference::Digest(*image.digest())] {
        let info = client.stat_manifest(&repository, &reference).await.unwrap();
        assert_eq!(info.digest, *image.digest());
        assert_eq!(info.size, image.manifest().bytes().len() as u64);
        assert_eq!(info.media_type, MediaType::OCI_INDEX);
    }
    client
        .manifest_at(&repository, &tag("latest"), image.digest())
        .await
        .unwrap();

    let layer = &image.children()[0].layers()[1];
    let info = client.stat_blob(&repository, &layer.digest).await.unwrap();
    assert_eq!((info.size, info.seekable), (layer.size, true));
    let whole = download(client, repository.as_str(), layer).await;
    let end = whole.len();
    for (range, expected) in [
        (ByteRange::FromTo(5, 99), 5..100),
        (ByteRange::From(100), 100..end),
        (ByteRange::Suffix(7), end - 7..end),
        (ByteRange::FromTo(end as u64 - 1, u64::MAX), end - 1..end),
    ] {
        use http_body_util::BodyExt;

        let part = client
            .blob_range(&repository, &layer.digest, range)
            .await
            .unwrap();
        let bytes = part.body.collect().await.unwrap().to_bytes();
        assert!(bytes == whole[expected], "{range:?}");
    }
    let beyond = ByteRange::From(end as u64);
    let error = client
        .blob_range(&repository, &layer.digest, beyond)
        .await
        .unwrap_err();
    assert_eq!(
        error.status(),
        Some(StatusCode::RANGE_NOT_SATISFIABLE),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_with_the_registry_s_own_words() {
    let Some((_registry, client)) = open().await else {
        return;
    };
    push(&client, "demo", &index(), &pieces(None))
        .await
        .unwrap();
    let missing = tower_oci::Algorithm::Sha256.digest("missing");
    let (demo, unknown) = (name("demo"), name("unknown"));
    let errors = [
        (
            client
                .manifest(&demo, &Reference::Tag(tag("missing")))
                .await
                .err(),
            "MANIFEST_UNKNOWN",
        ),
        (
            client
                .manifest(&demo, &Reference::Digest(missing))
                .await
                .err(),
            "MANIFEST_UNKNOWN",
        ),
        (client.blob(&demo, &missing).await.err(), "BLOB_UNKNOWN"),
        (client.all_tags(&unknown).await.err(), "NAME_UNKNOWN"),
        // It does not have the body in which the words would be.
        (client.stat_blob(&demo, &missing).await.err(), ""),
    ];
    for (error, code) in errors {
        let error = error.unwrap();
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains(code), "{error}");
    }
    // A manifest whose content is missing.
    let manifest = index().children()[0].manifest().clone();
    let error = client
        .push_manifest(&unknown, &latest(), &manifest)
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST), "{error}");
    assert!(
        error.to_string().contains("MANIFEST_BLOB_UNKNOWN"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let Some(registry) = Distribution::start(Login::Basic(USER, PASSWORD)).await else {
        return;
    };
    for credentials in [
        Credentials::Anonymous,
        Credentials::basic(USER, "hunter2"),
        Credentials::basic("mallory", PASSWORD),
        // What only a token server takes.
        Credentials::IdentityToken("hunter2".to_owned()),
    ] {
        let client = connect(&registry.url()).credentials(credentials);
        let client = client
            .on_retry(|event| panic!("tried again: {}", event.error))
            .bounded();
        let pushed = push(&client, "demo", &index(), &pieces(None)).await;
        for error in [client.ping().await.unwrap_err(), pushed.unwrap_err()] {
            assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{error}");
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
        let error = client
            .all_tags(&name("demo"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("401 Unauthorized: UNAUTHORIZED"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_mounted_from_another_repository() {
    let Some((_registry, client)) = open().await else {
        return;
    };
    push(&client, "team/one", &index(), &pieces(None))
        .await
        .unwrap();
    let mut options = PushOptions::default();
    options.mount_from = Some(name("team/one"));
    let pushed = push(&client, "team/two", &index(), &options).await.unwrap();
    assert_eq!((pushed.sent, pushed.mounted, pushed.present), (0, 5, 0));
    assert_pulled(&client, "team/two", &index()).await;
    // What cannot be mounted is sent, whole or in pieces.
    options.mount_from = Some(name("team/unknown"));
    for (repository, chunk) in [("team/three", None), ("team/four", Some(30_000))] {
        options.chunk = chunk;
        let pushed = push(&client, repository, &index(), &options).await.unwrap();
        assert_eq!((pushed.sent, pushed.mounted, pushed.present), (5, 0, 0));
        assert_pulled(&client, repository, &index()).await;
    }
}

/// Deletes what the client has no method for.
async fn delete(registry: &Distribution, path: &str) {
    let mut service = Network::new().build().unwrap();
    let request = Request::builder().method(Method::DELETE);
    let request = request.uri(format!("{}/v2/{path}", registry.url()));
    let request = request.header(header::CONTENT_LENGTH, 0);
    let request = request.body(DynBody::new(BytesBody::new(""))).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED, "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_gone_and_can_be_pushed_again() {
    let Some((registry, client)) = open().await else {
        return;
    };
    let (demo, image) = (name("demo"), index());
    push(&client, "demo", &image, &pieces(None)).await.unwrap();
    let loaded = client.image(&demo, &latest()).await.unwrap();
    let layer = &image.children()[0].layers()[1];
    delete(&registry, &format!("demo/manifests/{}", image.digest())).await;
    delete(&registry, &format!("demo/blobs/{}", layer.digest)).await;

    assert!(
        client
            .manifest(&demo, &latest())
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        client
            .stat_blob(&demo, &layer.digest)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        client
            .blob(&demo, &layer.digest)
            .await
            .unwrap_err()
            .is_not_found()
    );
    // An image that was loaded before finds that one of its layers has gone.
    let gone = loaded.children()[0]
        .read_blob_verified(layer, 1 << 20)
        .await
        .unwrap_err();
    let gone_blob = SourceError::NotFound(MissingContent::Blob);
    assert_eq!(gone.to_string(), gone_blob.to_string());
    let proxy = OciRegistryService::new(RemoteSource::new(client.clone()));
    let answer = common::get(&proxy, &format!("/v2/demo/blobs/{}", layer.digest)).await;
    answer.assert_error(404, "BLOB_UNKNOWN");

    let pushed = push(&client, "demo", &image, &pieces(None)).await.unwrap();
    assert_eq!((pushed.sent, pushed.present), (1, 4));
    assert_pulled(&client, "demo", &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_through_a_proxy_before_it() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let Some(registry) = Distribution::start(Login::Basic(USER, PASSWORD)).await else {
        return;
    };
    let client = connect(&registry.url()).credentials(alice()).bounded();
    let image = index();
    push(&client, "team/demo", &image, &pieces(None))
        .await
        .unwrap();
    // Who asks the proxy needs no password.
    let proxy = Server::of(OciRegistryService::new(RemoteSource::new(client))).await;
    let from = format!("docker://{}/team/demo:latest", proxy.address);
    let copy = skopeo.skopeo_copy(&from, &["--all"]).await;
    let read = |file: &str| std::fs::read(copy.join(file)).unwrap();
    assert!(image.manifest().bytes() == &read("manifest.json"));
    for child in image.children() {
        let manifest = format!("{}.manifest.json", child.digest().encoded());
        assert!(child.manifest().bytes() == &read(&manifest));
        for blob in child.descriptors() {
            let expected = child.read_blob_verified(blob, 1 << 20).await.unwrap();
            assert!(expected == read(&blob.digest.encoded()), "{}", blob.digest);
        }
    }
    let list = ["list-tags", "--tls-verify=false"];
    let repository = format!("docker://{}/team/demo", proxy.address);
    let listed = skopeo.json(&[list[0], list[1], &repository]).await;
    assert_eq!(listed["Tags"], serde_json::json!(["latest"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_blobs_go_there_and_come_back_over_a_bad_network() {
    let Some((registry, _)) = open().await else {
        return;
    };
    let address = registry.address.parse().unwrap();
    for (repository, chunk) in [("whole", None), ("pieces", Some(3 << 20))] {
        // It forgets an upload whose request broke: each has to fit on a connection.
        let fault = |number| match number {
            0 => Fault::up(5_000_000, End::Cut),
            1 => Fault::up(12_000_000, End::Reset),
            _ => Fault::NONE,
        };
        let wire = Wire::to(address, fault).await;
        let client = connect(&wire.url()).bounded();
        push(&client, repository, large(), &pieces(chunk))
            .await
            .unwrap();
        assert!(wire.connections() > 2, "{}", wire.connections());

        let wire = Wire::to(address, |_| Fault::down(3_000_000, End::Cut)).await;
        let client = connect(&wire.url()).bounded();
        assert_pulled(&client, repository, large()).await;
        assert!(wire.connections() >= 7, "{}", wire.connections());
        assert!(wire.down() < 21 << 20, "{}", wire.down());
    }
}
