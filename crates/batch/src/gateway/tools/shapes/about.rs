//! What a model is told of a tool that other families have under other names.

/// Of a shell. The name of the tool that shows a command that runs on is in it.
macro_rules! bash {
    ($look:literal) => {
        concat!(
            "Runs a bash command in your own Linux machine, as root, in /workspace. Returns its \
             output when it ends, or after 25 seconds (sooner if a message waits for you) with \
             the id of a background command, which runs on: ",
            $look,
            " shows it. Variables and directories do not carry over to the next call."
        )
    };
}
pub(super) use bash;

pub(super) const OUTPUT: &str = "Shows what a background command has written so far, its beginning and its end, \
                                 and whether it still runs.";

pub(super) const KILL: &str = "Kills a background command and all that it started.";

pub(super) const READ: &str = "Reads a file of your machine with line numbers, 2000 lines unless you ask for \
                               others. Images (PNG, JPEG, GIF, WebP) are shown to you.";

pub(super) const WRITE: &str = "Writes a whole file of your machine, replacing one that is there.";

pub(super) const EDIT: &str = "Replaces a text in a file of your machine. It has to occur exactly once, unless \
                               all of its occurrences are to be replaced.";

pub(super) const GLOB: &str = "Lists the files of the repository whose names match a pattern. What .gitignore \
                               names is left out.";
