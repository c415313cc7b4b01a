//! Works use cases through, as a chat host would.
//!
//! ```text
//! prepare ─▶ check the project out ─▶ start `mcp serve` in its mode ─▶ call … call
//!   └─ engine of this process          └──── another process of this program ────┘
//! ```
//!
//! Each step's answer is checked. A recipe deletes its own workspaces; if a step
//! fails, or somebody interrupts, they stay to be looked at, and the error says
//! which they are.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::time::Instant;

use clap::{Arg, ArgMatches, Command};
use mcp::{Client, Outcome, ToolAnswer};
use operation::{Call, ErrorKind, Handler as _, OpError, Present, Screen};
use recipes::{Answer, Recipe, Unexpected, Walk};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use workspace::Engine;
use workspace_api::prepare::Prepare;
use workspace_api::spec::Shape;

use crate::terminal::Terminal;

/// What stands for all recipes.
const ALL: &str = "all";

/// `smoke`.
pub(crate) fn command() -> Command {
    let names = recipes::RECIPES.iter().map(|recipe| recipe.name).chain([ALL]);
    let mut about = String::from(
        "Work use cases through on real projects, to see that everything works here\n\n\
         Does what a chat host does: starts the server of tools in the use case's mode, calls its \
         tools in real microVMs, and checks each answer. What is missing is prepared first. \
         Workspaces are deleted at the end; of a use case that fails they are kept.\n\n\
         Use cases:\n",
    );
    for recipe in recipes::RECIPES {
        let _ = writeln!(about, "  {:<12} {}", recipe.name, recipe.title);
    }
    Command::new("smoke")
        .about("Work use cases through on real projects, to see that everything works here")
        .long_about(about)
        .arg(
            Arg::new("name")
                .value_name("USE_CASE")
                .help("Which one")
                .value_parser(names.collect::<Vec<_>>())
                .default_value(ALL),
        )
}

/// What was worked through.
#[derive(Debug, Serialize)]
pub(crate) struct Worked {
    /// The use cases, in order.
    use_cases: Vec<UseCase>,
}

/// A use case that was worked through to its end.
#[derive(Debug, Serialize)]
struct UseCase {
    name: &'static str,
    title: &'static str,
    mode: &'static str,
    /// What it took in all, in milliseconds.
    duration_ms: u64,
    steps: Vec<Step>,
}

/// A step whose answer was as it should be.
#[derive(Debug, Serialize)]
struct Step {
    about: &'static str,
    tool: &'static str,
    /// What the call took, in milliseconds.
    duration_ms: u64,
}

impl Present for Worked {
    fn present(&self, screen: &mut Screen) {
        for UseCase { name, duration_ms, steps, .. } in &self.use_cases {
            screen.line(format!(
                "{name:<12} ok  {:>3} steps {}",
                steps.len(),
                Seconds(*duration_ms)
            ));
        }
    }
}

/// Milliseconds, shown as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}.{:02} s", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// Works through what was asked for.
pub(crate) async fn run(
    engine: &Engine,
    matches: &ArgMatches,
    terminal: &Terminal,
    cancel: &CancellationToken,
) -> Result<Worked, OpError> {
    let name = matches.get_one::<String>("name").expect("an argument with a default");
    let chosen = recipes::RECIPES.iter().filter(|recipe| name == ALL || name == recipe.name);
    let mut use_cases = Vec::new();
    for recipe in chosen {
        prepare(engine, recipe, terminal, cancel).await?;
        let mut walk = Walk::new(recipe);
        let worked = tokio::select! {
            worked = work_through(recipe, &mut walk, terminal) => worked,
            () = cancel.cancelled() => Err(OpError::plain(ErrorKind::Cancelled, "interrupted")),
        };
        use_cases.push(worked.map_err(|error| {
            let during = format!("the use case `{}` did not work", recipe.name);
            walk.workspaces().fold(error.during(during), |error, workspace| {
                error.hinted(format!(
                    "the workspace was kept: `hotcell workspace logs {workspace}`, and when you \
                     are done `hotcell workspace delete {workspace}`"
                ))
            })
        })?);
    }
    Ok(Worked { use_cases })
}

async fn prepare(
    engine: &Engine,
    recipe: &Recipe,
    terminal: &Terminal,
    cancel: &CancellationToken,
) -> Result<(), OpError> {
    let environment = recipe.environment.parse().map_err(|error| {
        OpError::new(ErrorKind::Internal, &error).during("a recipe names no environment")
    })?;
    let shown = terminal.clone();
    let call = Call::new(move |event| {
        // Progress draws itself, and nothing else is told on the way.
        let _ = shown.take(&event);
        async {}
    });
    let request = Prepare { environment, shape: Shape::default(), force: false };
    engine.handle(request, &mut call.with_cancel(cancel.clone())).await?;
    terminal.end_progress();
    Ok(())
}

async fn work_through(
    recipe: &'static Recipe,
    walk: &mut Walk,
    terminal: &Terminal,
) -> Result<UseCase, OpError> {
    let internal = |error: &dyn std::error::Error| OpError::new(ErrorKind::Internal, error);
    let directory = tempfile::tempdir()
        .map_err(|error| internal(&error).during("cannot make a directory for a project"))?;
    let checkout = recipe.project.check_out(directory.path()).map_err(|error| internal(&error))?;
    let program = env::current_exe()
        .map_err(|error| internal(&error).during("cannot find this program's own file"))?;
    let mut arguments: Vec<OsString> =
        ["mcp", "serve", "--mode", recipe.mode, "--project-path"].map(OsString::from).into();
    arguments.push(checkout.into());
    let began = Instant::now();
    let client = Client::start(&program, &arguments).await.map_err(|error| internal(&error))?;
    say(terminal, format!("{}: {}", recipe.name, recipe.title)).await;
    let mut steps = Vec::new();
    while let Some(call) = walk.call() {
        let called = Instant::now();
        let answer = client.call(call.tool, call.arguments).await;
        let answer = answer.map_err(|error| internal(&error))?;
        walk.answered(&told(answer)).map_err(|error: Unexpected| internal(&error))?;
        let duration_ms = milliseconds_since(called);
        let (about, tool) = (call.about, call.tool);
        say(terminal, format!("{}  {tool:<17} {about}", Seconds(duration_ms))).await;
        steps.push(Step { about, tool, duration_ms });
    }
    client.end().await;
    let duration_ms = milliseconds_since(began);
    Ok(UseCase { name: recipe.name, title: recipe.title, mode: recipe.mode, duration_ms, steps })
}

fn told(answer: ToolAnswer) -> Answer {
    match answer.outcome {
        Outcome::Done => Answer::Done(answer.text),
        Outcome::Failed => Answer::Failed(answer.text),
    }
}

fn milliseconds_since(then: Instant) -> u64 {
    u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Tells people how far it is: on standard error, as the result is what counts.
async fn say(terminal: &Terminal, line: String) {
    let mut screen = Screen::default();
    screen.note(line);
    // Who does not read is not in the way of the work.
    let _ = terminal.print(&screen).await;
}
