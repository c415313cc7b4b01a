//! What is refused, and in which words.

use packet::Prompt;

/// What is told of a packet: each problem with its line.
fn told(folder: &str, text: &str) -> String {
    let problems = Prompt::parse(text.as_bytes(), folder).expect_err("it should be refused");
    let lines = problems.iter().map(|problem| format!("{}: {problem}\n", problem.line));
    lines.collect()
}

#[test]
fn a_task_without_a_step_is_no_task() {
    insta::assert_snapshot!(told("TP-1-x", "# TP-1: x\n\n## Steps\n\n- [ ] a\n"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "# Task: TP-1 - One
# Task: TP-2 - Two

**Size:** XL
**Review Level:** 1

## Review Level: 2
## Review Level: high

## Dependencies

- None
- TP-3
- when the others are done
- TP-4 then TP-5

## Dependencies

## File Scope

- /etc/passwd
- ../outside
- the parser and its tests

### Step 1: a
- [ ] fine
- [?] what
#### Segment: API
### Step 1: b
## Step 2: c
### Step zero: d
### Step 0: e

---

## Amendments

### Step 8: later
";
    insta::assert_snapshot!(told("TP-9-x", text));
}

#[test]
fn a_title_with_two_readings_is_asked_about() {
    insta::assert_snapshot!(told("x", "# AB-12-34: Name\n### Step 1: a\n"));
}

#[test]
fn a_graph_of_segments_has_an_order_and_knows_its_repositories() {
    let text = "# TP-1: x

## Segment DAG
a line before
Repos: api, web, web

Edges:
- api -> web
- web -> api
- api -> api
- api -> other
- nonsense

### Step 1: a
#### Segment: docs
- [ ] x
#### Segment: api
#### Segment: web
- [ ] x
#### Segment: web
- [ ] y
";
    insta::assert_snapshot!(told("TP-1-x", text));
}

#[test]
fn what_is_hidden_or_not_text_is_told() {
    let hidden =
        "# TP-1: x\ntext\n\n    ### Step 1: a\n\n<div>\n- [ ] b\n</div>\n\n```\n### Step 2: c\n";
    insta::assert_snapshot!(told("TP-1-x", hidden));
    let problems = Prompt::parse(b"\xff\xfe", "TP-1").unwrap_err();
    assert_eq!(problems[0].to_string(), "the file is no text in UTF-8");
    let long = vec![b'a'; packet::limits::PROMPT_MAX_BYTES + 1];
    let problems = Prompt::parse(&long, "TP-1").unwrap_err();
    assert_eq!(problems[0].to_string(), "the file has more than 256 KiB");
}

#[test]
fn nothing_that_is_told_moves_a_terminal() {
    let text = "# TP-1: a\u{1b}[31mb\u{202e}c\n**Size:** \u{1b}]0;x\u{7}\n### Step 1: x\n";
    assert!(!told("TP-1-x", text).contains(['\u{1b}', '\u{7}']));
    let text = "# TP-1: a\u{1b}[31mb\u{202e}c\n### Step 1: x\n";
    let prompt = Prompt::parse(text.as_bytes(), "TP-1-x").unwrap();
    assert_eq!(prompt.name.value, "a\u{fffd}[31mb\u{fffd}c");
}

#[test]
fn problems_and_everything_else_are_bounded() {
    let many = "- nonsense here\n".repeat(200);
    let text = format!("# TP-1: x\n### Step 1: x\n## Dependencies\n{many}");
    let problems = Prompt::parse(text.as_bytes(), "TP-1").unwrap_err();
    assert_eq!(problems.len(), packet::limits::PROBLEMS_MAX + 1);
    let steps: String = (0..100).map(|number| format!("### Step {number}: x\n")).collect();
    assert!(told("TP-1-x", &format!("# TP-1: x\n{steps}")).contains("more than 64 steps"));
    let boxes = "- [ ] x\n".repeat(300);
    let text = format!("# TP-1: x\n### Step 1: x\n{boxes}");
    assert!(told("TP-1-x", &text).contains("more than 256 boxes in one step"));
}
