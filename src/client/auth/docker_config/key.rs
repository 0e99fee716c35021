//! The names under which files keep credentials.

use std::{collections::BTreeMap, iter};

use crate::name::RepositoryName;

/// The name of Docker Hub, as Docker keeps its credentials.
const HUB: &str = "index.docker.io";

/// The one name of a registry: `registry.example:5000`.
pub(super) fn of_registry(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        _ => host,
    }
}

/// What a credential helper knows a registry by.
pub(super) fn of_server(registry: &str) -> &str {
    match registry {
        HUB => "https://index.docker.io/v1/",
        registry => registry,
    }
}

/// `registry/a/b`, `registry/a`, `registry`
pub(super) fn most_specific_first(
    registry: &str,
    repository: Option<&RepositoryName>,
) -> impl Iterator<Item = String> {
    let longest = match repository {
        Some(repository) => format!("{registry}/{repository}"),
        None => registry.to_owned(),
    };
    iter::successors(Some(longest), |key| {
        let (shorter, _) = key.rsplit_once('/')?;
        Some(shorter.to_owned())
    })
}

/// The entries under the names of registries and namespaces. If several have the same, one whose key
/// is written just so comes before another, and that before a URL.
pub(super) fn normalized<T>(entries: impl Iterator<Item = (String, T)>) -> BTreeMap<String, T> {
    let mut ranked: Vec<_> = entries
        .map(|(key, entry)| {
            let normalized = of_key(&key);
            let rank = (normalized == key, !key.contains("://"));
            (rank, normalized, entry)
        })
        .collect();
    // A later one replaces an earlier one.
    ranked.sort_by_key(|&(rank, ..)| rank);
    ranked
        .into_iter()
        .map(|(_, normalized, entry)| (normalized, entry))
        .collect()
}

/// A URL is that of a whole registry, whatever its path. Without a scheme a path is a namespace,
/// except that of an API.
fn of_key(key: &str) -> String {
    let without_scheme = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let (host, path) = match without_scheme {
        Some(rest) => (rest.split('/').next().unwrap_or_default(), ""),
        None => key.split_once('/').unwrap_or((key, "")),
    };
    let registry = of_registry(host);
    match path {
        "v1/" | "v2/" => registry,
        path => match path.trim_end_matches('/') {
            "" => registry,
            namespace => format!("{registry}/{namespace}"),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_in_many_ways() {
        for (key, expected) in [
            ("quay.io", "quay.io"),
            ("Quay.IO", "quay.io"),
            ("https://quay.io", "quay.io"),
            ("https://quay.io/v1/", "quay.io"),
            ("http://quay.io/v2/some/thing", "quay.io"),
            ("quay.io/", "quay.io"),
            ("quay.io/v1/", "quay.io"),
            ("quay.io/v2/", "quay.io"),
            ("quay.io/v2", "quay.io/v2"),
            ("quay.io/team/app", "quay.io/team/app"),
            ("quay.io/team/", "quay.io/team"),
            ("localhost:5000", "localhost:5000"),
            ("https://localhost:5000/v2/", "localhost:5000"),
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("docker.io", "index.docker.io"),
            ("registry-1.docker.io", "index.docker.io"),
            ("docker.io/library", "index.docker.io/library"),
            ("", ""),
        ] {
            assert_eq!(of_key(key), expected, "{key}");
        }
    }

    #[test]
    fn a_name_is_tried_before_its_namespaces() {
        let name: RepositoryName = "team/group/app".parse().unwrap();
        let keys: Vec<_> = most_specific_first("r:1", Some(&name)).collect();
        let expected = ["r:1/team/group/app", "r:1/team/group", "r:1/team", "r:1"];
        assert_eq!(keys, expected);
        assert!(most_specific_first("r:1", None).eq(["r:1".to_owned()]));
    }

    #[test]
    fn of_two_keys_the_one_written_just_so_counts() {
        for keys in [
            ["https://a.example/v1/", "a.example/", "a.example"],
            [
                "https://index.docker.io/v1/",
                "docker.io",
                "index.docker.io",
            ],
        ] {
            for skipped in 0..2 {
                let entries = keys.into_iter().skip(skipped).take(2);
                let last = keys[skipped + 1];
                let entries = entries.map(|key| (key.to_owned(), key));
                for entries in [entries.clone().collect::<Vec<_>>(), entries.rev().collect()] {
                    let normalized = normalized(entries.into_iter());
                    assert_eq!(normalized.into_values().collect::<Vec<_>>(), [last]);
                }
            }
        }
    }

    #[test]
    fn helpers_know_docker_hub_by_its_old_url() {
        let server = |host| of_server(&of_registry(host)).to_owned();
        assert_eq!(
            server("registry-1.docker.io"),
            "https://index.docker.io/v1/"
        );
        assert_eq!(server("ghcr.io"), "ghcr.io");
        assert_eq!(server("localhost:5000"), "localhost:5000");
    }
}
