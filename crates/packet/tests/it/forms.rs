//! However a packet is written, it is the same packet: tasks are drawn by chance, each
//! is written in forms drawn by chance, and what is read has to be what was drawn.

use packet::Prompt;
use packet::prompt::Step;
use proptest::prelude::*;

/// Boxes, and whether each is checked.
type Boxes = Vec<(String, bool)>;

/// What a task says, without where it says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Task {
    id: String,
    name: String,
    size: &'static str,
    review_level: u8,
    dependencies: Vec<String>,
    scope: Vec<String>,
    steps: Vec<(u32, String, Boxes)>,
}

fn read(text: &str) -> Result<Task, Vec<packet::Problem>> {
    let prompt = Prompt::parse(text.as_bytes(), "packet")?;
    let dependencies = prompt.dependencies.iter().map(|it| match &it.value.area {
        Some(area) => format!("{area}/{}", it.value.task),
        None => it.value.task.to_string(),
    });
    let step = |step: &Step| {
        let outcomes = step.outcomes.iter().map(|it| (it.text.clone(), it.is_checked));
        (step.number.value, step.name.clone(), outcomes.collect())
    };
    Ok(Task {
        id: prompt.id.value.to_string(),
        name: prompt.name.value.clone(),
        size: prompt.size().letter(),
        review_level: prompt.review_level().into(),
        dependencies: dependencies.collect(),
        scope: prompt.scope.iter().map(|it| it.value.to_string()).collect(),
        steps: prompt.steps.iter().map(step).collect(),
    })
}

/// The forms that a packet is written in: a draw for each choice.
type Draws = Vec<u8>;

struct Writer<'d> {
    draws: std::iter::Cycle<std::slice::Iter<'d, u8>>,
    text: String,
}

impl Writer<'_> {
    fn one_of<'f>(&mut self, forms: &[&'f str]) -> &'f str {
        forms[usize::from(*self.draws.next().expect("a cycle")) % forms.len()]
    }

    fn line(&mut self, line: &str) {
        let end = self.one_of(&["\n", "\n", "\n", "\r\n"]);
        self.text.extend([line, end]);
    }

    fn noise(&mut self) {
        let noise = self.one_of(&[
            "",
            "",
            "<!-- **Size:** L -->",
            "```\n### Step 9: no\n- [ ] no\n**Size:** L\n```",
            "~~~ md\n# Task: XX-1 - No\n~~~",
            "<!--\n## Step 7: no\n-->",
            "> ### Step 8: no",
        ]);
        // A blank line before and behind keeps blocks apart.
        self.text.push('\n');
        self.line(noise);
        self.text.push('\n');
    }
}

fn written(task: &Task, draws: &Draws) -> String {
    let mut to = Writer { draws: draws.iter().cycle(), text: String::new() };
    let Task { id, name, size, review_level, .. } = task;
    let word = to.one_of(&["", "Task: ", "Task:"]);
    let between = to.one_of(&[" - ", ": ", " — ", " – ", ":"]);
    to.line(&format!("# {word}{id}{between}{name}"));
    to.noise();
    let key =
        to.one_of(&["**Size:** ", "**Size**: ", "- **Size:** ", "**Created:** x | **Size:** "]);
    to.line(&format!("{key}{size}"));
    to.noise();
    let level = to.one_of(&["## Review Level: ", "## Review Level ", "**Review Level:** "]);
    to.line(&format!("{level}{review_level}"));
    to.noise();
    to.line("## Dependencies");
    if task.dependencies.is_empty() {
        let none = to.one_of(&["None", "- **None**", "n/a", "- None (it is the first)"]);
        to.line(none);
    }
    for dependency in &task.dependencies {
        let (before, behind) = match to.one_of(&["a", "b", "c", "d"]) {
            "a" => ("- **Task:** ", " (like XX-1)"),
            "b" => ("- `", "`"),
            "c" => ("* Requires: ", " — as XX-1"),
            _ => ("- ", ""),
        };
        to.line(&format!("{before}{dependency}{behind}"));
    }
    to.noise();
    to.line("## File Scope");
    for entry in &task.scope {
        let (before, behind) = match to.one_of(&["a", "b", "c"]) {
            "a" => ("- `", "` (new)"),
            "b" => ("- ", " — changed"),
            _ => ("* ", ""),
        };
        to.line(&format!("{before}{entry}{behind}"));
    }
    let marks = to.one_of(&["##", "###", "####"]);
    if marks != "##" {
        to.line("## Steps");
    }
    for (number, name, outcomes) in &task.steps {
        let between = to.one_of(&[": ", " - ", " — ", ". "]);
        to.line(&format!("{marks} Step {number}{between}{name}"));
        to.noise();
        for (text, is_checked) in outcomes {
            let mark = to.one_of(&["- ", "* ", "+ "]);
            let tick = if *is_checked { to.one_of(&["[x]", "[X]"]) } else { "[ ]" };
            to.line(&format!("{mark}{tick} {text}"));
        }
        to.noise();
    }
    to.line("## Completion Criteria");
    to.line("- [ ] everything");
    to.text
}

fn tasks() -> impl Strategy<Value = Task> {
    let words = "[A-Za-z][a-z]{0,6}( [a-z]{1,6}){0,3}";
    let id = "[A-Z]{1,4}-[0-9]{1,4}";
    let dependency = "([a-z]{1,5}/)?[A-Z]{1,4}-[0-9]{1,4}";
    let step = (words, prop::collection::vec((words, any::<bool>()), 0..4));
    (
        (id, words, prop::sample::select(vec!["S", "M", "L"]), 0..4_u8),
        prop::collection::btree_set(dependency, 0..4),
        prop::collection::btree_set("[a-z]{1,5}(/[a-z]{1,5}){0,2}(/\\*\\*)?", 0..4),
        prop::collection::vec(step, 1..5),
    )
        .prop_map(|((id, name, size, review_level), dependencies, scope, steps)| Task {
            id,
            name,
            size,
            review_level,
            dependencies: dependencies.into_iter().collect(),
            scope: scope.into_iter().collect(),
            steps: (1..).zip(steps).map(|(at, (name, outcomes))| (at, name, outcomes)).collect(),
        })
}

proptest! {
    #[test]
    fn a_packet_that_is_written_and_read_is_the_same(
        task in tasks(),
        draws in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let text = written(&task, &draws);
        match read(&text) {
            Ok(read) => prop_assert_eq!(read, task, "{}", text),
            Err(problems) => prop_assert!(false, "{:#?}\n{}", problems, text),
        }
    }

    #[test]
    fn no_text_is_too_strange(text in "(#{1,4} |\\* |- |\\[[ x]\\]|`{3}|\\*\\*|<!--|-->|Step|Task:|Size:|TP-1|:|\n|> |\\||--| |a|\u{1b}|é){0,60}") {
        if let Err(problems) = Prompt::parse(text.as_bytes(), "TP-1-x") {
            prop_assert!(!problems.is_empty());
            let lines = u32::try_from(text.lines().count()).unwrap();
            for problem in problems {
                prop_assert!(problem.line <= lines, "{problem:?}");
                prop_assert!(!problem.to_string().contains(char::is_control));
            }
        }
        packet::status::Status::parse(text.as_bytes()).unwrap();
    }
}
