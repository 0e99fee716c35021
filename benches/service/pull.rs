//! What a pull asks for: the ping, manifests and blobs.

use divan::Bencher;
use http::Method;
use tower_oci::{BoxError, Image, MediaType, MemoryStore, testing::ImageBuilder};

use crate::{
    measure::{Expected, Read, done, measure},
    registry::{Part, Registry, Storage, ask, image, pull, runtime},
};

const LARGE: usize = 64 << 20;

const STORAGES: [Storage; 2] = [Storage::Memory, Storage::Layout];

#[divan::bench]
fn nothing(bencher: Bencher<'_, '_>) {
    done(runtime().map(|runtime| bencher.bench_local(|| runtime.block_on(async {}))));
}

#[divan::bench]
fn ping(bencher: Bencher<'_, '_>) {
    let ping = || {
        let registry = Registry::over(MemoryStore::new())?;
        let request = ask(Method::GET, "")?;
        let answer = Expected::Length("{}".len());
        measure(bencher, &registry, &request, &answer, Read::ToTheEnd)
    };
    done(ping());
}

#[divan::bench(args = STORAGES)]
fn manifest_get_by_tag(bencher: Bencher<'_, '_>, storage: Storage) {
    done(small(bencher, storage, Part::ManifestByTag, Method::GET));
}

#[divan::bench(args = STORAGES)]
fn manifest_get_by_digest(bencher: Bencher<'_, '_>, storage: Storage) {
    done(small(bencher, storage, Part::ManifestByDigest, Method::GET));
}

#[divan::bench(args = STORAGES)]
fn manifest_head_by_tag(bencher: Bencher<'_, '_>, storage: Storage) {
    done(small(bencher, storage, Part::ManifestByTag, Method::HEAD));
}

#[divan::bench(args = STORAGES)]
fn manifest_head_by_digest(bencher: Bencher<'_, '_>, storage: Storage) {
    done(small(
        bencher,
        storage,
        Part::ManifestByDigest,
        Method::HEAD,
    ));
}

#[divan::bench(args = STORAGES)]
fn blob_head(bencher: Bencher<'_, '_>, storage: Storage) {
    done(small(bencher, storage, Part::FirstLayer, Method::HEAD));
}

/// 2 KiB, read to their end.
#[divan::bench(args = STORAGES)]
fn blob_get(bencher: Bencher<'_, '_>, storage: Storage) {
    done(small(bencher, storage, Part::FirstLayer, Method::GET));
}

/// 64 MiB, of which nothing is read.
#[divan::bench(args = STORAGES)]
fn blob_open(bencher: Bencher<'_, '_>, storage: Storage) {
    let image = ImageBuilder::new().layer(MediaType::OCI_LAYER, vec![7; LARGE]);
    let image = image.build().map_err(BoxError::from);
    let measured = |image| {
        let part = Part::FirstLayer;
        measure_part(bencher, storage, &image, part, Method::GET, Read::Nothing)
    };
    done(image.and_then(measured));
}

fn small(
    bencher: Bencher<'_, '_>,
    storage: Storage,
    part: Part,
    method: Method,
) -> Result<(), BoxError> {
    measure_part(bencher, storage, &image()?, part, method, Read::ToTheEnd)
}

fn measure_part(
    bencher: Bencher<'_, '_>,
    storage: Storage,
    image: &Image,
    part: Part,
    method: Method,
    read: Read,
) -> Result<(), BoxError> {
    let (request, length) = pull(image, part, method)?;
    let answer = Expected::Length(length);
    match storage {
        Storage::Memory => {
            let registry = Registry::in_memory(image)?;
            measure(bencher, &registry, &request, &answer, read)
        }
        Storage::Layout => {
            let registry = Registry::on_disk(image)?;
            measure(bencher, &registry, &request, &answer, read)
        }
    }
}
