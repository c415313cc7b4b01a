use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// `ID SIZE: dependencies | scope`, a task a line.
fn batch(text: &str) -> Batch {
    let tasks = text.lines().map(|line| {
        let (head, rest) = line.split_once(':').unwrap();
        let (id, size) = head.trim().split_once(' ').unwrap();
        let (dependencies, scope) = rest.split_once('|').unwrap_or((rest, ""));
        let dependency = |word: &str| {
            let (area, task) = match word.split_once('/') {
                Some((area, task)) => (Some(area.parse().unwrap()), task),
                None => (None, word),
            };
            Dependency { area, task: task.parse().unwrap(), line: 7 }
        };
        Task {
            id: id.parse().unwrap(),
            area: "core".parse().unwrap(),
            size: size.parse().unwrap(),
            dependencies: dependencies.split_whitespace().map(dependency).collect(),
            scope: scope.split_whitespace().map(|entry| entry.parse().unwrap()).collect(),
        }
    });
    Batch { tasks: tasks.collect(), ..Batch::default() }
}

fn known(area: &str, id: &str) -> Known {
    Known { area: area.parse().unwrap(), id: id.parse().unwrap() }
}

fn told(plan: &Plan) -> Vec<String> {
    let line = |task: &Planned| {
        let mark = if task.is_critical { "*" } else { "" };
        format!(
            "{}{mark} lane {} {}-{} wave {}",
            task.id, task.lane, task.start, task.end, task.wave
        )
    };
    plan.tasks.iter().map(line).collect()
}

fn list(problems: &[Problem]) -> String {
    let told = problems.iter().map(|it| format!("{} {}: {}\n", it.task, it.line, it.fault));
    told.collect()
}

#[test]
fn a_task_starts_as_soon_as_what_it_depends_on_is_merged() {
    let batch = batch("T-1 L:\nT-2 S:\nT-3 S: T-2\nT-4 M: T-1 T-3\nT-5 S: T-3");
    let plan = plan(&batch, Policy::default()).unwrap();
    assert_eq!(
        told(&plan),
        [
            "T-1* lane 1 0-120 wave 1",
            "T-2 lane 2 0-30 wave 1",
            "T-3 lane 2 30-60 wave 2",
            // A wave would have had it wait for T-1.
            "T-5 lane 2 60-90 wave 3",
            "T-4* lane 1 120-180 wave 3",
        ]
    );
    assert_eq!((plan.minutes, plan.work_minutes, plan.critical_minutes), (180, 270, 180));
}

#[test]
fn tasks_that_share_files_follow_each_other_in_one_lane() {
    let batch =
        batch("T-1 M: | src/a src/x\nT-2 S: | src/x/y.rs\nT-3 S: | docs/**\nT-4 S: T-1 | src/a");
    let plan = plan(&batch, Policy::default()).unwrap();
    assert_eq!(
        told(&plan),
        [
            "T-1* lane 1 0-60 wave 1",
            "T-3 lane 2 0-30 wave 1",
            "T-2 lane 1 60-90 wave 1",
            "T-4* lane 2 60-90 wave 2",
        ]
    );
    let [conflict] = &plan.conflicts[..] else { panic!("{:?}", plan.conflicts) };
    assert_eq!((conflict.first.as_str(), conflict.second.as_str()), ("T-1", "T-2"));
    let entries = (conflict.first_pattern.as_str(), conflict.second_pattern.as_str());
    assert_eq!(entries, ("src/x", "src/x/y.rs"));
}

