//! The `Link` from one page of a list to the next.

use http::{HeaderMap, header};

/// More than this is not looked at.
const MOST_LINKS: usize = 16;

/// The target of the first link with `rel="next"`.
// RFC 8288 §3: Link = #( "<" URI-Reference ">" *( ";" link-param ) )
pub(super) fn next(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::LINK).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(Links)
        .take(MOST_LINKS)
        .find_map(|link| link.next)
}

/// The links of one line.
struct Links<'a>(&'a str);

/// One link, with its target if it leads to the next page.
struct Link<'a> {
    next: Option<&'a str>,
}

impl<'a> Iterator for Links<'a> {
    type Item = Link<'a>;

    fn next(&mut self) -> Option<Link<'a>> {
        let (_, rest) = self.0.split_once('<')?;
        let (target, rest) = rest.split_once('>')?;
        let (parameters, rest) = parameters_of(rest);
        self.0 = rest;
        let is_next = |(name, value): &(&str, &str)| {
            name.eq_ignore_ascii_case("rel")
                && value
                    .split_ascii_whitespace()
                    .any(|relation| relation.eq_ignore_ascii_case("next"))
        };
        let next = parameters.iter().any(is_next).then_some(target);
        Some(Link { next })
    }
}

/// The parameters at the beginning of `text`, and what follows the comma after them.
fn parameters_of(mut text: &str) -> (Vec<(&str, &str)>, &str) {
    let mut parameters = Vec::new();
    loop {
        text = text.trim_start();
        let Some(rest) = text.strip_prefix(';') else {
            return (parameters, text);
        };
        let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        text = &rest[end..];
        let Some(value) = text.strip_prefix('=') else {
            continue;
        };
        let value = value.trim_start();
        let (value, rest) = match value.strip_prefix('"') {
            // A quoted pair has no place in a relation: what is behind a backslash is taken as is.
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_at(value.find([';', ',']).unwrap_or(value.len())),
        };
        parameters.push((name, value.trim()));
        text = rest;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_next_page_is_found_as_registries_write_it() {
        for (lines, expected) in [
            (
                &["</v2/_catalog?last=b&n=2>; rel=\"next\""][..],
                Some("/v2/_catalog?last=b&n=2"),
            ),
            (&["<x?a=1,2>;rel=next"], Some("x?a=1,2")),
            (
                &["<a>; rel=\"prev\", <b>; title=\"x;y,\"; rel=\"last NEXT\""],
                Some("b"),
            ),
            (&["<a>; rel=first", "<b>;rel = \"next\""], Some("b")),
            (&["<a>", "", "garbage", "<b; rel=next"], None),
            (&["<a>; next"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::LINK, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(next(&headers), expected, "{lines:?}");
        }
    }
}
