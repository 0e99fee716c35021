//! What tokens are asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::Access;

/// A set of rights, as the token authentication writes them: `repository:library/alpine:pull,push`.
///
/// The actions on one resource are joined, so equal rights are equal scopes, in whatever order and
/// pieces they were named. What is not written like that is kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope(BTreeMap<String, BTreeSet<String>>);

impl Scope {
    /// How many scopes of a challenge are read. No registry has a reason for so many.
    const MOST: usize = 64;

    /// The scopes in a text, separated by spaces: the `scope` of a challenge.
    pub(crate) fn parse(text: &str) -> Self {
        let scopes = text.split(' ').filter(|scope| !scope.is_empty());
        let mut parsed = Self::default();
        for scope in scopes.take(Self::MOST) {
            parsed.add(scope);
        }
        parsed
    }

    /// Both together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (resource, actions) in &other.0 {
            let known = both.0.entry(resource.clone()).or_default();
            known.extend(actions.iter().cloned());
        }
        both
    }

    /// Each scope as it is sent, in the order of their texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            match actions.is_empty() {
                true => resource.clone(),
                false => format!("{resource}:{}", actions.join(",")),
            }
        })
    }

    fn add(&mut self, scope: &str) {
        let (resource, actions) = match scope.rsplit_once(':') {
            // A type, a name and actions. A name may have a colon, as in host:port/name.
            Some((resource, actions)) if resource.contains(':') && are_actions(actions) => {
                (resource, actions)
            }
            _ => (scope, ""),
        };
        let known = self.0.entry(resource.to_owned()).or_default();
        let actions = actions.split(',').filter(|action| !action.is_empty());
        known.extend(actions.map(str::to_owned));
    }
}

fn are_actions(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphabetic() || b"*,-_".contains(&byte))
        && text.split(',').all(|action| !action.is_empty())
}

impl<'a> FromIterator<&'a Access> for Scope {
    fn from_iter<I: IntoIterator<Item = &'a Access>>(accesses: I) -> Self {
        let mut scope = Self::default();
        for access in accesses {
            scope.add(&access.to_string());
        }
        scope
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;
    use crate::access::Action;

    fn shown(scope: &Scope) -> Vec<String> {
        scope.iter().collect()
    }

    #[test]
    fn actions_on_one_resource_are_joined_and_all_else_is_kept() {
        for (text, expected) in [
            ("", &[] as &[&str]),
            ("repository:a/b:pull", &["repository:a/b:pull"]),
            ("  repository:a:push,pull  ", &["repository:a:pull,push"]),
            (
                "repository:a:pull repository:b:pull repository:a:pull,push",
                &["repository:a:pull,push", "repository:b:pull"],
            ),
            ("registry:catalog:*", &["registry:catalog:*"]),
            ("repository(plugin):a:pull", &["repository(plugin):a:pull"]),
            ("repository:h:5000/a:pull", &["repository:h:5000/a:pull"]),
            // What other token servers have in the place of scopes.
            ("aws", &["aws"]),
            (
                "https://a.example/.default https://b.example:1/.default",
                &["https://a.example/.default", "https://b.example:1/.default"],
            ),
            (
                "repository:a: repository:a:,",
                &["repository:a:", "repository:a:,"],
            ),
        ] {
            assert_eq!(shown(&Scope::parse(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn equal_rights_are_equal_scopes() {
        let one = Scope::parse("repository:a:pull,push repository:b:pull");
        let other = Scope::parse("repository:b:pull repository:a:push");
        assert_ne!(one, other);
        assert_eq!(one, other.and(&Scope::parse("repository:a:pull")));
        assert_eq!(one, one.and(&other));
    }

    #[test]
    fn accesses_are_scopes() {
        let repository = |name: &str, actions| {
            let name = name.parse().unwrap();
            Access::repository(name, actions)
        };
        let accesses = [
            repository("b", &[Action::Pull, Action::Push]),
            repository("a", &[Action::Pull]),
            repository("b", &[Action::Delete]),
            Access::Catalog,
        ];
        let scope: Scope = accesses.iter().collect();
        let expected = [
            "registry:catalog:*",
            "repository:a:pull",
            "repository:b:delete,pull,push",
        ];
        assert_eq!(shown(&scope), expected);
    }

    #[test]
    fn a_challenge_with_too_many_scopes_is_cut() {
        let text: String = (0..1_000)
            .map(|n| format!("repository:a{n}:pull "))
            .collect();
        assert_eq!(shown(&Scope::parse(&text)).len(), Scope::MOST);
    }
}
