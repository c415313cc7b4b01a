//! How it is found out whether a service is ready.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use operation::text_value;

/// How it is found out whether a service is ready, all inside the guest:
///
/// * `file:PATH`: something lies there;
/// * `tcp:PORT`: somebody accepts connections at that port of the loopback;
/// * `http:PORT/PATH`: a server there answers with a status from 200 to 399;
///   `http:PORT/PATH=204` wants that status;
/// * `command:SCRIPT`: `sh -c SCRIPT` exits with 0;
/// * `log:REGEX`: a line of its output matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Check(CheckKind);

/// What a [`Check`] looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CheckKind {
    /// Whether something lies at this path; relative ones begin at `/workspace`.
    File(String),
    /// Whether somebody accepts connections at this port.
    Tcp(NonZeroU16),
    /// Whether an HTTP server answers as it should.
    Http {
        /// Its port.
        port: NonZeroU16,
        /// What is asked for; begins with `/`.
        path: String,
        /// The status that it has to answer; without one any from 200 to 399.
        status: Option<u16>,
    },
    /// Whether this script exits with 0.
    Command(String),
    /// Whether a line of the output matches this expression, see
    /// [`Check::expression`].
    Log(String),
}

/// The longest check, in bytes.
const LENGTH_MAX: usize = 4096;

/// The largest program that an expression may become, in bytes.
const EXPRESSION_MAX: usize = 1 << 20;

impl Check {
    /// What it looks at.
    #[must_use]
    pub const fn kind(&self) -> &CheckKind {
        &self.0
    }

    /// Reads the expression of a [`CheckKind::Log`].
    ///
    /// # Errors
    ///
    /// If it is no regular expression, or a very large one.
    pub fn expression(text: &str) -> Result<Regex, regex::Error> {
        RegexBuilder::new(text).size_limit(EXPRESSION_MAX).build()
    }
}

impl FromStr for Check {
    type Err = NotACheck;

    fn from_str(text: &str) -> Result<Self, NotACheck> {
        let refused = || NotACheck::Form(text.to_owned());
        if text.len() > LENGTH_MAX || text.contains('\0') {
            return Err(refused());
        }
        let (kind, rest) = text.split_once(':').ok_or_else(refused)?;
        if rest.is_empty() {
            return Err(refused());
        }
        Ok(Self(match kind {
            "file" => CheckKind::File(rest.to_owned()),
            "tcp" => CheckKind::Tcp(port(rest).ok_or_else(refused)?),
            "http" => http(rest).ok_or_else(refused)?,
            "command" => CheckKind::Command(rest.to_owned()),
            "log" => {
                Self::expression(rest)
                    .map_err(|error| NotACheck::Expression(rest.to_owned(), error.to_string()))?;
                CheckKind::Log(rest.to_owned())
            }
            _ => return Err(refused()),
        }))
    }
}

fn port(digits: &str) -> Option<NonZeroU16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn http(text: &str) -> Option<CheckKind> {
    let (place, status) = match text.rsplit_once('=') {
        Some((place, status)) if status.len() == 3 => match status.parse() {
            Ok(status @ 100..600) => (place, Some(status)),
            _ => (text, None),
        },
        _ => (text, None),
    };
    let (digits, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let path = if path.is_empty() { "/" } else { path };
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    let port = port(digits).filter(|_| is_plain)?;
    Some(CheckKind::Http { port, path: path.to_owned(), status })
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            CheckKind::File(path) => write!(f, "file:{path}"),
            CheckKind::Tcp(port) => write!(f, "tcp:{port}"),
            CheckKind::Http { port, path, status: None } => write!(f, "http:{port}{path}"),
            CheckKind::Http { port, path, status: Some(status) } => {
                write!(f, "http:{port}{path}={status}")
            }
            CheckKind::Command(script) => write!(f, "command:{script}"),
            CheckKind::Log(expression) => write!(f, "log:{expression}"),
        }
    }
}

/// A text that is no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACheck {
    /// It has none of the forms.
    #[error(
        "`{0}` is no check: write file:PATH, tcp:PORT, http:PORT/PATH, http:PORT/PATH=STATUS, \
         command:SCRIPT or log:REGEX"
    )]
    Form(String),
    /// Its expression cannot be read.
    #[error("`{0}` is no regular expression: {1}")]
    Expression(String, String),
}

text_value!(Check, "^(file|tcp|http|command|log):.+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_prints_what_it_parses() {
        for text in [
            "file:/run/ready",
            "tcp:8000",
            "http:8000/health",
            "http:8000/x?a=b=204",
            "command:test -e /tmp/a || exit 1",
            "log:listening on \\d+",
        ] {
            assert_eq!(text.parse::<Check>().unwrap().to_string(), text);
        }
        assert_eq!("http:80".parse::<Check>().unwrap().to_string(), "http:80/");
        let (port, path) = (NonZeroU16::new(80).unwrap(), "/a".to_owned());
        let wanted = CheckKind::Http { port, path, status: Some(404) };
        assert_eq!(*"http:80/a=404".parse::<Check>().unwrap().kind(), wanted);
    }

    #[test]
    fn what_is_no_check_is_refused() {
        for bad in [
            "",
            "file:",
            "tcp:0",
            "tcp:x",
            "tcp:+1",
            "http:/",
            "http:80/a b",
            "udp:1",
            "8000",
            "log:(",
        ] {
            assert!(bad.parse::<Check>().is_err(), "{bad}");
        }
        assert!(format!("log:{}", r"\pL{100}{100}").parse::<Check>().is_err());
    }
}
