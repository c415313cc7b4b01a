use batch_api::plan::{Contention, ScopeOverlap, SourceOfSettings};
use batch_api::{ReviewLevel, Size};

use batch_core::spec::FailurePolicy;

use super::*;
use crate::configuration::{Configuration, limits_told};

fn task(id: &str, name: &str, lane: u8, start: u32, end: u32, before: &[&str]) -> PlannedTask {
    PlannedTask {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        area: "core".parse().unwrap(),
        prompt: format!("tasks/{id}/PROMPT.md"),
        size: Size::Medium,
        review_level: ReviewLevel::Code,
        steps: 2,
        steps_complete: 0,
        lane,
        start,
        end,
        wave: 1,
        depends_on: before.iter().map(|id| id.parse().unwrap()).collect(),
        satisfied: Vec::new(),
        conflicts_with: Vec::new(),
        is_critical: lane == 1,
    }
}

fn plan(tasks: Vec<PlannedTask>) -> Planned {
    Planned {
        limits: limits_told(&Configuration::default().limits, FailurePolicy::SkipDependents),
        repository: "/repository".to_owned(),
        settings: SourceOfSettings::Own,
        problems: Vec::new(),
        remarks: Vec::new(),
        lanes: 3,
        conflicts: Vec::new(),
        waves: Vec::new(),
        critical_path: vec!["T-1".parse().unwrap(), "T-3".parse().unwrap()],
        critical_minutes: 120,
        minutes: tasks.iter().map(|task| task.end).max().unwrap_or_default(),
        work_minutes: 240,
        completed: 0,
        picture: None,
        tasks,
    }
}

#[test]
fn names_are_escaped_and_there_is_no_script() {
    let hostile = "<script>alert('x')</script> & \"]]>\u{1b}\u{ffff}";
    let drawn = draw(&plan(vec![task("T-1", hostile, 1, 0, 600, &[])]));
    assert!(!drawn.contains("<script") && !drawn.contains(['\u{1b}', '\u{ffff}']), "{drawn}");
    assert!(drawn.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;]]&gt;"));
}

#[test]
fn a_plan_is_drawn_the_same_every_time() {
    let mut plan = plan(vec![
        task("T-1", "First", 1, 0, 60, &[]),
        task("T-2", "Second", 2, 0, 30, &[]),
        task("T-3", "Third", 1, 60, 120, &["T-1", "T-2"]),
        task("T-4", "Fourth", 2, 60, 150, &["T-1"]),
    ]);
    plan.conflicts = vec![Contention {
        first: "T-2".parse().unwrap(),
        second: "T-4".parse().unwrap(),
        first_scope: "src/**".parse().unwrap(),
        second_scope: "src/a.rs".parse().unwrap(),
        overlap: ScopeOverlap::Patterns,
    }];
    let drawn = draw(&plan);
    assert_eq!(drawn, draw(&plan));
    insta::assert_snapshot!(drawn);
}

#[test]
fn the_longest_plan_is_a_picture_of_bounded_width() {
    let tasks = (0..1000_u32)
        .map(|at| task(&format!("T-{at}"), "x", 1, at * 30_000, (at + 1) * 30_000 - 1, &[]))
        .collect();
    let drawn = draw(&plan(tasks));
    assert!(drawn.contains("width=\"16"), "{}", &drawn[..200]);
    assert!(drawn.len() < 2 << 20, "{}", drawn.len());
}
