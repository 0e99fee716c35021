//! Mounts from one repository into another.

use super::{
    Checked, Promise, has_blob, is_no_repository, is_repository, poll_times, settle, uploads::begin,
};
use crate::{
    access::Visibility,
    body::BytesBody,
    digest::{Algorithm, Digest},
    name::RepositoryName,
    source::SourceError,
    store::{BlobStore, MountFrom, UploadBody},
};

const CONTENT: &[u8] = b"mounted";

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let Some(store) = with_blob(make).await? else {
        return Ok(());
    };
    check_membership(&store).await?;
    check_impossible(&store).await?;
    check_anywhere(&store).await?;
    check_dropped(make).await
}

pub(super) static FROM: RepositoryName = RepositoryName::constant("suite/from");
static TO: RepositoryName = RepositoryName::constant("suite/to");

fn digest() -> Digest {
    Algorithm::Sha256.digest(CONTENT)
}

async fn mount(
    store: &impl BlobStore,
    to: &RepositoryName,
    from: MountFrom<'_>,
) -> Result<bool, SourceError> {
    store.mount_blob(to, &digest(), from).await
}

/// A store with the blob in one repository; nothing if the store cannot mount it.
async fn with_blob<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked<Option<S>> {
    let promise = Promise("a blob can be put");
    let store = make().await;
    let mut body = UploadBody::new(BytesBody::new(CONTENT));
    let stored = store.put_blob(&FROM, &digest(), begin(), &mut body).await;
    promise.ok(stored)?;
    let to = RepositoryName::constant("suite/supported");
    let mounted = mount(&store, &to, MountFrom::Repository(&FROM)).await;
    Ok(promise.ok(mounted)?.then_some(store))
}

async fn check_membership(store: &impl BlobStore) -> Checked {
    let promise = Promise("a mounted blob is one of the repository, and of no other");
    let other = RepositoryName::constant("suite/other");
    has_blob(promise, store, &TO, &digest(), None).await?;
    for _ in 0..2 {
        let mounted = mount(store, &TO, MountFrom::Repository(&FROM)).await;
        promise.equal(promise.ok(mounted)?, true)?;
    }
    // From itself, too.
    let mounted = mount(store, &TO, MountFrom::Repository(&TO)).await;
    promise.equal(promise.ok(mounted)?, true)?;
    for (repository, expected) in [(&FROM, Some(CONTENT)), (&TO, Some(CONTENT)), (&other, None)] {
        has_blob(promise, store, repository, &digest(), expected).await?;
    }
    is_repository(promise, store, &TO).await
}

async fn check_impossible(store: &impl BlobStore) -> Checked {
    let promise = Promise("what cannot be mounted is no error, and changes nothing");
    let (to, absent) = ("suite/empty", "suite/absent");
    let (to, absent) = (
        RepositoryName::constant(to),
        RepositoryName::constant(absent),
    );
    let missing = Algorithm::Sha256.digest("missing");
    let of_sha512 = Algorithm::Sha512.digest(CONTENT);
    for (from, digest) in [
        (&FROM, missing),
        (&FROM, of_sha512),
        (&absent, digest()),
        (&to, digest()),
    ] {
        let mounted = store.mount_blob(&to, &digest, MountFrom::Repository(from));
        promise.equal(promise.ok(mounted.await)?, false)?;
        has_blob(promise, store, &to, &digest, None).await?;
    }
    is_no_repository(promise, store, &to).await
}

async fn check_anywhere(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob is mounted from anywhere only if it is visible there");
    let (hidden, open) = ("suite/hidden", "suite/open");
    let (hidden, open) = (
        RepositoryName::constant(hidden),
        RepositoryName::constant(open),
    );
    let nowhere = Visibility::new(|_| false);
    let mounted = mount(store, &hidden, MountFrom::Anywhere(&nowhere)).await;
    promise.equal(promise.ok(mounted)?, false)?;
    has_blob(promise, store, &hidden, &digest(), None).await?;
    is_no_repository(promise, store, &hidden).await?;

    let only_from = Visibility::new(|name| *name == FROM);
    let mounted = mount(store, &open, MountFrom::Anywhere(&only_from)).await;
    if promise.ok(mounted)? {
        has_blob(promise, store, &open, &digest(), Some(CONTENT)).await?;
    }
    Ok(())
}

async fn check_dropped<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let promise = Promise("a mount that is dropped has not happened");
    let mut times = 0;
    loop {
        let Some(store) = with_blob(make).await? else {
            return Ok(());
        };
        let mounted = mount(&store, &TO, MountFrom::Repository(&FROM));
        if let Some(mounted) = poll_times(mounted, times).await {
            return promise.equal(promise.ok(mounted)?, true);
        }
        settle().await;
        has_blob(promise, &store, &TO, &digest(), None).await?;
        times += 1;
    }
}
