//! In which repositories a task is worked.

use super::sections::{Known, Sections};
use super::{Head, SegmentGraph, Step, Target, keep};
use crate::document::{Kind, Line};
use crate::field::{label, unmarked};
use crate::limits::REPOSITORIES_MAX;
use crate::place::Located;
use crate::problem::{Fault, Problems, Quote};
use batch_api::RepositoryName;

/// Where it is worked, if that is said: in a section, in a field, or in both alike.
pub(super) fn target(
    lines: &[Line],
    sections: &Sections,
    head: &Head,
    problems: &mut Problems,
) -> Option<Target> {
    let (mut repository, mut workspace) = (None, None);
    let mut said: Vec<Located<&str>> = Vec::new();
    for line in sections.body(lines, Known::Target) {
        let Some((name, value)) = label(&line.text) else { continue };
        let value = Located::new(unmarked(value), line.number);
        match name.to_ascii_lowercase().as_str() {
            "repo" | "repository" => said.push(value),
            "workspace" => workspace = Some(Located::new(value.value.to_owned(), value.line)),
            _ => {}
        }
    }
    // A field that stands in the section has been read with it.
    let field = head.repository.iter().filter(|field| said.iter().all(|it| it.line != field.line));
    let field: Vec<_> = field.map(|it| Located::new(unmarked(&it.value), it.line)).collect();
    for Located { value, line } in said.into_iter().chain(field) {
        match value.parse::<RepositoryName>() {
            Ok(name) => {
                keep(&mut repository, Located::new(name, line), "the repository", problems);
            }
            Err(_) => problems.add(line, Fault::Repository(Quote::new(value))),
        }
    }
    (repository.is_some() || workspace.is_some()).then_some(Target { repository, workspace })
}

/// Which list of the graph a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Repositories,
    Edges,
}

/// The graph of segments, if there is one.
pub(super) fn graph(
    lines: &[Line],
    sections: &Sections,
    problems: &mut Problems,
) -> Option<SegmentGraph> {
    let heading = sections.heading(lines, Known::Segments)?;
    let mut graph = SegmentGraph { repositories: Vec::new(), edges: Vec::new() };
    let mut list = None;
    for line in sections.body(lines, Known::Segments) {
        if !matches!(line.kind, Kind::Prose | Kind::Item | Kind::Code | Kind::Heading(_)) {
            continue;
        }
        let mut text = line.text.as_str();
        let labelled = label(text).or_else(|| Some((unmarked(text), "")));
        if let Some((name, rest)) = labelled {
            let next = match name.to_ascii_lowercase().as_str() {
                "repos" | "repositories" => Some(List::Repositories),
                "edges" => Some(List::Edges),
                _ => None,
            };
            if next.is_some() {
                list = next;
                text = rest;
            }
        }
        for entry in text.split(',').map(unmarked).filter(|entry| !entry.is_empty()) {
            if entry.eq_ignore_ascii_case("none") && list == Some(List::Edges) {
                continue;
            }
            let is_read = match list {
                Some(List::Repositories) => repository(&mut graph, entry, line.number, problems),
                Some(List::Edges) => edge(&mut graph, entry, line.number, problems),
                None => false,
            };
            if !is_read {
                problems.add(line.number, Fault::SegmentGraph(Quote::new(&line.text)));
            }
        }
    }
    if graph.repositories.is_empty() {
        problems.add(heading, Fault::NoRepositories);
    }
    if let Some(circle) = circle(&graph) {
        problems.add(heading, Fault::SegmentCycle(circle));
    }
    Some(graph)
}

fn repository(graph: &mut SegmentGraph, entry: &str, line: u32, problems: &mut Problems) -> bool {
    let word = entry.split(['(', ' ']).next().unwrap_or_default();
    let Ok(name) = unmarked(word).parse() else {
        problems.add(line, Fault::Repository(Quote::new(entry)));
        return true;
    };
    if graph.repositories.iter().any(|other| other.value == name) {
        return false;
    }
    if graph.repositories.len() == REPOSITORIES_MAX {
        let fault = Fault::TooMany { what: "repositories", most: REPOSITORIES_MAX };
        problems.add(line, fault);
        return true;
    }
    graph.repositories.push(Located::new(name, line));
    true
}

fn edge(graph: &mut SegmentGraph, entry: &str, line: u32, problems: &mut Problems) -> bool {
    let Some((from, to)) = entry.split_once("->").or_else(|| entry.split_once('→')) else {
        return false;
    };
    let to = to.trim_start().split(['(', ' ']).next().unwrap_or_default();
    let name = |text: &str| unmarked(text).parse::<RepositoryName>().ok();
    let (Some(from), Some(to)) = (name(from), name(to)) else { return false };
    if from == to {
        problems.add(line, Fault::SegmentSelf(from));
        return true;
    }
    let known = |name: &RepositoryName| graph.repositories.iter().any(|it| it.value == *name);
    for end in [&from, &to].into_iter().filter(|end| !known(end)) {
        problems.add(line, Fault::Undeclared(end.clone()));
    }
    let is_both_known = known(&from) && known(&to);
    let edge = (from, to);
    if is_both_known && !graph.edges.iter().any(|other| other.value == edge) {
        graph.edges.push(Located::new(edge, line));
    }
    true
}

/// Repositories that wait for each other, in order, the first one again at the end.
fn circle(graph: &SegmentGraph) -> Option<Vec<RepositoryName>> {
    let mut left: Vec<&RepositoryName> = graph.repositories.iter().map(|it| &it.value).collect();
    let before = |name: &RepositoryName, left: &[&RepositoryName]| {
        let into = graph.edges.iter().filter(|edge| edge.value.1 == *name);
        into.map(|edge| &edge.value.0).find(|from| left.contains(from)).cloned()
    };
    while let Some(free) = left.iter().position(|name| before(name, &left).is_none()) {
        left.remove(free);
    }
    // Everything that is left has something before it that is left: going back from
    // anywhere ends in a circle.
    let mut path = vec![(*left.first()?).clone()];
    loop {
        let next = before(path.last()?, &left)?;
        if let Some(at) = path.iter().position(|seen| *seen == next) {
            path.push(next);
            path.drain(..at);
            path.reverse();
            return Some(path);
        }
        path.push(next);
    }
}

/// Segments of steps that the graph does not know.
pub(super) fn check(graph: Option<&SegmentGraph>, steps: &[Step], problems: &mut Problems) {
    let Some(graph) = graph.filter(|graph| !graph.repositories.is_empty()) else { return };
    for segment in steps.iter().flat_map(|step| &step.segments) {
        let Located { value, line } = &segment.repository;
        if !graph.repositories.iter().any(|known| known.value == *value) {
            problems.add(*line, Fault::Undeclared(value.clone()));
        }
    }
}
