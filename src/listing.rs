//! Lists in pages.

use crate::{
    descriptor::Descriptor,
    source::ListReferrers,
    text::{Text, checked_text},
};

/// A position in a list: entries after it follow.
///
/// The source that makes one gives it its meaning, and clients send it back as they got it. For
/// lists in byte order it is the text of the last entry, and need not name one that still exists.
// protocol 48
#[derive(Clone)]
pub struct Cursor(Text);

checked_text!(Cursor);

impl Cursor {
    /// The position `text`, or none if that is empty: the beginning of the list.
    pub fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Page<'a> {
    /// Where the page begins: after this position, or at the beginning of the list.
    pub after: Option<&'a Cursor>,
    /// How many entries the page has at most; never 0.
    pub limit: usize,
}

impl<'a> Page<'a> {
    /// The first `limit` entries, at least one.
    pub fn first(limit: usize) -> Self {
        Self {
            after: None,
            limit: limit.max(1),
        }
    }

    /// The same number of entries after `cursor`.
    #[must_use]
    pub fn after(self, cursor: impl Into<Option<&'a Cursor>>) -> Self {
        Self {
            after: cursor.into(),
            ..self
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The entries, in the order of the list; at most [`Page::limit`].
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<Cursor>,
}

impl<T> Listing<T> {
    /// A page with `items`, after which the list goes on at `next`.
    ///
    /// For lists with an order of their own; [`page_of`](Self::page_of) makes a page in byte order.
    pub fn new(items: Vec<T>, next: Option<Cursor>) -> Self {
        Self { items, next }
    }
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }
}

impl<T: AsRef<str> + Ord> Listing<T> {
    /// The page of `items`, which may come in any order, in byte order.
    ///
    /// ```
    /// # use tower_oci::{Listing, Page, Tag};
    /// let tags: Vec<Tag> = vec!["b".parse()?, "c".parse()?, "a".parse()?];
    /// let first = Listing::page_of(tags.clone(), Page::first(2));
    /// assert_eq!(first.items, [tags[2].clone(), tags[0].clone()]);
    /// let last = Listing::page_of(tags.clone(), Page::first(2).after(&first.next));
    /// assert_eq!((last.items, last.next), (vec![tags[1].clone()], None));
    /// # Ok::<(), tower_oci::InvalidTag>(())
    /// ```
    pub fn page_of(items: impl IntoIterator<Item = T>, page: Page<'_>) -> Self {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        Self::page_of_sorted(items, page)
    }

    /// The page of `items`, which come in byte order. Reads no further than the page, so an
    /// iterator that can begin after [`Page::after`] should.
    pub fn page_of_sorted(items: impl IntoIterator<Item = T>, page: Page<'_>) -> Self {
        let mut items = items.into_iter().skip_while(|item| {
            page.after
                .is_some_and(|after| item.as_ref() <= after.as_str())
        });
        let items_of_page: Vec<T> = items.by_ref().take(page.limit).collect();
        let next = match (items_of_page.last(), items.next()) {
            (Some(last), Some(_)) => Cursor::from_text(last.as_ref()),
            _ => None,
        };
        Self {
            items: items_of_page,
            next,
        }
    }
}

impl Listing<Descriptor> {
    /// The page of referrers that `options` ask for, from `referrers` in any order: filtered, in
    /// the order of their digests, one entry for each.
    pub fn page_of_referrers(
        referrers: impl IntoIterator<Item = Descriptor>,
        options: ListReferrers<'_>,
    ) -> Self {
        let mut referrers: Vec<Descriptor> = referrers.into_iter().collect();
        referrers.sort_by_key(|referrer| referrer.digest);
        referrers.dedup_by_key(|referrer| referrer.digest);
        Self::page_of_sorted_referrers(referrers, options)
    }

    /// The page of referrers that `options` ask for, from `referrers` in the order of their
    /// digests. Reads no further than the page, so an iterator that can begin after [`Page::after`]
    /// should.
    pub fn page_of_sorted_referrers(
        referrers: impl IntoIterator<Item = Descriptor>,
        options: ListReferrers<'_>,
    ) -> Self {
        let is_before_page = |referrer: &Descriptor| {
            let after = options.page.after.map(Cursor::as_str);
            after.is_some_and(|after| referrer.digest.to_string().as_str() <= after)
        };
        let is_wanted = |referrer: &Descriptor| {
            options.artifact_type.is_none()
                || referrer.artifact_type.as_ref() == options.artifact_type
        };
        let mut page = Self::default();
        let mut bytes = 0;
        for referrer in referrers
            .into_iter()
            .skip_while(is_before_page)
            .filter(is_wanted)
        {
            bytes += referrer.json_length() + 1; // and a comma
            if let Some(last) = page.items.last()
                && (page.items.len() == options.page.limit || bytes > options.max_bytes)
            {
                page.next = Cursor::from_text(&last.digest.to_string());
                break;
            }
            page.items.push(referrer);
        }
        page
    }
}
