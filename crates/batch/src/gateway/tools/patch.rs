//! Patches as Codex's models write them, applied as a whole.
//!
//! Every file is read and every result worked out before anything is written. What is in
//! the repository is then changed by one patch of git's form, which the guest applies as
//! a whole or not at all, and only if the files are still what they were. Files
//! elsewhere (the packet's) follow, each on its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use agents::patch::{Outcome, Patch};
use operation::ErrorKind;
use workspace_api::file;
use workspace_api::patch::Apply;
use workspace_api::path::PathText;

use super::file::Place;
use super::{Answer, TREE};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Longest file that is patched, in bytes.
const FILE_BYTES_MAX: u32 = 1024 * 1024;

/// Lines around a change that a patch of git's form has.
const AROUND: usize = 3;

/// Applies a patch.
pub(super) async fn apply(lane: &Lane, text: &str) -> Result<Answer, Trouble> {
    let patch = text.parse::<Patch>()?.renamed(absolute)?;
    let mut before = BTreeMap::new();
    for path in patch.paths() {
        if !before.contains_key(path) {
            before.insert(path.to_owned(), read(lane, path).await?);
        }
    }
    let outcomes = patch.outcomes(&before)?;
    let (within, elsewhere): (Vec<&Outcome>, Vec<&Outcome>) =
        outcomes.iter().partition(|outcome| in_tree(&outcome.path).is_some());
    let mut text = String::new();
    for outcome in within {
        as_git(&mut text, outcome);
    }
    if !text.is_empty() {
        let directory = PathText::default();
        let apply = |workspace| Apply {
            workspace,
            patch: Some(text),
            patch_file: None,
            directory,
            check: false,
        };
        lane.cell()?.ask(apply).await?;
    }
    for outcome in elsewhere {
        match &outcome.after {
            Some(after) => lane.cell()?.write(&outcome.path, after.clone().into_bytes()).await?,
            None => lane.cell()?.remove(&outcome.path).await?,
        }
    }
    let mut told = "Success. Updated the following files:\n".to_owned();
    for Outcome { path, from, before, after } in &outcomes {
        let letter = match (before, after) {
            (None, _) => 'A',
            (_, None) => 'D',
            _ => 'M',
        };
        let from = from.as_ref().map(|from| format!(" (was {from})"));
        let _ = writeln!(told, "{letter} {path}{}", from.unwrap_or_default());
    }
    Ok(Answer::text(told))
}

