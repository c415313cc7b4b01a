//! What sources may contain.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use workspace::settings::VARIABLES;

use super::Violation;
use super::tokens::{Kind, Token, tokens};

/// A file longer than this is hard to find one's way in.
const LINES_MAX: usize = 600;

/// The files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Where unsafe code may be; everything else is safe by the compiler's word.
const UNSAFE_FILES: &[&str] = &[
    "crates/machine/src/counter.rs",
    "crates/machine/src/kvm.rs",
    "crates/guest-agent/src/sys.rs",
];

/// The faces, which derive everything from the table of operations.
const FACES: &[&str] = &["crates/hotcell-cli/src", "crates/operation/src"];

/// Variables that are no user's business, and whose they are.
const INTERNAL_VARIABLES: &[(&str, &str)] = &[
    ("HOTCELL_GUEST_AGENT", "the engine's build script tells its crate where the agent lies"),
    ("HOTCELL_GUEST_TOOLS", "the same for the tools"),
    ("HOTCELL_SIMULATION_SEEDS", "it says which seeds of the batch engine's simulation are run"),
    ("HOTCELL_TEST_CACHE", "tests keep environments and kernels there"),
    ("HOTCELL_TEST_MACHINES", "it names the driver that the tests run on"),
];

/// Marks of unfinished work, in two parts lest this list be a violation.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Beginnings of paths that exist on one machine only. Root's home is not among
/// them: every guest has one.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// Files that are text of ours; everything else is data.
const TEXT_EXTENSIONS: &[&str] = &["rs", "toml", "md", "sh", "py", "yml", "yaml", "json", "snap"];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let table = crate::table::operations();
    let names: Vec<&str> = table.iter().map(|row| row.name).collect();
    for path in files {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !extension.is_some_and(|extension| TEXT_EXTENSIONS.contains(&extension)) {
            continue;
        }
        let text = fs::read_to_string(root.join(path))?;
        violations.extend(check_text(path, &text));
        if extension == Some("rs") {
            violations.extend(check_source(path, &text, &names));
        }
    }
    let is_gone = |file: &&(&str, &str)| !files.iter().any(|path| path == Path::new(file.0));
    violations.extend(LONG_FILES.iter().filter(is_gone).map(|(file, _)| {
        Violation::of(Path::new(file), 0, "is declared to be long, but does not exist")
    }));
    Ok(violations)
}

/// What holds for every text.
fn check_text(path: &Path, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for mark in MARKS.iter().filter(|mark| has_word(line, mark)) {
            let message = format!("{mark}: finish it, or write it down where work is planned");
            violations.push(Violation::of(path, number, message));
        }
        for start in MACHINE_PATHS.iter().filter(|start| begins_path(line, start)) {
            let message = format!("a path below {start} exists on one machine only");
            violations.push(Violation::of(path, number, message));
        }
    }
    violations
}

/// What holds for Rust.
fn check_source(path: &Path, text: &str, operations: &[&str]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX && !LONG_FILES.iter().any(|(file, _)| path == Path::new(file)) {
        let message =
            format!("{lines} lines are more than {LINES_MAX}: split it, or declare why it is long");
        violations.push(Violation::of(path, 0, message));
    }
    let is_face = FACES.iter().any(|face| path.starts_with(face));
    for Token { line, kind, text } in tokens(text) {
        match kind {
            Kind::Word if text == "unsafe" => {
                if !UNSAFE_FILES.iter().any(|file| path == Path::new(file)) {
                    let message = "unsafe code belongs into one of the modules made for it";
                    violations.push(Violation::of(path, line, message));
                }
            }
            Kind::Literal => {
                if is_face && operations.contains(&text) {
                    let message = format!("a face must not name the operation `{text}`");
                    violations.push(Violation::of(path, line, message));
                }
                for name in variables(text).filter(|name| !is_declared(name)) {
                    let message = format!("{name} is missing in workspace::settings::VARIABLES");
                    violations.push(Violation::of(path, line, message));
                }
            }
            Kind::Word | Kind::Comment => {}
        }
    }
    violations
}

fn is_declared(variable: &str) -> bool {
    let all = VARIABLES.iter().chain(INTERNAL_VARIABLES);
    all.map(|(name, _)| name).any(|name| *name == variable)
}

/// The environment variables of ours that a text names.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let belongs = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(move |c| !belongs(c))
        .filter(|word| word.strip_prefix("HOTCELL_").is_some_and(|rest| !rest.is_empty()))
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// Whether a path that begins so stands in the line; one that only continues so
/// is another one.
fn begins_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}>".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(violations: &[Violation]) -> Vec<(usize, &str)> {
        violations.iter().map(|found| (found.line, found.message.as_str())).collect()
    }

    #[test]
    fn a_face_names_no_operation_and_is_safe() {
        let source = "// \"run\" and unsafe\nlet a = \"run\";\nunsafe {}\nlet b = \"running\";";
        let found = check_source(Path::new("crates/operation/src/cli.rs"), source, &["run"]);
        assert_eq!(
            messages(&found),
            [
                (2, "a face must not name the operation `run`"),
                (3, "unsafe code belongs into one of the modules made for it"),
            ]
        );
        let elsewhere = Path::new("crates/workspace-api/src/run.rs");
        assert!(check_source(elsewhere, "const NAME: &str = \"run\";", &["run"]).is_empty());
    }

    #[test]
    fn variables_are_declared() {
        let unknown = ["HOTCELL", "NOBODY"].join("_");
        let source = format!("f(\"HOTCELL_HOME\"); f(\"{unknown}=1\"); f(\"HOTCELL_\");");
        let found = check_source(Path::new("a.rs"), &source, &[]);
        let expected = format!("{unknown} is missing in workspace::settings::VARIABLES");
        assert_eq!(messages(&found), [(1, expected.as_str())]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let (foreign, guest) = (["see ", "/ho", "me/me/file"].concat(), "$lab/work/file");
        assert_eq!(check_text(Path::new("a.md"), &foreign).len(), 1);
        assert!(check_text(Path::new("a.md"), guest).is_empty());
    }
}
