//! Filters and pages of a list of referrers, after pushes.

use super::*;

const OTHER: &str = "application/vnd.example.other";
/// `SBOM` as a client writes it into a query.
const SBOM_ENCODED: &str = "application/vnd.example.sbom.v1%2Bjson";

/// Artifacts whose entries take more than a mebibyte each, of two types in turn.
fn large_artifacts(subject: &Image, count: usize) -> Vec<Image> {
    let large = "x".repeat(1 << 20);
    let kinds = [SBOM, OTHER].into_iter().cycle();
    let artifacts = kinds.take(count).enumerate().map(|(number, kind)| {
        ImageBuilder::artifact(kind.parse().unwrap())
            .subject(subject)
            .annotation("number", number.to_string())
            .annotation("large", large.clone())
            .build()
            .unwrap()
    });
    artifacts.collect()
}

async fn registry_with(artifacts: &[Image]) -> Writable {
    let registry = writable();
    for artifact in artifacts {
        push_image(&registry, "demo", None, artifact).await;
    }
    registry
}

fn of_type<'a>(artifacts: &'a [Image], kind: &str) -> Vec<&'a Image> {
    let kind: ArtifactType = kind.parse().unwrap();
    let artifacts = artifacts.iter();
    let artifacts = artifacts.filter(|artifact| artifact.artifact_type().as_ref() == Some(&kind));
    artifacts.collect()
}

/// Asserts that each page is an index of its own that clients can read.
fn assert_complete(pages: &[Answer], filters: &str) {
    for page in pages {
        assert!(page.body.len() <= 4 << 20, "{} bytes", page.body.len());
        assert_eq!(page.header("content-type"), INDEX);
        assert_eq!(page.header("oci-filters-applied"), filters);
        let json = page.json();
        assert_eq!(json["schemaVersion"], 2);
        assert_eq!(json["mediaType"], INDEX);
    }
}

fn all_digests(pages: &[Answer]) -> Vec<String> {
    pages.iter().flat_map(digests).collect()
}

// protocol 53
#[tokio::test]
async fn a_filter_is_told_of_on_every_answer_also_on_an_empty_one() {
    let subject = image("subject");
    let artifacts = [
        artifact(SBOM, &subject, "1"),
        artifact(OTHER, &subject, "2"),
        artifact(SBOM, &subject, "3"),
    ];
    let registry = registry_with(&artifacts).await;
    let uri = uri(&subject);
    for (filter, expected) in [
        (SBOM_ENCODED, sorted(of_type(&artifacts, SBOM))),
        (OTHER, sorted(of_type(&artifacts, OTHER))),
        ("application%2Fnone", vec![]),
    ] {
        let answer = get(&registry, &format!("{uri}?artifactType={filter}")).await;
        assert_eq!(digests(&answer), expected, "{filter}");
        assert_complete(&[answer], "artifactType");
    }
    for missing in [
        format!("/v2/unknown/referrers/{}", subject.digest()),
        format!("/v2/demo/referrers/{}", artifacts[0].digest()),
    ] {
        let answer = get(&registry, &format!("{missing}?artifactType={SBOM_ENCODED}")).await;
        assert_eq!(digests(&answer), sorted([]));
        assert_complete(&[answer], "artifactType");
    }
    let answer = get(&registry, &uri).await;
    assert_eq!(digests(&answer), sorted(&artifacts));
    assert_complete(&[answer], "");
}

// protocol 52 and 53
#[tokio::test]
async fn pages_within_4_mib_keep_the_filter_and_list_each_referrer_once() {
    let subject = image("subject");
    let artifacts = large_artifacts(&subject, 9);
    let registry = registry_with(&artifacts).await;
    let all = pages(&registry, &uri(&subject)).await;
    assert_eq!(all.len(), 3);
    assert_complete(&all, "");
    assert_eq!(all_digests(&all), sorted(&artifacts));
    for (filter, kind, page_count) in [(SBOM_ENCODED, SBOM, 2), (OTHER, OTHER, 2)] {
        let filtered = format!("{}?artifactType={filter}", uri(&subject));
        let filtered = pages(&registry, &filtered).await;
        assert_eq!(filtered.len(), page_count, "{kind}");
        assert_complete(&filtered, "artifactType");
        assert_eq!(all_digests(&filtered), sorted(of_type(&artifacts, kind)));
    }
}

// protocol 52: what a client asks for beyond the specification
#[tokio::test]
async fn a_client_may_want_fewer_entries_and_none_at_all() {
    let subject = image("subject");
    let artifacts: Vec<Image> = (0..5)
        .map(|number| artifact(SBOM, &subject, &number.to_string()))
        .collect();
    let registry = registry_with(&artifacts).await;
    for (n, page_count) in [(1, 5), (2, 3), (5, 1), (100, 1)] {
        let uri = format!("{}?n={n}&artifactType={SBOM_ENCODED}", uri(&subject));
        let pages = pages(&registry, &uri).await;
        assert_eq!(pages.len(), page_count, "n={n}");
        assert_complete(&pages, "artifactType");
        assert_eq!(all_digests(&pages), sorted(&artifacts));
    }
    let none = get(&registry, &format!("{}?n=0", uri(&subject))).await;
    assert_eq!((digests(&none), next(&none)), (vec![], None));
    assert_complete(&[none], "");
    let bad = get(&registry, &format!("{}?n=-1", uri(&subject))).await;
    bad.assert_error(400, "UNSUPPORTED");
}

// The link holds a position, and no entry that has to be there.
#[tokio::test]
async fn deletes_between_two_pages_hide_no_other_referrer() {
    let subject = image("subject");
    let artifacts: Vec<Image> = (0..6)
        .map(|number| artifact(SBOM, &subject, &number.to_string()))
        .collect();
    let registry = registry_with(&artifacts).await;
    let in_order = sorted(&artifacts);
    let first = get(&registry, &format!("{}?n=3", uri(&subject))).await;
    assert_eq!(digests(&first), in_order[..3]);
    // The last of the page before, and the first of the page that follows.
    for gone in &in_order[2..4] {
        delete(&registry, &format!("demo/manifests/{gone}")).await;
    }
    let second = get(&registry, &next(&first).unwrap()).await;
    assert_eq!(
        (digests(&second), next(&second)),
        (in_order[4..].to_vec(), None)
    );
}
