//! `.hotcell/batch.toml`.

mod agent;
mod limits;

use batch_api::plan::{LANES_MAX, SourceOfSettings};
use toml_edit::{Document, Item, TableLike, TomlError};

use super::{OWN_FILE, Read, TEXT_BYTES_MAX, VERIFY_MAX, WEIGHT_MAX, shown, suggestion};

/// Every key of the file.
const KEYS: &[&str] =
    &["version", "lanes", "environment", "base", "verify", "agent", "limits", "sizes", "areas"];

/// The version of the file that is read.
const VERSION: i64 = 1;

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    read.configuration.source = SourceOfSettings::Own;
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            read.problem(OWN_FILE, line, syntax(&error));
            return read;
        }
    };
    let mut file = File { text, read: &mut read };
    file.table("", document.as_table(), KEYS, File::root);
    if document.get("version").is_none() {
        read.problem(OWN_FILE, 1, format!("found no version; expected `version = {VERSION}`"));
    }
    read
}

/// What the parser of TOML says, in one line.
fn syntax(error: &TomlError) -> String {
    let words: Vec<&str> = error.message().split_whitespace().collect();
    format!("found what is no TOML: {}", shown(&words.join(" ")))
}

fn line_of(text: &str, at: usize) -> u32 {
    let before = text.get(..at).unwrap_or_default();
    u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
}

struct File<'t, 'r> {
    text: &'t str,
    read: &'r mut Read,
}

impl File<'_, '_> {
    fn problem(&mut self, line: u32, message: impl Into<String>) {
        self.read.problem(OWN_FILE, line, message);
    }

    /// Hands every entry of a table to `take`, after its name was found among `known`;
    /// no names known means that any is fine.
    fn table(
        &mut self,
        inside: &str,
        table: &dyn TableLike,
        known: &[&str],
        take: fn(&mut Self, &str, &Item, u32),
    ) {
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(|key| key.span()).or_else(|| item.span());
            let line = span.map_or(0, |span| line_of(self.text, span.start));
            if known.is_empty() || known.contains(&name) {
                take(self, name, item, line);
                continue;
            }
            let perhaps = match suggestion(name, known.iter().copied()) {
                Some(near) => format!(", `{near}` perhaps"),
                None => String::new(),
            };
            let place = if inside.is_empty() { String::new() } else { format!(" in [{inside}]") };
            let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            let expected = all.join(", ");
            let message = format!(
                "found the key `{}`{place}; expected one of {expected}{perhaps}",
                shown(name)
            );
            self.problem(line, message);
        }
    }

    fn root(&mut self, name: &str, item: &Item, line: u32) {
        match name {
            "version" if item.as_integer() == Some(VERSION) => {}
            "version" => {
                let message = format!("found another version; expected `version = {VERSION}`");
                self.problem(line, message);
            }
            "lanes" => {
                if let Some(lanes) = self.number(name, item, line, LANES_MAX.into()) {
                    self.read.configuration.policy.lanes = u8::try_from(lanes).unwrap_or(LANES_MAX);
                }
            }
            "environment" => {
                let Some(text) = self.line(name, item, line) else { return };
                match text.parse() {
                    Ok(environment) => self.read.configuration.environment = environment,
                    Err(error) => self.problem(line, format!("found no environment: {error}")),
                }
            }
            "base" => {
                if let Some(base) = self.line(name, item, line) {
                    self.read.configuration.base = base;
                }
            }
            "verify" => self.read.configuration.verify = self.lines(name, item, line, VERIFY_MAX),
            "agent" => self.agent(item, line),
            "limits" => self.section(name, item, line, limits::KEYS, Self::limit),
            "sizes" => self.section(name, item, line, &["S", "M", "L"], Self::size),
            _ => self.section(name, item, line, &[], Self::area),
        }
    }

    fn section(
        &mut self,
        name: &str,
        item: &Item,
        line: u32,
        known: &[&str],
        take: fn(&mut Self, &str, &Item, u32),
    ) {
        match item.as_table_like() {
            Some(table) => self.table(name, table, known, take),
            None => {
                self.problem(line, format!("found a value for `{name}`; expected a table [{name}]"))
            }
        }
    }

    fn size(&mut self, name: &str, item: &Item, line: u32) {
        let Some(weight) = self.number(name, item, line, WEIGHT_MAX) else { return };
        let weights = &mut self.read.configuration.policy.weights;
        match name {
            "S" => weights.small = weight,
            "M" => weights.medium = weight,
            _ => weights.large = weight,
        }
    }

    fn area(&mut self, name: &str, item: &Item, line: u32) {
        match item.as_str() {
            Some(path) => self.read.area(OWN_FILE, line, name, path),
            None => {
                let message =
                    format!("found no text for the area `{}`; expected its directory", shown(name));
                self.problem(line, message);
            }
        }
    }

    fn place(&self, item: &Item, line: u32) -> u32 {
        item.span().map_or(line, |span| line_of(self.text, span.start))
    }

    /// A text that is not empty and not too long.
    fn line(&mut self, name: &str, item: &Item, line: u32) -> Option<String> {
        let text = item.as_str().filter(|text| is_text(text));
        if text.is_none() {
            let message = format!(
                "found another value for `{name}`; expected a text of 1 to {TEXT_BYTES_MAX} bytes"
            );
            self.problem(line, message);
        }
        text.map(str::to_owned)
    }

    /// A list of such texts.
    fn lines(&mut self, name: &str, item: &Item, line: u32, most: usize) -> Vec<String> {
        let texts = item.as_array().filter(|list| list.len() <= most).and_then(|list| {
            let text = |value: &toml_edit::Value| {
                value.as_str().filter(|text| is_text(text)).map(str::to_owned)
            };
            list.iter().map(text).collect::<Option<Vec<String>>>()
        });
        if texts.is_none() {
            let message = format!(
                "found another value for `{name}`; expected a list of at most {most} texts, each of \
                 1 to {TEXT_BYTES_MAX} bytes"
            );
            self.problem(line, message);
        }
        texts.unwrap_or_default()
    }

    fn number(&mut self, name: &str, item: &Item, line: u32, most: u32) -> Option<u32> {
        let number = item.as_integer().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.problem(line, format!("found another value for `{name}`; expected 1 to {most}"));
        }
        number
    }
}

/// Whether a text says something, and can be an argument of a program.
fn is_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains('\0')
}
