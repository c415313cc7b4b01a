//! What is read of a packet, with the line of every value.

use packet::Prompt;

const PROMPT: &str = r"# Task: TP-014 - Read the configuration

**Created:** 2026-03-14
**Size:** M

## Review Level: 1 (Plan Only)

**Assessment:** one new module. A field in code, `**Size:** L`, is an example.
**Score:** 2/8 — Blast radius: 1, Pattern novelty: 1, Security: 0, Reversibility: 0

## Canonical Task Folder

```
tasks/core/TP-014-configuration/
```

## Mission

Read it once, at the start.

## Dependencies

- **Task:** TP-012 (the parser, as TP-003 wanted it)
- **Task:** core/TP-013
- **External:** nothing but the disk

## Context to Read First

**Tier 2 (area context):**
- `tasks/core/CONTEXT.md`

**Tier 3 (load only if needed):**
- `docs/configuration.md`, run `cargo test`

## File Scope

- `src/configuration/**`
- `src/main.rs` (one call)

## Steps

> **Hydration:** expand at the step.

### Step 0: Preflight

- [ ] `src/main.rs` compiles

### Step 1: Read it

**Plan-review checkpoint**

> ⚠️ Hydrate: add a box for each key

- [x] every key is read
  - [ ] with its default
- [ ] an unknown key is an error

**Artifacts:**
- `src/configuration.rs` (new)

### Step 2: Test and deliver

```md
### Step 9: an example
- [ ] of a step
```

- [ ] all tests pass

## Documentation Requirements

**Must Update:**
- `README.md`

## Completion Criteria

- [ ] All steps are complete

## Do NOT

- Add a dependency

---

## Amendments (Added During Execution)

### Amendment 1 — 2026-03-15

**Issue:** a key was forgotten
";

#[test]
fn a_packet_is_read_whole() {
    insta::assert_debug_snapshot!(Prompt::parse(PROMPT.as_bytes(), "TP-014-configuration"));
}

#[test]
fn the_forms_of_the_other_parser_are_read_as_well() {
    let text = "\u{feff}# TP-7: Small\r\n\r\n## Review Level 0\r\n**Size**: s\r\n\r\n## Step 1 - Do\r\n\
                -[ ] a\r\n- [X] b\r\n* [ ] c\r\n\r\n## Step 2\r\n## Dependencies\r\nNone\r\n---\r\nTP-1\r\n";
    let prompt = Prompt::parse(text.as_bytes(), "anything").unwrap();
    assert_eq!((prompt.id.value.as_str(), prompt.name.value.as_str()), ("TP-7", "Small"));
    assert_eq!((prompt.size().letter(), u8::from(prompt.review_level())), ("S", 0));
    let boxes: Vec<_> = prompt.steps.iter().map(packet::prompt::Step::outcome_count).collect();
    assert_eq!(boxes, [3, 0]);
    assert!(prompt.dependencies.is_empty(), "the section ends at the divider");
}

#[test]
fn what_looks_like_a_value_elsewhere_is_none() {
    let text = "# TP-1: x\n**Depends on:** TP-2\n\n## Review Level Guide\n\n## Environment\n\n\
                **Dependencies:** a compiler\n\n### Step 1: y\n\n**Size:** at most 3 MB\n";
    let prompt = Prompt::parse(text.as_bytes(), "phase-2-cleanup").unwrap();
    assert_eq!((prompt.dependencies.len(), prompt.size, prompt.review_level), (1, None, None));
}

#[test]
fn the_folder_names_a_task_whose_heading_does_not() {
    let text = "# A title\n### Step 1: x\n";
    let prompt = Prompt::parse(text.as_bytes(), "TP-3-title").unwrap();
    assert_eq!((prompt.id.value.as_str(), prompt.id.line), ("TP-3", 0));
    assert_eq!(prompt.name.value, "A title");
}

#[test]
fn several_repositories_are_read() {
    let text = "# Task: TP-9 - Both\n\n## Execution Target\n\n**Repo:** api\n**Workspace:** all\n\n\
                ## Segment DAG\n\nRepos:\n- api\n- web\n- docs\n\nEdges:\n- api -> web\n- `web` → docs\n\n\
                ## Steps\n\n### Step 1: Do\n\n- [ ] own\n\n#### Segment: api\n\n- [ ] a\n\n\
                #### Segment: web\n\n- [ ] b\n- [ ] c\n\n#### Notes\n\n- [ ] d\n";
    let prompt = Prompt::parse(text.as_bytes(), "TP-9-both").unwrap();
    assert_eq!(prompt.several_repositories(), Some(11));
    let target = prompt.target.as_ref().unwrap();
    assert_eq!(target.repository.as_ref().unwrap().value.as_str(), "api");
    assert_eq!(target.workspace.as_ref().unwrap().value, "all");
    let edges = &prompt.segments.as_ref().unwrap().edges;
    assert_eq!(edges.len(), 2);
    let step = &prompt.steps[0];
    let own: Vec<_> = step.outcomes.iter().map(|outcome| outcome.text.as_str()).collect();
    assert_eq!(own, ["own", "d"]);
    let segments: Vec<_> = step.segments.iter().map(|it| it.outcomes.len()).collect();
    assert_eq!(segments, [1, 2]);
    assert_eq!(prompt.outcome_count(), 5);
}
