//! The documentation is true: what its console blocks show is what happens.
//!
//! The lines of a page that begin with `$` are run in order by one shell, in the
//! checkout of a real project, with a home of their own. Each has to succeed, and the
//! lines that follow it have to be among what it writes, in that order; `…` stands for
//! anything within a line.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::*;

/// Commands that are shown but not run here, and where they are tried instead.
const TRIED_ELSEWHERE: &[(&str, &str)] = &[
    ("./setup", "what continuous integration begins with"),
    ("./check", "what runs this test"),
    ("hotcell smoke", "`smoke::*`"),
    ("hotcell shell attach", "`attaching::*`, with a terminal"),
    ("hotcell mcp serve ", "`mcp::*`"),
    ("hotcell host ", "`chat_hosts::*`, with the hosts themselves"),
];

/// Ends the output of a command; followed by its exit code.
const END: &str = "\u{1e}END";

/// A command of a page, and what is shown of its output.
struct Shown {
    command: String,
    output: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The commands of a page, in order.
fn commands(page: &Path) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut is_console = false;
    for line in fs::read_to_string(page).unwrap().lines() {
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            commands.push(Shown { command: command.to_owned(), output: Vec::new() });
        } else if is_console {
            let message = format!("{}: output without a command: {line}", page.display());
            commands.last_mut().expect(&message).output.push(line.to_owned());
        }
    }
    commands
        .retain(|shown| !TRIED_ELSEWHERE.iter().any(|(tried, _)| shown.command.starts_with(tried)));
    commands
}

/// Whether a line is what the documentation shows.
fn fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    if parts.is_empty() {
        return rest.is_empty();
    }
    for part in &parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.is_empty() || parts.last().is_some_and(|last| last.is_empty() || line.ends_with(last))
}

fn follow(page: &str) {
    prepared(BUILD_ENVIRONMENT);
    let at = tempfile::tempdir().unwrap();
    let home = sharing_home(at.path(), &["environments", "kernels", "initrds", "templates"]);
    let project = recipes::REPRO_FIX.project.check_out(at.path()).unwrap();
    let shown = commands(&root().join(page));
    let mut script = String::new();
    for Shown { command, .. } in &shown {
        writeln!(script, "{command}\nprintf '\\n%s %s\\n' '{END}' $?").unwrap();
    }
    let tools = program().parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(&project)
        .env("HOTCELL_HOME", &home)
        .env("PATH", format!("{tools}:{path}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = text(&output.stdout);
    let mut told = told.split(END);
    let mut wrong = String::new();
    for (index, Shown { command, output }) in shown.iter().enumerate() {
        let all = told.next().unwrap_or_default();
        // Behind the mark stands the exit code of the command before.
        let written = if index == 0 { all } else { all.split_once('\n').map_or("", |it| it.1) };
        let mut lines = written.lines();
        for line in output {
            if !lines.any(|written| fits(line, written)) {
                writeln!(wrong, "$ {command}\nshould have written `{line}`, but wrote:\n{written}")
                    .unwrap();
                break;
            }
        }
        let code = told.clone().next().and_then(|next| next.trim_start().lines().next());
        if code != Some("0") {
            writeln!(wrong, "$ {command}\nended with {code:?} after it wrote:\n{written}").unwrap();
        }
    }
    assert_eq!(wrong, "", "{page}");
}

#[test]
fn the_tour_can_be_followed() {
    follow("docs/tour.md");
}

#[test]
fn what_the_readme_and_the_guides_show_is_so() {
    for page in fs::read_dir(root().join("docs")).unwrap() {
        let page = page.unwrap().path();
        let is_page = page.extension().is_some_and(|extension| extension == "md");
        if is_page && !page.ends_with("tour.md") && !commands(&page).is_empty() {
            follow(page.strip_prefix(root()).unwrap().to_str().unwrap());
        }
    }
    follow("README.md");
}

#[test]
fn what_fits_a_shown_line() {
    assert!(fits("git version 2.39.5", "git version 2.39.5"));
    assert!(!fits("git version", "git version 2.39.5"));
    assert!(fits("… demo …", "ws_1  demo  running"));
    assert!(fits("State  hibernated …", "State  hibernated (somebody asked)"));
    assert!(fits("… 200 -", "GET / 200 -"));
    assert!(!fits("… 200 -", "GET / 404 -"));
}
