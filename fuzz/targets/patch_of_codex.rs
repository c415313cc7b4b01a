//! Patches of Codex's models: whatever one says, it is refused or worked out in bounds,
//! and what it does not name stays as it is.

#![no_main]

use std::collections::BTreeMap;

use agents::patch::Patch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (text, content) = input.split_once('\0').unwrap_or((input, ""));
    let Ok(patch) = text.parse::<Patch>() else { return };
    let absolute = |path: &str| Ok::<_, ()>(format!("/workspace/{path}"));
    let Ok(patch) = patch.renamed(absolute) else { return };
    let paths: Vec<&str> = patch.paths().collect();
    // Every other file is there.
    let there = |at: usize| (at % 2 == 0).then(|| content.to_owned());
    let before: BTreeMap<String, Option<String>> =
        paths.iter().enumerate().map(|(at, path)| ((*path).to_owned(), there(at))).collect();
    let Ok(outcomes) = patch.outcomes(&before) else { return };
    for one in outcomes {
        assert!(paths.contains(&&*one.path));
        assert!(one.before.is_some() || one.after.is_some());
        let from = one.from.as_deref().unwrap_or(&one.path);
        assert_eq!(before.get(from).and_then(Option::as_deref), one.before.as_deref());
        assert!(one.from.is_some() || one.before != one.after);
        let after = one.after.unwrap_or_default();
        // Lines are kept or come from the patch, each with a line end.
        assert!(after.len() <= text.len() + 2 * content.len() + 2 * text.lines().count());
    }
});