/// A path of the guest, with one name for each file of the repository.
fn absolute(path: &str) -> Result<String, Trouble> {
    if path.contains(|c: char| c.is_control()) {
        return Err("a name in a patch has no control characters".into());
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{TREE}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        // Whether that leads back is for the guest's links to say.
        if part == ".." {
            return Err("a name in a patch does not have `..` in it".into());
        }
        parts.push(part);
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Where a file is in the repository.
fn in_tree(path: &str) -> Option<&str> {
    path.strip_prefix(TREE)?.strip_prefix('/')
}

/// What a file holds; none if it is not there.
async fn read(lane: &Lane, path: &str) -> Result<Option<String>, Trouble> {
    let content = match Place::of(path)? {
        Place::Tree(at) => {
            let read = |workspace| file::Read {
                workspace,
                path: at,
                lines: None,
                offset: None,
                max_bytes: FILE_BYTES_MAX,
                allow_secrets: false,
            };
            match lane.cell()?.ask(read).await {
                Ok(read) if read.truncated => {
                    return Err(format!("{path} has more than {FILE_BYTES_MAX} bytes").into());
                }
                Ok(read) => Some(read.content.0),
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            }
        }
        Place::Elsewhere(at) => lane.cell()?.read(&at).await?,
    };
    let text = content.map(String::from_utf8).transpose();
    text.map_err(|_| format!("{path} is no text").into())
}

/// What becomes of a file of the repository, in git's form.
fn as_git(text: &mut String, outcome: &Outcome) {
    let name = |side: &str, path: &str| quoted(side, in_tree(path).unwrap_or_default());
    let (path, from) = (&outcome.path, outcome.from.as_ref().unwrap_or(&outcome.path));
    let _ = writeln!(text, "diff --git {} {}", name("a/", from), name("b/", path));
    if outcome.before.is_none() {
        text.push_str("new file mode 100644\n");
    }
    if outcome.after.is_none() {
        text.push_str("deleted file mode 100644\n");
    }
    if outcome.from.is_some() {
        let _ = writeln!(text, "rename from {}\nrename to {}", name("", from), name("", path));
    }
    let lines = |content: &Option<String>| -> Vec<String> {
        let content = content.as_deref().unwrap_or_default();
        content.split_inclusive('\n').map(str::to_owned).collect()
    };
    let (old, new) = (lines(&outcome.before), lines(&outcome.after));
    if old == new {
        return;
    }
    let side = |side: &str, path: &str, content: &Option<String>| match content {
        Some(_) => name(side, path),
        None => "/dev/null".to_owned(),
    };
    let _ = writeln!(text, "--- {}", side("a/", from, &outcome.before));
    let _ = writeln!(text, "+++ {}", side("b/", path, &outcome.after));
    hunk(text, &old, &new);
}

/// All that differs, as one hunk.
fn hunk(text: &mut String, old: &[String], new: &[String]) {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let rest = old[same..].iter().rev().zip(new[same..].iter().rev());
    let same_end = rest.take_while(|(old, new)| old == new).count();
    let (begin, after) = (same.saturating_sub(AROUND), same_end.min(AROUND));
    let old_end = old.len() - same_end;
    let new_end = new.len() - same_end;
    let range = |end: usize| {
        let count = end + after - begin;
        // Of nothing the line before is named.
        format!("{},{count}", if count == 0 { begin } else { begin + 1 })
    };
    let _ = writeln!(text, "@@ -{} +{} @@", range(old_end), range(new_end));
    let mut put = |mark: char, lines: &[String]| {
        for line in lines {
            text.push(mark);
            text.push_str(line);
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    put(' ', &old[begin..same]);
    put('-', &old[same..old_end]);
    put('+', &new[same..new_end]);
    put(' ', &old[old_end..old_end + after]);
}

/// A name as git quotes it.
fn quoted(side: &str, name: &str) -> String {
    let mut quoted = format!("\"{side}");
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\{byte:03o}");
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// git itself takes what is made.
    #[test]
    fn outcomes_are_told_in_a_form_that_git_takes() {
        type Text = Option<&'static str>;
        let cases: &[(&str, Text, Text, Text)] = &[
            ("new", None, None, Some("a\nb\n")),
            ("empty", None, None, Some("")),
            ("gone", None, Some("a\n"), None),
            ("gone empty", None, Some(""), None),
            ("ü \"quoted\"", None, Some("a\nb"), Some("a\nb\n")),
            ("cut", None, Some("a\nb\n"), Some("a\nb")),
            (
                "middle",
                None,
                Some("1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
                Some("1\n2\n3\n4\nx\n6\n7\n8\n9\n"),
            ),
            ("emptied", None, Some("a\n"), Some("")),
            ("filled", None, Some(""), Some("a\n")),
            ("to/new", Some("from"), Some("a\nb\n"), Some("a\nc\n")),
            ("kept", Some("moved only"), Some("a\n"), Some("a\n")),
        ];
        let scratch = tempfile::tempdir().unwrap();
        let at = |path: &str| scratch.path().join(path);
        let mut text = String::new();
        for (path, from, before, after) in cases {
            if let Some(before) = before {
                std::fs::write(at(from.unwrap_or(path)), before).unwrap();
            }
            let absolute = |path: &str| format!("{TREE}/{path}");
            as_git(
                &mut text,
                &Outcome {
                    path: absolute(path),
                    from: from.map(absolute),
                    before: before.map(str::to_owned),
                    after: after.map(str::to_owned),
                },
            );
        }
        std::fs::write(at("patch"), &text).unwrap();
        let git = std::process::Command::new("git")
            .args(["-c", "safe.directory=*", "apply", "--whitespace=nowarn", "patch"])
            .current_dir(scratch.path())
            .env("GIT_CEILING_DIRECTORIES", scratch.path())
            .output()
            .unwrap();
        assert!(git.status.success(), "{}\n{text}", String::from_utf8_lossy(&git.stderr));
        for (path, from, _, after) in cases {
            let now = std::fs::read_to_string(at(path)).ok();
            assert_eq!(now.as_deref(), *after, "{path}\n{text}");
            assert!(from.is_none_or(|from| !at(from).exists()), "{path}");
        }
    }

    #[test]
    fn a_file_of_the_repository_has_one_name() {
        for path in ["a/b", "./a//b", "/workspace/a/b", "/workspace/./a/b"] {
            assert_eq!(absolute(path).unwrap(), "/workspace/a/b", "{path}");
        }
        assert_eq!(absolute("/packet/STATUS.md").unwrap(), "/packet/STATUS.md");
        for path in ["../a", "/workspace/../etc/passwd", "a\tb"] {
            assert!(absolute(path).is_err(), "{path}");
        }
    }
}
