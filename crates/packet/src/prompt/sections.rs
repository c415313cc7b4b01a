//! The sections of a prompt: headings of the second level and what is below them.

use std::ops::Range;

use super::steps::heading;
use crate::document::{Kind, Line};
use crate::place::Located;
use crate::problem::{Fault, Problems, Quote};

/// A section that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Context,
    Criteria,
    Dependencies,
    Scope,
    Target,
    Segments,
}

impl Known {
    fn of(heading: &str) -> Option<Self> {
        let heading = heading.to_ascii_lowercase();
        let words = heading.split(['(', ':']).next().unwrap_or_default().trim();
        match words {
            "context to read first" => Some(Self::Context),
            "completion criteria" => Some(Self::Criteria),
            "dependencies" => Some(Self::Dependencies),
            "file scope" => Some(Self::Scope),
            "execution target" => Some(Self::Target),
            "segment dag" => Some(Self::Segments),
            _ => None,
        }
    }
}

/// Where sections are, as positions in the list of lines.
#[derive(Debug)]
pub(super) struct Sections {
    known: Vec<(Known, Range<usize>)>,
    /// Where the amendments begin, or the end.
    pub(super) amendments_at: usize,
    /// The line of the divider above them.
    pub(super) divider: Option<u32>,
}

impl Sections {
    pub(super) fn of(lines: &[Line], problems: &mut Problems) -> Self {
        let amendments_at = lines.iter().position(is_amendments).unwrap_or(lines.len());
        let above = amendments_at.checked_sub(1).map(|before| &lines[before]);
        let divider = above.filter(|line| line.kind == Kind::Rule && amendments_at < lines.len());
        let mut found =
            Self { known: Vec::new(), amendments_at, divider: divider.map(|line| line.number) };
        for (index, line) in lines[..amendments_at].iter().enumerate() {
            let (Kind::Heading(2), Some(known)) = (line.kind, Known::of(&line.text)) else {
                continue;
            };
            if let Some((_, body)) = found.known.iter().find(|(other, _)| *other == known) {
                let other_line = lines[body.start - 1].number;
                let fault = Fault::SectionTwice { found: Quote::new(&line.text), other_line };
                problems.add(line.number, fault);
                continue;
            }
            let body = index + 1..amendments_at;
            let ends = |line: &Line| match line.kind {
                Kind::Heading(1 | 2) | Kind::Rule => true,
                Kind::Heading(_) => heading(&line.text).is_some(),
                _ => false,
            };
            let length = lines[body.clone()].iter().position(ends).unwrap_or_else(|| body.len());
            found.known.push((known, body.start..body.start + length));
        }
        found
    }

    /// The lines of a section, without its heading; none if there is no such section.
    pub(super) fn body<'l>(&self, lines: &'l [Line], known: Known) -> &'l [Line] {
        let found = self.known.iter().find(|(other, _)| *other == known);
        found.map_or(&[], |(_, body)| &lines[body.clone()])
    }

    /// The line of a section's heading.
    pub(super) fn heading(&self, lines: &[Line], known: Known) -> Option<u32> {
        let found = self.known.iter().find(|(other, _)| *other == known);
        found.map(|(_, body)| lines[body.start - 1].number)
    }

    pub(super) fn above_amendments<'l>(&self, lines: &'l [Line]) -> &'l [Line] {
        &lines[..self.amendments_at]
    }

    /// The headings of the amendments.
    pub(super) fn amendments(&self, lines: &[Line]) -> Vec<Located<String>> {
        let below = lines.get(self.amendments_at + 1..).unwrap_or_default();
        let headings = below.iter().filter(|line| line.kind == Kind::Heading(3));
        headings.map(|line| Located::new(line.text.clone(), line.number)).collect()
    }
}

fn is_amendments(line: &Line) -> bool {
    let word = line.text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    line.kind == Kind::Heading(2) && word.eq_ignore_ascii_case("amendments")
}
