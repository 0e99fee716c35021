use super::*;

/// Follows the links from `uri` to the end, and gives the entries of each page.
fn pages<S, B>(
    service: &S,
    uri: &str,
    entries: &str,
    visibility: Option<&Visibility>,
) -> Vec<Vec<String>>
where
    S: tower::Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<tower_oci::BoxError>>,
{
    let mut pages = Vec::new();
    let mut next = Some(uri.to_owned());
    while let Some(uri) = next {
        assert!(pages.len() < 100, "the links never end");
        let mut request = Request::get(&uri).body(Body::empty()).unwrap();
        if let Some(visibility) = visibility {
            request.extensions_mut().insert(visibility.clone());
        }
        let answer = wait(send(service, request));
        assert_eq!(answer.status, 200, "{uri}: {answer:?}");
        let json = answer.json();
        let text = |entry: &serde_json::Value| {
            let text = if entry.is_object() {
                &entry["digest"]
            } else {
                entry
            };
            text.as_str().unwrap().to_owned()
        };
        pages.push(json[entries].as_array().unwrap().iter().map(text).collect());
        let link = answer.header("link").strip_prefix('<');
        next = link.map(|link| link.strip_suffix(">; rel=\"next\"").unwrap().to_owned());
    }
    pages
}

/// Every page is full but the last, none is empty unless it is the only one, and together they
/// are the list.
fn assert_pages(pages: &[Vec<String>], n: usize, expected: &[String]) {
    assert_eq!(pages.concat(), expected);
    let (last, full) = pages.split_last().unwrap();
    assert!(full.iter().all(|page| page.len() == n), "{pages:?}");
    assert!(
        last.len() <= n && (!last.is_empty() || full.is_empty()),
        "{pages:?}"
    );
}

proptest! {
    #![proptest_config(cases(150))]

    // protocol 46 to 48 and 66
    #[test]
    fn the_links_lead_to_every_tag_once_in_byte_order(
        tags in prop::collection::btree_set(a_tag(), 0..12),
        n in 1..6_usize,
        last in matching("[ -~]{0,5}"),
    ) {
        let image = ImageBuilder::new().build().unwrap();
        let store = MemoryStore::new();
        store.add_image(&name("demo"), None, &image);
        for a_tag in &tags {
            store.add_image(&name("demo"), Some(a_tag), &image);
        }
        let mut expected: Vec<String> = tags.iter().map(ToString::to_string).collect();
        expected.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
        // The same from a source that lists from memory with `Listing::page_of`.
        let unsorted: Vec<Tag> = tags.iter().rev().chain(&tags).cloned().collect();
        let paging = Paging(unsorted);
        let (store, paging) = (OciRegistryService::new(store), OciRegistryService::new(paging));
        for service in [&|uri: &str| pages(&store, uri, "tags", None), &|uri: &str| pages(&paging, uri, "tags", None)]
            as [&dyn Fn(&str) -> Vec<Vec<String>>; 2]
        {
            assert_pages(&service(&format!("/v2/demo/tags/list?n={n}")), n, &expected);
            assert_pages(&service("/v2/demo/tags/list"), 1000, &expected);
            prop_assert_eq!(service("/v2/demo/tags/list?n=0"), [Vec::<String>::new()]);
            // Any text is a position, whether or not there is such a tag.
            let mut encoded = String::new();
            for byte in last.bytes() {
                write!(encoded, "%{byte:02x}").unwrap();
            }
            let after: Vec<String> = expected.iter().filter(|tag| **tag > last).cloned().collect();
            assert_pages(&service(&format!("/v2/demo/tags/list?n={n}&last={encoded}")), n, &after);
            assert_pages(&service(&format!("/v2/demo/tags/list?last={encoded}")), 1000, &after);
        }
    }

    // protocol 64
    #[test]
    fn the_links_lead_to_every_repository_once_in_byte_order(
        repositories in prop::collection::btree_set(repository(), 0..12),
        n in 1..6_usize,
        seed in any::<u64>(),
    ) {
        let image = ImageBuilder::new().build().unwrap();
        let store = MemoryStore::new();
        for repository in &repositories {
            store.add_image(repository, None, &image);
        }
        let service = OciRegistryService::new(store);
        let expected: Vec<String> = repositories.iter().map(ToString::to_string).collect();
        let uri = format!("/v2/_catalog?n={n}");
        assert_pages(&pages(&service, &uri, "repositories", None), n, &expected);

        // A caller that may not know of all of them gets the same list without the others.
        let is_visible = move |name: &str| {
            let number = name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            number % 3 == 0
        };
        let visibility = Visibility::new(move |name| is_visible(name.as_str()));
        let expected: Vec<String> = expected.into_iter().filter(|name| is_visible(name)).collect();
        assert_pages(&pages(&service, &uri, "repositories", Some(&visibility)), n, &expected);
        let none = Visibility::new(|_| false);
        assert_pages(&pages(&service, &uri, "repositories", Some(&none)), n, &[]);
    }

    // protocol 52 and 53
    #[test]
    fn the_links_lead_to_every_referrer_once_in_the_order_of_digests(
        kinds in vec((0..3_u8, any::<bool>()), 0..8),
        n in 1..4_usize,
        filter in option::of(0..3_u8),
    ) {
        let subject = ImageBuilder::new().build().unwrap();
        let store = MemoryStore::new();
        let mut expected = BTreeSet::new();
        for (number, (kind, is_long)) in kinds.iter().enumerate() {
            let artifact = ImageBuilder::artifact(format!("a/kind+{kind} x").parse().unwrap())
                .algorithm(if *is_long { Algorithm::Sha512 } else { Algorithm::Sha256 })
                .annotation("number", number.to_string())
                .subject(&subject)
                .build()
                .unwrap();
            store.add_image(&name("demo"), None, &artifact);
            if filter.is_none_or(|filter| filter == *kind) {
                expected.insert(artifact.digest().to_string());
            }
        }
        let expected: Vec<String> = expected.into_iter().collect();
        let service = OciRegistryService::new(store);
        let filter = filter.map_or_else(String::new, |kind| format!("&artifactType=a/kind%2B{kind}%20x"));
        let uri = format!("/v2/demo/referrers/{}?n={n}{filter}", subject.digest());
        assert_pages(&pages(&service, &uri, "manifests", None), n, &expected);
    }
}

/// Lists these tags with [`Listing::page_of`].
struct Paging(Vec<Tag>);

impl tower_oci::BlobSource for Paging {
    type Body = DynBody;

    async fn manifest(
        &self,
        _: &RepositoryName,
        _: &Reference,
        _: tower_oci::GetManifest<'_>,
    ) -> Result<tower_oci::Found<Manifest>, tower_oci::SourceError> {
        Err(tower_oci::SourceError::Unsupported)
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        _: &Digest,
        _: tower_oci::GetBlob,
    ) -> Result<Blob<DynBody>, tower_oci::SourceError> {
        Err(tower_oci::SourceError::Unsupported)
    }

    async fn tags(
        &self,
        _: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, tower_oci::SourceError> {
        Ok(Listing::page_of(self.0.clone(), page))
    }
}
