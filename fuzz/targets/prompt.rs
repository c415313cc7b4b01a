//! PROMPT.md: whatever is in it, it is a task of which every value has a line and
//! every step can be told apart, or it is refused with reasons that can be told.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::limits::{BOXES_MAX, DEPENDENCIES_MAX, PROBLEMS_MAX, SCOPE_MAX, STEPS_MAX};
use packet::{Prompt, review};

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let exists = |line: u32| usize::try_from(line).expect("32 bits fit") <= lines;
    match Prompt::parse(bytes, "TP-1-task") {
        Ok(prompt) => {
            assert_eq!(prompt.id.value.as_str(), "TP-1");
            assert!(!prompt.name.value.contains(char::is_control));
            assert!((1..=STEPS_MAX).contains(&prompt.steps.len()));
            assert!(prompt.dependencies.len() <= DEPENDENCIES_MAX);
            assert!(prompt.scope.len() <= SCOPE_MAX && prompt.context.len() <= SCOPE_MAX);
            let numbers: Vec<u32> = prompt.steps.iter().map(|step| step.number.value).collect();
            assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
            for step in &prompt.steps {
                assert!(exists(step.number.line) && step.number.line > 0);
                assert!(step.segments.iter().all(|segment| !segment.outcomes.is_empty()));
                assert!(step.segments.iter().all(|segment| segment.outcomes.len() <= BOXES_MAX));
            }
        }
        Err(problems) => {
            assert!((1..=PROBLEMS_MAX + 1).contains(&problems.len()));
            for problem in problems {
                assert!(exists(problem.line), "{problem:?}");
                assert!(!problem.to_string().contains(char::is_control), "{problem}");
            }
        }
    }
    // What is unclear approves nothing: an approval says the word.
    if review::verdict(bytes) == Ok(review::Verdict::Approve) {
        let text = bytes.to_ascii_uppercase();
        assert!(text.windows(7).any(|window| window == b"APPROVE"));
    }
});
