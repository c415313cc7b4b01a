//! Texts that are read without calling a tool: what operations tell, by address.
//!
//! A [`View`] is an operation and an address with blanks. What stands in an
//! address where the view has a blank is a field of the request:
//!
//! ```text
//! hotcell://workspace/{workspace}/file/{+path}   (the view)
//! hotcell://workspace/demo/file/src/main.rs      (an address)
//!      ──▶ {"workspace": "demo", "path": "src/main.rs", …fixed}
//! ```
//!
//! `{name}` takes one segment and `{+name}` all that is left, as URI templates
//! (RFC 6570) have it. What is no character of an address is written as `%` and two
//! hexadecimal digits.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::error::{ErrorKind, OpError};
use crate::table::OpSpec;

/// A text that can be read by its address.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its address, with blanks.
    pub address: &'static str,
    /// The operation whose answer it is.
    pub operation: &'static str,
    /// What else is said to the operation: the name of a field, and its value as
    /// JSON.
    pub fixed: &'static [(&'static str, &'static str)],
    /// What kind of text it is.
    pub media_type: &'static str,
}

/// Where the things are listed that views with one blank are views of.
#[derive(Debug, Clone, Copy)]
pub struct Shelf {
    /// The operation that lists them.
    pub operation: &'static str,
    /// The field of its answer that holds them.
    pub field: &'static str,
    /// The blank that means one of them.
    pub blank: &'static str,
    /// The field of each that fills the blank.
    pub key: &'static str,
    /// The field of each that people call it by, if it is there.
    pub title: &'static str,
}

/// Views, joined with a table.
#[derive(Debug)]
pub struct Gallery {
    views: Vec<Hung>,
    shelf: Shelf,
    /// Where the operation that lists stands in the table.
    pub shelf_row: usize,
}

/// A view that is ready to be read.
#[derive(Debug)]
struct Hung {
    view: View,
    row: usize,
    fixed: Map<String, Value>,
}

/// Something of which there is a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The address, filled in.
    pub address: String,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub about: &'static str,
    /// What kind of text it is.
    pub media_type: &'static str,
}

/// What an address means.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Where the operation stands in the table.
    pub row: usize,
    /// The request.
    pub request: Value,
    /// What kind of text it is.
    pub media_type: &'static str,
}

/// Why views do not fit a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the view `{view}` does not fit `{operation}`: {why}")]
pub struct GalleryError {
    view: &'static str,
    operation: &'static str,
    why: String,
}

impl Gallery {
    /// Joins views with a table.
    ///
    /// # Errors
    ///
    /// If an operation is missing, has no such field, or a value is no JSON.
    pub fn new<H>(views: &[View], shelf: Shelf, table: &[OpSpec<H>]) -> Result<Self, GalleryError> {
        let row_of = |view: &'static str, operation: &'static str| {
            table.iter().position(|row| row.name == operation).ok_or_else(|| GalleryError {
                view,
                operation,
                why: "there is no such operation".to_owned(),
            })
        };
        let hung = views.iter().map(|view| {
            let row = row_of(view.name, view.operation)?;
            let wrong = |why| GalleryError { view: view.name, operation: view.operation, why };
            let schema = (table[row].input_schema)();
            let fields = schema["properties"].as_object();
            let known = |name: &str| fields.is_some_and(|fields| fields.contains_key(name));
            let mut fixed = Map::new();
            for (name, value) in view.fixed {
                let value = serde_json::from_str(value)
                    .map_err(|_| wrong(format!("`{name}` is fixed to what is no JSON")))?;
                fixed.insert((*name).to_owned(), value);
            }
            let mut said = blanks(view.address).chain(view.fixed.iter().map(|(name, _)| *name));
            match said.find(|name| !known(name)) {
                Some(name) => Err(wrong(format!("it has no field `{name}`"))),
                None => Ok(Hung { view: *view, row, fixed }),
            }
        });
        let views = hung.collect::<Result<_, _>>()?;
        Ok(Self { views, shelf, shelf_row: row_of("list", shelf.operation)? })
    }

