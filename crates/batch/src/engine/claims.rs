//! What an agent claims in its packet, measured by what the packet asks.
//!
//! Which steps there are is said by PROMPT.md in the packet's home, which no agent
//! reaches; the STATUS.md in its lane only says which of them are done. So an agent
//! that leaves steps out of its status has not done them.

use std::path::Path;

use batch_core::unit::Status;
use packet::Prompt;
use packet::status::Progress;

use super::work;
use super::world::Trouble;

/// Most bytes of a file of a packet.
pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;

/// What a packet asks.
pub(super) fn prompt(home: &Path) -> Result<Prompt, Trouble> {
    let content = work::read_of_home(home, "PROMPT.md", FILE_BYTES_MAX)?;
    let content = content.ok_or_else(|| format!("{} has no PROMPT.md", home.display()))?;
    let folder = home.file_name().unwrap_or_default().to_string_lossy();
    Prompt::parse(&content, &folder).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ").into()
    })
}

/// The STATUS.md that an agent is given where there is none yet.
pub(super) fn status_template(prompt: &Prompt) -> String {
    let mut text = format!(
        "# {}: {} — Status\n\n**Current Step:** Step {}: {}\n**Status:** Not started\n",
        prompt.id.value,
        prompt.name.value,
        prompt.steps.first().map_or(0, |step| step.number.value),
        prompt.steps.first().map_or("", |step| &step.name),
    );
    for step in &prompt.steps {
        let head = format!(
            "\n### Step {}: {}\n\n**Status:** Not started\n\n",
            step.number.value, step.name
        );
        text.push_str(&head);
        let of_segments = step.segments.iter().flat_map(|segment| &segment.outcomes);
        for outcome in step.outcomes.iter().chain(of_segments) {
            text.extend(["- [ ] ", &*outcome.text, "\n"]);
        }
    }
    text.push_str("\n## Discoveries\n\n## Blockers\n\n## Notes\n");
    text
}

/// What a STATUS.md claims of the steps that are asked; none if it cannot be read.
pub(super) fn claimed(prompt: &Prompt, status: &[u8]) -> Option<Status> {
    let said = packet::status::Status::parse(status).ok()?;
    let is_done = |number: u32| {
        let mut found = said.steps.iter().filter(|step| step.number.value == number).peekable();
        found.peek().is_some() && found.all(|step| step.progress() == Progress::Complete)
    };
    let checked = prompt.steps.iter().filter(|step| is_done(step.number.value)).count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Some(Status { steps: count(prompt.steps.len()), checked: count(checked), revise: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "# Task: TP-7 - Parse\n\n## Steps\n\n### Step 1: Read\n\n- [ ] Read it\n\n\
                          ### Step 2: Write\n\n- [ ] Write it\n- [ ] Test it\n";

    #[test]
    fn steps_that_a_status_leaves_out_are_not_done() {
        let prompt = Prompt::parse(PROMPT.as_bytes(), "TP-7-parse").unwrap();
        let counts = |status: &str| {
            let claimed = claimed(&prompt, status.as_bytes()).unwrap();
            (claimed.steps, claimed.checked)
        };
        let template = status_template(&prompt);
        assert_eq!(counts(&template), (2, 0));
        assert_eq!(counts(&template.replace("[ ]", "[x]")), (2, 2));
        assert_eq!(counts(&template.replacen("[ ]", "[x]", 2)), (2, 1));
        assert_eq!(counts("# Status\n\n### Step 1: Read\n\n- [x] Read it\n"), (2, 1));
        assert_eq!(counts("everything is done ✅\n"), (2, 0));
        assert_eq!(counts(""), (2, 0));
    }
}
