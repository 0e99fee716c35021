//! Pages of long lists, from a store in memory.

use divan::Bencher;
use http::Method;
use tower_oci::{BoxError, Digest, Image, MediaType, MemoryStore, testing::ImageBuilder};

use crate::{
    measure::{Expected, Read, done, measure},
    registry::{REPOSITORY, Registry, ask},
};

/// How many entries a page has, if there are as many.
const TAGS: usize = 100;
const REFERRERS: usize = 5;
/// How many entries a client asks for that wants many: they fit into the 4 MiB of an answer.
const MANY: usize = 10_000;

/// A page of 100 tags from the middle, or what is left of ten.
#[divan::bench(args = [10, 10_000, 1_000_000])]
fn tags(bencher: Bencher<'_, '_>, count: usize) {
    let tags = || {
        let registry = Registry::over(tagged(count)?)?;
        let middle = count / 2;
        let last = tag(middle - 1);
        let request = format!("{REPOSITORY}/tags/list?n={TAGS}&last={last}");
        let request = ask(Method::GET, &request)?;
        let page = Expected::Entries("tags", TAGS.min(count - middle));
        measure(bencher, &registry, &request, &page, Read::ToTheEnd)
    };
    done(tags());
}

/// Five referrers, from the middle.
#[divan::bench(args = [10, 100_000])]
fn referrers(bencher: Bencher<'_, '_>, count: usize) {
    let referrers = || {
        let (store, subject, digests) = referred_to(count)?;
        let last = digests[count / 2 - 1];
        measure_referrers(
            bencher,
            store,
            &subject,
            REFERRERS,
            &format!("&last={last}"),
        )
    };
    done(referrers());
}

/// All referrers, or the first 10,000 of them.
#[divan::bench(args = [10, 100_000])]
fn referrers_many(bencher: Bencher<'_, '_>, count: usize) {
    let referrers = || {
        let (store, subject, _) = referred_to(count)?;
        measure_referrers(bencher, store, &subject, MANY.min(count), "")
    };
    done(referrers());
}

fn measure_referrers(
    bencher: Bencher<'_, '_>,
    store: MemoryStore,
    subject: &Digest,
    count: usize,
    position: &str,
) -> Result<(), BoxError> {
    let registry = Registry::over(store)?;
    let request = format!("{REPOSITORY}/referrers/{subject}?n={count}{position}");
    let request = ask(Method::GET, &request)?;
    let page = Expected::Entries("manifests", count);
    measure(bencher, &registry, &request, &page, Read::ToTheEnd)
}

fn tag(number: usize) -> String {
    format!("v{number:07}")
}

/// A store with so many tags.
fn tagged(count: usize) -> Result<MemoryStore, BoxError> {
    let (store, image) = (MemoryStore::new(), ImageBuilder::new().build()?);
    let repository = REPOSITORY.parse()?;
    for number in 0..count {
        store.add_image(&repository, Some(&tag(number).parse()?), &image);
    }
    Ok(store)
}

/// A store with an image and so many signatures of it, the digest of the image, and those of the
/// signatures in their order.
fn referred_to(count: usize) -> Result<(MemoryStore, Digest, Vec<Digest>), BoxError> {
    let (store, image) = (MemoryStore::new(), ImageBuilder::new().build()?);
    let repository = REPOSITORY.parse()?;
    let mut digests = Vec::with_capacity(count);
    for number in 0..count {
        let signature = signature(&image, number)?;
        store.add_image(&repository, None, &signature);
        digests.push(*signature.digest());
    }
    digests.sort_unstable();
    Ok((store, *image.digest(), digests))
}

fn signature(image: &Image, number: usize) -> Result<Image, BoxError> {
    let signature = ImageBuilder::artifact("application/vnd.example.signature".parse()?);
    let signature = signature.layer(MediaType::OCI_LAYER, format!("signature {number}"));
    Ok(signature.subject(image).build()?)
}
