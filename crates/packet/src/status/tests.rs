use super::*;

const STATUS: &str = r"# TP-014: Parser — Status

**Current Step:** Step 2: Read
**Status:** 🟡 In Progress
**Last Updated:** 2026-03-14
**Review Level:** 1 | **Size:** M
**Review Counter:** 3
**Iteration:** 2

---

### Step 1: Prepare
**Status:** ✅ Complete

- [x] read
- [x] understood

---

### Step 2: Read
**Status:** 🟨 In Progress

- [x] a
- [ ] b
- [~] c

#### Notes of the agent
- [ ] d

### Step 3: Tell
**Status:** ⬜ Not Started

## Reviews

| # | Type | Verdict |
|---|------|---------|
| R001 | plan | APPROVE |
| R002 | code \| test | REVISE |

## Execution Log

| Time | What |
|---|---|
| 10:00 | began |

## Blockers

*None*

## Notes

- a note
";

#[test]
fn everything_that_an_agent_writes_is_read() {
    let status = Status::parse(STATUS.as_bytes()).unwrap();
    assert_eq!(status.current_step.unwrap().value, "Step 2: Read");
    assert_eq!(status.review_level.unwrap().value, "1");
    assert_eq!(status.size.unwrap().value, "M");
    assert_eq!(status.review_counter.unwrap().value, 3);
    assert_eq!(status.iteration, Some(Located::new(2, 8)));
    let progress: Vec<_> = status.steps.iter().map(StepStatus::progress).collect();
    assert_eq!(progress, [Progress::Complete, Progress::InProgress, Progress::NotStarted]);
    assert_eq!(status.steps[1].outcomes.len(), 4);
    assert_eq!(status.steps[1].number, Located::new(2, 20));
    assert_eq!(status.reviews.heads, ["#", "Type", "Verdict"]);
    assert_eq!(status.reviews.rows[1].value, ["R002", "code | test", "REVISE"]);
    assert_eq!(status.log.rows[0], Located::new(vec!["10:00".into(), "began".into()], 44));
    assert!(status.blockers.is_empty());
    assert_eq!(status.notes[0].value, "a note");
    let oddities: Vec<_> = status.oddities.iter().map(ToString::to_string).collect();
    assert_eq!(oddities, ["found the box `[~] c`; expected `[ ]` or `[x]`"]);
}

#[test]
fn a_step_is_complete_only_if_that_is_said_or_all_its_boxes_are_checked() {
    let of = |text: &str| Status::parse(text.as_bytes()).unwrap().steps[0].progress();
    assert_eq!(of("### Step 1: x\n**Status:** Incomplete\n"), Progress::NotStarted);
    assert_eq!(of("### Step 1: x\n**Status:** not complete\n"), Progress::NotStarted);
    assert_eq!(of("### Step 1: x\n"), Progress::NotStarted);
    assert_eq!(of("## Step 1: x\n- [x] a\n"), Progress::Complete);
    assert_eq!(of("### Step 1: x\n```\n- [x] a\n```\n"), Progress::NotStarted);
}

#[test]
fn a_status_is_bounded() {
    let long = "a".repeat(STATUS_MAX_BYTES + 1);
    assert!(Status::parse(long.as_bytes()).is_err());
    let rows = "## Reviews\n| a |\n|---|\n".to_owned() + &"| b |\n".repeat(ROWS_MAX + 7);
    assert_eq!(Status::parse(rows.as_bytes()).unwrap().reviews.left_out, 7);
    let steps: String = (0..100).map(|number| format!("### Step {number}: x\n")).collect();
    assert_eq!(Status::parse(steps.as_bytes()).unwrap().steps.len(), STEPS_MAX);
}
