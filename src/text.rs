//! The string inside every checked name: cheap to clone, compared as text.

use std::{borrow::Cow, fmt, sync::Arc};

/// A string that clones in constant time: part of the program, or shared.
#[derive(Clone)]
pub(crate) enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Shared(text.into())
    }
}

/// The beginning of a value that was refused, quoted and escaped, as error messages show it.
///
/// At most 80 characters of the value, so that an error is never longer than its cause.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const LONGEST: usize = 80;

    pub(crate) fn of(value: &str) -> Self {
        let mut shown: Cow<'_, str> = value.into();
        if let Some((cut, _)) = value.char_indices().nth(Self::LONGEST) {
            shown = format!("{}…", &value[..cut]).into();
        }
        Self(format!("{shown:?}"))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error with all its causes, for a log.
#[cfg(any(feature = "client", feature = "fs", feature = "testing"))]
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Gives a newtype over [`Text`] the traits of a string that was checked once.
///
/// Equality, order and hash are those of the text, so it can be looked up by `&str`.
macro_rules! checked_text {
    ($name:ident) => {
        impl $name {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl ::std::convert::AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl ::std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl ::std::cmp::PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl ::std::cmp::Eq for $name {}

        impl ::std::cmp::PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<::std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl ::std::cmp::Ord for $name {
            fn cmp(&self, other: &Self) -> ::std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl ::std::hash::Hash for $name {
            fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl ::std::cmp::PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl ::std::cmp::PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

/// Lets a checked value be read where configuration is: from a string, through its parser.
macro_rules! deserialize_from_str {
    ($($name:ident),+) => {
        $(
            impl<'de> ::serde::Deserialize<'de> for $name {
                fn deserialize<D: ::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Self, D::Error> {
                    let text = ::std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(::serde::de::Error::custom)
                }
            }

            impl ::std::convert::TryFrom<&str> for $name {
                type Error = <Self as ::std::str::FromStr>::Err;

                fn try_from(text: &str) -> Result<Self, Self::Error> {
                    text.parse()
                }
            }
        )+
    };
}

pub(crate) use {checked_text, deserialize_from_str};