    /// All views, with their blanks.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.views.iter().map(|hung| &hung.view)
    }

    /// What there is to be read, given what the operation that lists has answered:
    /// at most so many.
    #[must_use]
    pub fn shown(&self, listed: &Value, max: usize) -> Vec<Shown> {
        let Shelf { field, blank, key, title, .. } = self.shelf;
        let mut shown = Vec::new();
        for thing in listed[field].as_array().into_iter().flatten() {
            let Some(id) = thing[key].as_str() else { continue };
            for view in self.views().filter(|view| blanks(view.address).eq([blank])) {
                shown.push(Shown {
                    address: view.address.replace(&format!("{{{blank}}}"), id),
                    name: format!("{} of {}", view.name, thing[title].as_str().unwrap_or(id)),
                    about: view.about,
                    media_type: view.media_type,
                });
            }
        }
        shown.truncate(max);
        shown
    }

    /// What an address means.
    ///
    /// # Errors
    ///
    /// If it is an address of nothing.
    pub fn wanted(&self, address: &str) -> Result<Wanted, OpError> {
        let found =
            self.views.iter().find_map(|hung| Some((hung, filled(hung.view.address, address)?)));
        let Some((hung, said)) = found else {
            let error = OpError::plain(ErrorKind::NotFound, "that is an address of nothing");
            let known: Vec<&str> = self.views().map(|view| view.address).collect();
            return Err(error.hinted(format!("addresses are {}", known.join(", "))));
        };
        let mut request = json!(hung.fixed);
        for (name, text) in said {
            request[name] = Value::from(text);
        }
        Ok(Wanted { row: hung.row, request, media_type: hung.view.media_type })
    }
}

/// The blanks of an address, in order.
fn blanks(address: &str) -> impl Iterator<Item = &str> {
    address.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        Some(name.trim_start_matches('+'))
    })
}

/// What stands in `address` where `view` has its blanks, if it is one of its addresses.
#[must_use]
pub fn filled<'a>(view: &'a str, address: &str) -> Option<Vec<(&'a str, String)>> {
    let mut said = Vec::new();
    let (mut view, mut address) = (view, address);
    while let Some((before, rest)) = view.split_once('{') {
        address = address.strip_prefix(before)?;
        let (name, after) = rest.split_once('}')?;
        let end = match name.starts_with('+') {
            true => address.len(),
            false => address.find('/').unwrap_or(address.len()),
        };
        let (text, left) = address.split_at(end);
        said.push((name.trim_start_matches('+'), decoded(text).filter(|text| !text.is_empty())?));
        (view, address) = (after, left);
    }
    (view == address).then_some(said)
}

/// A text as it stands in an address, its slashes kept.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

/// A text in which `%` and two hexadecimal digits stand for a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        left = rest;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, rest) = rest.split_at_checked(2)?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        left = rest;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_fills_the_blanks_of_its_view_and_of_no_other() {
        let view = "x://w/{workspace}/file/{+path}";
        assert!(blanks(view).eq(["workspace", "path"]));
        let said = filled(view, "x://w/demo/file/a%20b/c%2fd").unwrap();
        assert_eq!(said, [("workspace", "demo".to_owned()), ("path", "a b/c/d".to_owned())]);
        for wrong in [
            "x://w/demo/file/",
            "x://w//file/a",
            "x://w/demo/diff",
            "y://w/demo/file/a",
            "x://w/demo/file/%f",
            "x://w/demo/file/%zz",
            "x://w/demo/file/%ff",
        ] {
            assert_eq!(filled(view, wrong), None, "{wrong}");
        }
        assert_eq!(filled("x://w/{workspace}/diff", "x://w/demo/diff/more"), None);
        let name = "a b/ü%.txt";
        assert_eq!(encoded(name), "a%20b/%C3%BC%25.txt");
        let address = format!("x://e/{}", encoded(name));
        assert_eq!(filled("x://e/{+name}", &address), Some(vec![("name", name.to_owned())]));
    }
}