#[test]
fn dependencies_that_are_done_are_satisfied_and_all_others_have_a_reason() {
    let mut batch = batch(
        "T-1 S: T-90\nT-2 S: T-2\nT-3 S: T-91\nT-4 S: T-92\nT-5 S: T-01\nT-6 S: web/T-92 T-99",
    );
    batch.completed = vec![known("core", "T-90"), known("web", "T-92"), known("core", "T-92")];
    batch.pending = vec![known("web", "T-91")];
    let problems = plan(&batch, Policy::default()).unwrap_err();
    insta::assert_snapshot!(list(&problems), @r"
    1 7: found the task itself among its dependencies; expected only others
    2 7: found the dependency T-91, which is not done and not in this batch; expected it to be done before, or `web` to be planned as well
    3 7: found the dependency T-92, which is in several areas: web, core; expected `area/T-92`
    4 7: found the dependency T-01, which is no known task; expected the id of a packet, T-1 perhaps
    5 7: found the dependency T-99, which is no known task; expected the id of a packet
    ");
}

#[test]
fn every_circle_is_told_with_its_path() {
    let batch =
        batch("T-1 S: T-3\nT-2 S: T-1\nT-3 S: T-2\nT-4 S: T-5\nT-5 S: T-4 T-1\nT-6 S: T-5\nT-6 S:");
    let problems = plan(&batch, Policy::default()).unwrap_err();
    insta::assert_snapshot!(list(&problems), @r"
    6 0: found T-6 again, the first one is in `core`; expected every id once in all areas
    0 7: found tasks that wait for each other: T-1 → T-2 → T-3 → T-1; expected an order
    3 7: found tasks that wait for each other: T-4 → T-5 → T-4; expected an order
    ");
}

#[test]
fn a_thousand_tasks_are_planned_and_one_more_is_refused() {
    let line = |at: usize| match at {
        0..10 => format!("T-{at} S: | src/{at}/**"),
        _ => format!("T-{at} M: T-{} T-{} | src/{}/*.rs", at - 10, at - 7.min(at), at % 50),
    };
    let text: Vec<String> = (0..TASKS_MAX).map(line).collect();
    let mut batch = batch(&text.join("\n"));
    let plan = plan(&batch, Policy { lanes: 8, ..Policy::default() }).unwrap();
    assert_eq!(plan.tasks.len(), TASKS_MAX);
    let mut more = batch.tasks[0].clone();
    more.id = "T-5000".parse().unwrap();
    batch.tasks.push(more);
    assert_eq!(super::plan(&batch, Policy::default()).unwrap_err()[0].fault, Fault::TooMany);
}

proptest! {
    #[test]
    fn whatever_the_tasks_are_nothing_starts_early_and_the_plan_is_the_same_again(
        sizes in prop::collection::vec((0..3_usize, 0..6_usize), 1..14),
        edges in prop::collection::vec((0..14_usize, 0..14_usize), 0..20),
        lanes in 1..5_u8,
        turn in 0..14_usize,
    ) {
        let count = sizes.len();
        let task = |(at, &(size, file)): (usize, &(usize, usize))| Task {
            id: format!("T-{at}").parse().unwrap(),
            area: "core".parse().unwrap(),
            size: Size::ALL[size],
            dependencies: edges
                .iter()
                .filter(|(from, to)| *from == at && to < from)
                .map(|(_, to)| Dependency { area: None, task: format!("T-{to}").parse().unwrap(), line: 1 })
                .collect(),
            scope: [format!("src/{file}"), format!("src/{}/*", (at + file) % 6)]
                .iter()
                .take(file % 3)
                .map(|entry| entry.parse().unwrap())
                .collect(),
        };
        let mut batch = Batch { tasks: sizes.iter().enumerate().map(task).collect(), ..Batch::default() };
        let policy = Policy { lanes, ..Policy::default() };
        let plan = super::plan(&batch, policy).unwrap();
        let by_id: BTreeMap<_, _> = plan.tasks.iter().map(|task| (&task.id, task)).collect();
        prop_assert_eq!(by_id.len(), count);
        for task in &plan.tasks {
            prop_assert!((1..=lanes).contains(&task.lane));
            prop_assert!(task.end > task.start && task.end <= plan.minutes);
            for before in &task.depends_on {
                prop_assert!(by_id[before].end <= task.start);
                prop_assert!(by_id[before].wave < task.wave);
            }
            for other in &plan.tasks {
                let apart = other.end <= task.start || task.end <= other.start;
                let is_kept_apart = task.lane == other.lane || task.conflicts_with.contains(&other.id);
                prop_assert!(apart || !is_kept_apart || task.id == other.id);
            }
        }
        prop_assert!(plan.critical_minutes <= plan.minutes && plan.minutes <= plan.work_minutes);
        // In whatever order the packets are found.
        batch.tasks.rotate_left(turn % count);
        let mut again = super::plan(&batch, policy).unwrap();
        for task in &mut again.tasks {
            task.position = (task.position + turn % count) % count;
        }
        prop_assert_eq!(plan, again);
    }
}
