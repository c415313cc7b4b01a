//! What a file's three states mean for the host.
//!
//! ```text
//!            workspace
//!          ┌───────────┐ = host ──▶ same
//! baseline ┤           │
//!          └───────────┘ baseline = host ──▶ taken
//!              host      three texts ──▶ merged, or conflict
//!                        anything else ──▶ conflict
//! ```
//!
//! Nothing here does I/O. Whether a file is executable is merged by itself, as it
//! is one bit: if only one side changed it, that side's is taken.

use file_tree::TreePath;

/// Largest file that is merged, in bytes: three of them are held in memory.
pub(crate) const MERGED_MAX: u64 = 16 * 1024 * 1024;

/// How much of a file is looked at to tell whether it is text, in bytes, as git does.
const TEXT_BYTES: usize = 8000;

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        content: Content,
        /// Whether its owner may execute it: all that git knows of modes.
        executable: bool,
    },
    /// A symbolic link that points to these bytes.
    Symlink(Vec<u8>),
    /// A directory.
    Directory,
    /// Something that lies behind a symbolic link, a pipe, a device, or what
    /// cannot be read; why it cannot be dealt with.
    Unknown(&'static str),
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// These bytes.
    Known(Vec<u8>),
    /// More than is held in memory: what git calls it.
    Large([u8; 20]),
}

/// What is to be done with a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The host has it already.
    Same,
    /// The workspace's state is taken over, but a file may be executable only if
    /// this says so.
    Take { executable: bool },
    /// The texts have to be merged.
    Merge { executable: bool },
    /// Both exclude each other, and why.
    Conflict(&'static str),
}

/// Judges one place.
pub(crate) fn decide(baseline: &State, workspace: &State, host: &State) -> Decision {
    if let State::Unknown(why) = host {
        return Decision::Conflict(why);
    }
    if let (State::Unknown(why), _) | (_, State::Unknown(why)) = (workspace, baseline) {
        return Decision::Conflict(why);
    }
    if workspace == host {
        return Decision::Same;
    }
    match (baseline, workspace, host) {
        (_, _, State::Directory) => Decision::Conflict("the host has a directory there"),
        _ if baseline == host => Decision::Take { executable: is_executable(workspace) },
        (_, State::Directory, _) => Decision::Conflict("the workspace has a directory there"),
        (_, State::Nothing, _) => {
            Decision::Conflict("it was deleted in the workspace and changed on the host")
        }
        (State::Nothing, _, _) => Decision::Conflict("both have made it, with different contents"),
        (_, _, State::Nothing) => {
            Decision::Conflict("it was changed in the workspace and deleted on the host")
        }
        (
            State::File { content: old, executable: was },
            State::File { content: theirs, executable: theirs_is },
            State::File { content: ours, executable: ours_is },
        ) => {
            // One bit: if it differs from what it was, somebody changed it.
            let executable = if theirs_is == was { *ours_is } else { *theirs_is };
            merge(old, theirs, ours, executable)
        }
        _ => Decision::Conflict("both have changed it, and not only its text"),
    }
}

fn merge(old: &Content, theirs: &Content, ours: &Content, executable: bool) -> Decision {
    if old == ours {
        return Decision::Take { executable };
    }
    let (Content::Known(one), Content::Known(two), Content::Known(three)) = (old, theirs, ours)
    else {
        return Decision::Conflict("both have changed it, and it is too large to be merged");
    };
    if [one, two, three].into_iter().any(|content| is_data(content)) {
        return Decision::Conflict("both have changed it, and it is no text");
    }
    Decision::Merge { executable }
}

const fn is_executable(state: &State) -> bool {
    matches!(state, State::File { executable: true, .. })
}

/// Whether a content is data rather than text, as git judges.
fn is_data(content: &[u8]) -> bool {
    content[..content.len().min(TEXT_BYTES)].contains(&0)
}

/// Why a path may never be written, whatever is there.
pub(crate) fn forbidden(path: &TreePath) -> Option<&'static str> {
    if path.is_root() {
        return Some("it is the checkout itself");
    }
    // `git~1` is what some file systems call `.git` besides.
    let is_git =
        |name: &[u8]| name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1");
    if path.names().any(is_git) {
        return Some("it is git's own");
    }
    let is_ours = path.names().next().is_some_and(|name| name.starts_with(super::journal::STAGING));
    is_ours.then_some("it is hotcell's own")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &str, executable: bool) -> State {
        State::File { content: Content::Known(text.as_bytes().to_vec()), executable }
    }

    #[test]
    fn what_the_host_left_alone_is_taken_and_what_it_has_is_not() {
        let (old, new) = (file("old", false), file("new", true));
        let taken = |executable| Decision::Take { executable };
        assert_eq!(decide(&old, &new, &old), taken(true));
        assert_eq!(decide(&old, &State::Nothing, &old), taken(false));
        assert_eq!(decide(&State::Nothing, &new, &State::Nothing), taken(true));
        assert_eq!(decide(&old, &new, &new), Decision::Same);
        assert_eq!(decide(&old, &State::Nothing, &State::Nothing), Decision::Same);
        let merged = Decision::Merge { executable: true };
        assert_eq!(decide(&old, &new, &file("ours", false)), merged);
        // The host made it executable, the workspace changed its text.
        assert_eq!(decide(&old, &file("new", false), &file("old", true)), taken(true));
        for (workspace, host) in [
            (&State::Nothing, file("ours", false)),
            (&new, State::Nothing),
            (&new, State::Directory),
            (&new, State::Symlink(b"x".to_vec())),
            (&new, file("\0", false)),
            (&new, State::Unknown("it lies behind a symbolic link")),
        ] {
            let decision = decide(&old, workspace, &host);
            assert!(matches!(decision, Decision::Conflict(_)), "{workspace:?} {host:?}");
        }
    }

    #[test]
    fn gits_own_is_never_written_in_any_case() {
        for path in [".git", ".GIT/hooks/x", "sub/.Git", "a/git~1/config", ".hotcell-apply-1/0"] {
            assert!(forbidden(&TreePath::parse(path.as_bytes()).unwrap()).is_some(), "{path}");
        }
        assert_eq!(forbidden(&TreePath::parse(b".gitignore").unwrap()), None);
    }

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![
            Just(State::Nothing),
            ("[ab]{0,2}", any::<bool>()).prop_map(|(text, executable)| file(&text, executable)),
            "[ab]{1,2}".prop_map(|target| State::Symlink(target.into_bytes())),
            Just(State::Directory),
        ]
    }

    proptest! {
        #[test]
        fn a_change_of_the_host_is_never_taken_away(
            baseline in state(), workspace in state(), host in state(),
        ) {
            match decide(&baseline, &workspace, &host) {
                Decision::Same => prop_assert_eq!(workspace, host),
                // Only the bit may differ from what the host had at first.
                Decision::Take { .. } => match (&baseline, &host) {
                    (State::File { content: old, .. }, State::File { content: ours, .. }) => {
                        prop_assert_eq!(old, ours);
                    }
                    _ => prop_assert_eq!(baseline, host),
                },
                Decision::Merge { .. } => prop_assert_ne!(&baseline, &host),
                Decision::Conflict(_) => {
                    prop_assert!(baseline != host || host == State::Directory);
                }
            }
        }
    }
}
