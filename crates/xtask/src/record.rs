//! `record`: a terminal session, recorded as a picture that moves.
//!
//! Commands are run for real, one after the other, and each line of output is
//! kept with the moment at which it came. The picture is an SVG whose lines
//! appear at those moments; a viewer that does not animate shows them all. So
//! what the documentation shows is what happened, in the time that it took.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, ensure};

use crate::programs::{self, Profile};

/// How long a command stands there before it is run, as if somebody typed it.
const TYPING: Duration = Duration::from_millis(700);

/// Size of a line and of a character, and the margin, in pixels.
const LINE: u32 = 20;
const CHARACTER: u32 = 8;
const MARGIN: u32 = 18;

/// Longest line, in characters; what is longer is cut.
const WIDTH_MAX: usize = 100;

/// Record a terminal session as an animated picture
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the picture goes
    #[arg(long, default_value = "docs/pictures/first-run.svg")]
    output: PathBuf,
    /// How the program is built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Commands to run, each a line for bash; `hotcell` is the one built here
    #[arg(default_values = ["hotcell run debian:12 -- git --version", "hotcell smoke repro-fix"])]
    commands: Vec<String>,
}

/// A line, and when it appeared.
struct Shown {
    at: Duration,
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Output,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let program = programs::hotcell(options.profile)?;
    let directory = program.parent().context("a program lies in a directory")?;
    let mut path = OsString::from(directory);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut shown = Vec::new();
    let mut clock = Duration::ZERO;
    for command in &options.commands {
        shown.push(Shown { at: clock, text: format!("$ {command}"), kind: Kind::Command });
        clock += TYPING;
        let began = clock;
        for (after, text) in output_of(command, &path)? {
            clock = began + after;
            shown.push(Shown { at: clock, text, kind: Kind::Output });
        }
        clock += TYPING;
    }
    let output = programs::root().join(&options.output);
    fs::write(&output, picture(&shown))
        .with_context(|| format!("cannot write {}", output.display()))?;
    println!("{} lines in {:.1} s: {}", shown.len(), clock.as_secs_f64(), output.display());
    Ok(())
}

/// Runs a command; its lines, and how long after its start each came.
fn output_of(command: &str, path: &OsString) -> Result<Vec<(Duration, String)>> {
    let began = Instant::now();
    let mut child = Command::new("bash")
        .args(["-c", command])
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start bash")?;
    let (sender, lines) = mpsc::channel();
    let readers: [Box<dyn BufRead + Send>; 2] = [
        Box::new(BufReader::new(child.stdout.take().context("it has no output")?)),
        Box::new(BufReader::new(child.stderr.take().context("it has no errors")?)),
    ];
    for reader in readers {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let _ = sender.send((began.elapsed(), line));
            }
        });
    }
    drop(sender);
    let lines = lines.iter().collect();
    ensure!(child.wait()?.success(), "`{command}` failed");
    Ok(lines)
}

fn picture(shown: &[Shown]) -> String {
    let longest = shown.iter().map(|line| line.text.chars().count().min(WIDTH_MAX)).max();
    let width = u32::try_from(longest.unwrap_or_default()).unwrap_or(0) * CHARACTER + 2 * MARGIN;
    let height = u32::try_from(shown.len()).unwrap_or(0) * LINE + 2 * MARGIN + LINE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, monospace\" font-size=\"13\" role=\"img\" \
         aria-label=\"A recorded terminal session\">\n<style>\n\
         rect{{fill:#16191d}} text{{fill:#cdd3da;white-space:pre}} .command{{fill:#f2b28c;font-weight:600}}\n\
         @keyframes shown{{from{{opacity:0}}to{{opacity:1}}}}\n\
         .line{{animation:shown 60ms linear both}}\n</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"10\"/>\n"
    );
    for (index, Shown { at, text, kind }) in shown.iter().enumerate() {
        let y = MARGIN + LINE * (u32::try_from(index).unwrap_or(0) + 1);
        let class = if *kind == Kind::Command { "line command" } else { "line" };
        let text: String = text.chars().take(WIDTH_MAX).collect();
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let delay = at.as_millis();
        writeln!(
            svg,
            "<text class=\"{class}\" style=\"animation-delay:{delay}ms\" x=\"{MARGIN}\" y=\"{y}\" \
             xml:space=\"preserve\">{text}</text>"
        )
        .expect("writing to a string cannot fail");
    }
    svg.push_str("</svg>\n");
    svg
}
