//! The challenges of a 401.
//!
//! The grammar, from RFC 9110 §11.2, §11.3, §11.6.1, §5.6.1, §5.6.2 and §5.6.4:
//!
//! ```text
//! WWW-Authenticate = #challenge
//! challenge        = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
//! auth-scheme      = token
//! auth-param       = token BWS "=" BWS ( token / quoted-string )
//! token68          = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
//! token            = 1*tchar
//! tchar            = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_"
//!                  / "`" / "|" / "~" / DIGIT / ALPHA
//! quoted-string    = DQUOTE *( qdtext / quoted-pair ) DQUOTE
//! qdtext           = HTAB / SP / %x21 / %x23-5B / %x5D-7E / obs-text
//! quoted-pair      = "\" ( HTAB / SP / VCHAR / obs-text )
//! #element         = [ element ] *( OWS "," OWS [ element ] )
//! OWS = BWS        = *( SP / HTAB )
//! ```
//!
//! A comma separates challenges as well as the parameters of one. What follows it is a parameter if
//! it is a token before a `=`, and a challenge otherwise: no scheme is followed by a `=`.

use http::{HeaderMap, header};

mod demand;

pub(crate) use demand::{Bearer, Demand, UnusableChallenge};

/// A header that is longer has no challenges.
const LONGEST_HEADER: usize = 64 << 10;
/// What comes after so many challenges is not read.
const MOST_CHALLENGES: usize = 16;
/// What comes after so many parameters of a challenge is not kept.
const MOST_PARAMETERS: usize = 32;

/// One way to authenticate that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) token68: Option<String>,
    /// The names as they were sent, each once.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Challenge {
    fn new(scheme: String) -> Self {
        Self {
            scheme,
            token68: None,
            parameters: Vec::new(),
        }
    }

    /// Whether this is the scheme, in whatever case it was sent.
    pub(crate) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of the parameter, in whatever case its name was sent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let (_, value) = parameters.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// A name must not come twice (RFC 9110 §11.2); if it does, the first one counts.
    fn add(&mut self, (name, value): (String, String)) {
        if self.parameters.len() < MOST_PARAMETERS && self.parameter(&name).is_none() {
            self.parameters.push((name, value));
        }
    }
}

/// The challenges of all `WWW-Authenticate` headers, in their order.
///
/// Garbage ends the challenge that it stands in, which keeps the parameters before it. Challenges
/// after it are read, unless a quote is never closed: then nothing can be said of the rest of that
/// header.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        if value.len() <= LONGEST_HEADER {
            read_challenges(Input(value.as_bytes()), &mut found);
        }
    }
    found
}

fn read_challenges(mut input: Input<'_>, found: &mut Vec<Challenge>) {
    // Whether a parameter belongs to the last challenge found.
    let mut goes_on = false;
    loop {
        input.take_while(|byte| is_space(byte) || byte == b',');
        if input.0.is_empty() {
            return;
        }
        if let Some(parameter) = input.parameter() {
            if let Some(challenge) = found.last_mut().filter(|_| goes_on) {
                challenge.add(parameter);
            }
        } else if let Some(challenge) = input.challenge() {
            if found.len() == MOST_CHALLENGES {
                return;
            }
            goes_on = challenge.token68.is_none();
            found.push(challenge);
        }
        if !input.is_at_comma_or_end() {
            goes_on = false;
            input.skip_to_comma();
        }
    }
}

/// What is left of a header. What reads nothing leaves it as it was.
#[derive(Clone, Copy)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take_while(&mut self, mut belongs: impl FnMut(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| !belongs(byte));
        let (taken, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes `byte`, if it comes next.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn skip_spaces(&mut self) {
        self.take_while(is_space);
    }

    fn is_at_comma_or_end(mut self) -> bool {
        self.skip_spaces();
        matches!(self.0, [] | [b',', ..])
    }

    fn token(&mut self) -> Option<String> {
        let token = self.take_while(is_token);
        (!token.is_empty()).then(|| text(token))
    }

    /// `token68`, where nothing follows it: `realm="x"` does not begin with one.
    fn token68(&mut self) -> Option<String> {
        let mut rest = *self;
        let characters = rest.take_while(is_token68);
        let padding = rest.take_while(|byte| byte == b'=');
        if characters.is_empty() || !rest.is_at_comma_or_end() {
            return None;
        }
        let token68 = &self.0[..characters.len() + padding.len()];
        *self = rest;
        Some(text(token68))
    }

    fn quoted_string(&mut self) -> Option<String> {
        let mut rest = *self;
        rest.take(b'"')?;
        let mut value = Vec::new();
        loop {
            value.extend(rest.take_while(|byte| byte != b'"' && byte != b'\\'));
            let (&special, after) = rest.0.split_first()?;
            rest.0 = after;
            if special == b'"' {
                *self = rest;
                return Some(text(&value));
            }
            let (&escaped, after) = rest.0.split_first()?;
            rest.0 = after;
            value.push(escaped);
        }
    }

    /// `auth-param`; nothing if it goes on as none does. `realm=https://a` has no realm, not `https`.
    fn parameter(&mut self) -> Option<(String, String)> {
        let mut rest = *self;
        let name = rest.token()?;
        rest.skip_spaces();
        rest.take(b'=')?;
        rest.skip_spaces();
        let value = rest.quoted_string().or_else(|| rest.token())?;
        if !matches!(rest.0, [] | [b',' | b' ' | b'\t', ..]) {
            return None;
        }
        *self = rest;
        Some((name, value))
    }

    /// `auth-scheme` with what belongs to it up to the next comma. What is neither `token68` nor
    /// `auth-param` is left.
    fn challenge(&mut self) -> Option<Challenge> {
        let mut rest = *self;
        let mut challenge = Challenge::new(rest.token()?);
        let is_alone = rest.is_at_comma_or_end();
        if !is_alone {
            let spaces = rest.take_while(is_space);
            if spaces.is_empty() || rest.0.starts_with(b"=") {
                return None;
            }
            challenge.token68 = rest.token68();
            if challenge.token68.is_none() {
                challenge.parameters.extend(rest.parameter());
            }
        }
        *self = rest;
        Some(challenge)
    }

    /// Goes to the next comma that does not stand in quotes.
    fn skip_to_comma(&mut self) {
        let (mut is_quoted, mut is_escaped) = (false, false);
        self.take_while(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_quoted,
                b'"' => is_quoted = !is_quoted,
                b',' => return is_quoted,
                _ => {}
            }
            true
        });
    }
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests;
