//! Steps: headings with a number, all at one level, and what is below each.

use super::sections::Sections;
use super::{Outcome, Segment, Step, outcomes};
use crate::document::{Kind, Line};
use crate::field::{label, unmarked};
use crate::limits::{SCOPE_MAX, STEPS_MAX};
use crate::place::Located;
use crate::problem::{Fault, Problems, Quote};

/// What a heading says, if it is one of a step.
pub(crate) enum Heading<'t> {
    Step {
        number: u32,
        name: &'t str,
    },
    /// It looks like one.
    Unclear,
}

/// A heading that begins with the word `Step` and a number, or with that word and
/// something before a colon.
pub(crate) fn heading(text: &str) -> Option<Heading<'_>> {
    const WORD: &str = "step";
    let text = unmarked(text);
    let word = text.get(..WORD.len())?;
    let rest = &text[WORD.len()..];
    if !word.eq_ignore_ascii_case(WORD)
        || !rest.starts_with([' ', '#', ':', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '#']);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits == 0 {
        return rest.contains(':').then_some(Heading::Unclear);
    }
    let (number, after) = rest.split_at(digits);
    let name = after.trim_start();
    let is_end = name.is_empty()
        || name.len() < after.len()
        || name.starts_with([':', '.', ')', '-', '–', '—']);
    match number.parse() {
        Ok(number) if is_end => {
            let name = name.strip_prefix([':', '.', ')', '-', '–', '—']).unwrap_or(name);
            Some(Heading::Step { number, name: name.trim() })
        }
        _ => Some(Heading::Unclear),
    }
}

pub(super) fn read(lines: &[Line], sections: &Sections, problems: &mut Problems) -> Vec<Step> {
    let mut steps: Vec<(u8, Step)> = Vec::new();
    let mut is_any_unclear = false;
    for (index, line) in lines.iter().enumerate() {
        let Kind::Heading(level @ 2..) = line.kind else { continue };
        let Some(heading) = heading(&line.text) else { continue };
        let Heading::Step { number, name } = heading else {
            problems.add(line.number, Fault::Step(Quote::new(&line.text)));
            is_any_unclear = true;
            continue;
        };
        if index > sections.amendments_at {
            problems.add(line.number, Fault::StepInAmendments);
            continue;
        }
        if steps.len() == STEPS_MAX {
            problems.add(line.number, Fault::TooMany { what: "steps", most: STEPS_MAX });
            break;
        }
        judge(&steps, level, number, line.number, problems);
        let rest = &lines[index + 1..sections.amendments_at];
        let ends = |line: &Line| matches!(line.kind, Kind::Heading(other) if other <= level);
        let body = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        steps.push((level, step(Located::new(number, line.number), name, body, problems)));
    }
    if steps.is_empty() && !is_any_unclear {
        problems.add(0, Fault::NoSteps);
    }
    steps.into_iter().map(|(_, step)| step).collect()
}

/// Tells what is wrong with where a step stands.
fn judge(steps: &[(u8, Step)], level: u8, number: u32, line: u32, problems: &mut Problems) {
    let Some((first_level, first)) = steps.first() else { return };
    if *first_level != level {
        let (other, other_line) = (*first_level, first.number.line);
        problems.add(line, Fault::StepLevel { found: level, other, other_line });
    }
    let last = steps.last().map_or(0, |(_, step)| step.number.value);
    match steps.iter().find(|(_, step)| step.number.value == number) {
        Some((_, other)) => {
            problems.add(line, Fault::StepTwice { number, other_line: other.number.line });
        }
        None if number < last => problems.add(line, Fault::StepOrder { number, before: last }),
        None => {}
    }
}

fn step(number: Located<u32>, name: &str, body: &[Line], problems: &mut Problems) -> Step {
    let marker = |what: &str| {
        let seen = body.iter().filter(|line| line.kind != Kind::Code);
        let words = |line: &Line| line.text.to_ascii_lowercase().replace('-', " ");
        seen.into_iter().find(|line| words(line).contains(what)).map(|line| line.number)
    };
    let segments_at: Vec<usize> =
        (0..body.len()).filter(|index| segment_name(&body[*index]).is_some()).collect();
    let own = &body[..segments_at.first().copied().unwrap_or(body.len())];
    let mut segments: Vec<Segment> = Vec::new();
    let mut more: Vec<Outcome> = Vec::new();
    for at in segments_at {
        let line = &body[at];
        let Kind::Heading(level) = line.kind else { continue };
        let rest = &body[at + 1..];
        let ends = |line: &Line| matches!(line.kind, Kind::Heading(other) if other <= level);
        let end = rest.iter().position(ends).unwrap_or(rest.len());
        let found = outcomes(&rest[..end], "boxes in one segment", problems);
        // What stands below another heading behind the segment belongs to the step.
        let behind = &rest[end..];
        let next = behind.iter().position(|line| segment_name(line).is_some());
        more.extend(outcomes(
            &behind[..next.unwrap_or(behind.len())],
            "boxes in one step",
            problems,
        ));
        let name = segment_name(line).unwrap_or_default();
        let Ok(repository) = name.parse() else {
            problems.add(line.number, Fault::Repository(Quote::new(name)));
            continue;
        };
        if let Some(other) = segments.iter().find(|it| it.repository.value == repository) {
            let other_line = other.repository.line;
            problems.add(line.number, Fault::SegmentTwice { repository, other_line });
        } else if found.is_empty() {
            problems.add(line.number, Fault::SegmentEmpty(repository));
        } else {
            let repository = Located::new(repository, line.number);
            segments.push(Segment { repository, outcomes: found });
        }
    }
    let mut found = outcomes(own, "boxes in one step", problems);
    found.extend(more);
    Step {
        number,
        name: name.to_owned(),
        outcomes: found,
        segments,
        artifacts: artifacts(body),
        plan_checkpoint: marker("plan review checkpoint"),
        code_checkpoint: marker("code review checkpoint"),
        hydrate: marker("⚠️ hydrate"),
    }
}

/// The repository of a heading `Segment: repository`.
fn segment_name(line: &Line) -> Option<&str> {
    const WORD: &str = "segment:";
    let Kind::Heading(_) = line.kind else { return None };
    let text = unmarked(&line.text);
    let has_word = text.get(..WORD.len()).is_some_and(|it| it.eq_ignore_ascii_case(WORD));
    has_word.then(|| unmarked(&text[WORD.len()..]))
}

/// The items below `Artifacts:`, and what stands behind it.
fn artifacts(body: &[Line]) -> Vec<Located<String>> {
    let is_label = |line: &Line| {
        label(&line.text).is_some_and(|(name, _)| name.eq_ignore_ascii_case("artifacts"))
    };
    let Some(at) = body.iter().position(is_label) else { return Vec::new() };
    let own = label(&body[at].text).map(|(_, rest)| rest.to_owned());
    let own = own.filter(|rest| !rest.is_empty());
    let own = own.map(|text| Located::new(text, body[at].number));
    let items = body[at + 1..].iter().take_while(|line| line.kind == Kind::Item);
    let items = items.map(|line| Located::new(line.text.clone(), line.number));
    own.into_iter().chain(items).take(SCOPE_MAX).collect()
}
