//! The command-line face: from arguments to an operation and back to a screen.
//!
//! It knows no operation by name: commands, flags, help and output come from
//! the table. What cannot be an operation is listed, with the reason, in its tests.

use std::env;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use batch::Batches;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use operation::{Effect, ErrorKind, OpError, OpSpec, RawCall, Screen, Tell, cli};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use workspace::{Engine, Settings};

use crate::attach;
use crate::mcp;
use crate::smoke;
use crate::terminal::{Mode, Terminal};

/// Whoever carries out every operation of the program: each table has its own.
pub(crate) struct Program {
    engine: Engine,
    batches: Batches,
}

impl Program {
    /// As the environment sets it up.
    fn open() -> Result<Self, OpError> {
        let settings = settings()?;
        let batches = Batches::of(&settings);
        Ok(Self { engine: Engine::open(settings)?, batches })
    }
}

/// All operations of the program, in the order in which they are documented.
fn operations() -> Vec<OpSpec<Program>> {
    let workspaces = workspace_api::operations::<Engine>().into_iter();
    let batches = batch_api::operations::<Batches>().into_iter();
    workspaces
        .map(|row| row.within(|program: &Program| &program.engine))
        .chain(batches.map(|row| row.within(|program: &Program| &program.batches)))
        .collect()
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let table = operations();
    let matches = match command(&table).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match matches.subcommand() {
        Some(("completions", matches)) => {
            let shell: Shell = *matches.get_one("shell").expect("a required argument");
            clap_complete::generate(shell, &mut command(&table), "hotcell", &mut io::stdout());
            ExitCode::SUCCESS
        }
        Some(("mcp", below)) => match below.subcommand() {
            Some(("tools", tools)) => finish_at_once(mcp::tools(tools), &matches),
            _ => waiting(async {
                let until = CancellationToken::new();
                tokio::spawn(cancel_on_signal(until.clone()));
                match mcp::serve(below, until).await {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(&error, OutputForm::Human),
                }
            }),
        },
        Some(("smoke", smoke)) => waiting(work_through(smoke, &matches)),
        Some(("shell", below)) if below.subcommand_name() == Some("attach") => waiting(async {
            let (_, arguments) = below.subcommand().expect("it has just been looked at");
            let attached = match engine() {
                Ok(engine) => attach::run(&engine, arguments).await,
                Err(error) => Err(error),
            };
            attached.unwrap_or_else(|error| fail(&error, OutputForm::Human))
        }),
        _ => waiting(carry_out(&matches, &table)),
    }
}

/// Waits for what has to be waited for.
fn waiting(future: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&OpError::new(ErrorKind::Internal, &error), OutputForm::Human);
        }
    };
    let code = runtime.block_on(future);
    // A read of standard input may still be waiting on a thread of the runtime.
    runtime.shutdown_background();
    code
}

/// The whole command tree.
pub(crate) fn command(table: &[OpSpec<Program>]) -> Command {
    let root = Command::new("hotcell")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Disposable Linux microVMs for coding agents")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("json")
                .long("json")
                .help("Print one JSON result instead of text")
                .help_heading("Global options")
                .global(true)
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("yes")
                .long("yes")
                .help("Do not ask before something is destroyed")
                .help_heading("Global options")
                .global(true)
                .action(ArgAction::SetTrue),
        );
    let nouns = [workspace_api::NOUNS, batch_api::NOUNS].concat();
    let root = cli::augment(root, &nouns, table)
        .mut_subcommand("shell", |shell| shell.subcommand(attach::command()));
    root.subcommand(mcp::command()).subcommand(smoke::command()).subcommand(
        Command::new("completions").about("Print a completion script for a shell").arg(
            Arg::new("shell").help("The shell").required(true).value_parser(value_parser!(Shell)),
        ),
    )
}

/// Prints what was found out without an engine.
fn finish_at_once(outcome: Result<mcp::Tools, OpError>, matches: &ArgMatches) -> ExitCode {
    let form = if matches.get_flag("json") { OutputForm::Json } else { OutputForm::Human };
    let terminal = Terminal::new(Mode::Everything);
    match outcome {
        Ok(tools) => waiting(async { finish(&terminal, &tools, form).await }),
        Err(error) => fail(&error, form),
    }
}

/// Works use cases through.
async fn work_through(smoke: &ArgMatches, matches: &ArgMatches) -> ExitCode {
    let form = if matches.get_flag("json") { OutputForm::Json } else { OutputForm::Human };
    let terminal = Terminal::new(Mode::Everything);
    let cancel = CancellationToken::new();
    let watcher = tokio::spawn(cancel_on_signal(cancel.clone()));
    let worked = match engine() {
        Ok(engine) => smoke::run(&engine, smoke, &terminal, &cancel).await,
        Err(error) => Err(error),
    };
    watcher.abort();
    terminal.end_progress();
    match worked {
        Ok(worked) => finish(&terminal, &worked, form).await,
        Err(error) => fail(&error, form),
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutputForm {
    Human,
    Json,
    /// Nothing but ids.
    Ids,
}

/// The engine, as the environment sets it up.
fn engine() -> Result<Engine, OpError> {
    settings().and_then(Engine::open)
}

fn settings() -> Result<Settings, OpError> {
    env::current_exe()
        .map_err(|error| {
            OpError::new(ErrorKind::Internal, &error).during("cannot find this program's own file")
        })
        .and_then(|program| Settings::from_environment(Some(program)))
}

async fn carry_out(matches: &ArgMatches, table: &[OpSpec<Program>]) -> ExitCode {
    let form = match (matches.get_flag("json"), cli::wants_only_ids(matches)) {
        (true, _) => OutputForm::Json,
        (false, true) => OutputForm::Ids,
        (false, false) => OutputForm::Human,
    };
    let (row, request) = match cli::request(matches, table) {
        Ok(found) => found.expect("clap accepts no command that is not in the table"),
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    if row.effect == Effect::Destroys && !matches.get_flag("yes") && !confirmed(row.name) {
        let error = OpError::plain(ErrorKind::Cancelled, "nothing was done");
        return fail(&error, form);
    }
    let program = match Program::open() {
        Ok(program) => program,
        Err(error) => return fail(&error, form),
    };
    let terminal = Terminal::new(match form {
        OutputForm::Human => Mode::Everything,
        OutputForm::Json => Mode::Json,
        OutputForm::Ids => Mode::ProgressOnly,
    });
    let cancel = CancellationToken::new();
    let watcher = tokio::spawn(cancel_on_signal(cancel.clone()));
    let shown = terminal.clone();
    let stop = cancel.clone();
    let call = RawCall::new(move |event| {
        let screen = shown.take(&*event);
        let (shown, stop) = (shown.clone(), stop.clone());
        async move {
            if shown.print(&screen).await.is_err() {
                // Nobody reads on: as good as a request to stop.
                stop.cancel();
            }
        }
    })
    .with_input(tokio::io::stdin())
    .with_cancel(cancel);
    let outcome = (row.call)(&program, request, call).await;
    watcher.abort();
    terminal.end_progress();
    match outcome {
        Ok(output) => finish(&terminal, &*output, form).await,
        Err(error) => fail(&error, form),
    }
}

async fn finish(terminal: &Terminal, output: &dyn Tell, form: OutputForm) -> ExitCode {
    let mut screen = Screen::default();
    match form {
        OutputForm::Human => output.present(&mut screen),
        OutputForm::Json if terminal.has_lines() => screen.line(output.json().to_string()),
        OutputForm::Json => screen.line(pretty(&output.json())),
        OutputForm::Ids => operation::ids(&output.json()).iter().for_each(|id| screen.line(id)),
    }
    match terminal.print(&screen).await {
        // A reader that has gone away is no failure of ours.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(&OpError::new(ErrorKind::Internal, &error), OutputForm::Human)
        }
        _ => ExitCode::from(output.exit_code()),
    }
}

fn fail(error: &OpError, form: OutputForm) -> ExitCode {
    if form == OutputForm::Json {
        let _ = writeln!(io::stdout(), "{}", pretty(&json!({ "error": error })));
    }
    let _ = write!(anstream::stderr(), "{}", crate::terminal::styled(error));
    ExitCode::from(error.kind.exit_code())
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value is JSON")
}

/// Asks a person, if there is one.
fn confirmed(operation: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    let _ =
        write!(io::stderr(), "`{}` cannot be undone. Go on? [y/N] ", operation.replace('.', " "));
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Cancels at the first signal that asks this process to end.
async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    cancel.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that are no operations, and why.
    const CLI_ONLY: &[(&str, &str)] = &[
        ("shell.attach", "a person's terminal, over the operations on shells"),
        ("completions", "prints a script for a shell; it has no meaning elsewhere"),
        ("mcp.serve", "is a face itself"),
        ("mcp.tools", "describes a face"),
        ("smoke", "tries the face for models, from outside"),
    ];

    #[test]
    fn the_table_keeps_the_rules() {
        let violations = operation::contract::violations(&operations());
        assert!(violations.is_empty(), "{violations:#?}");
    }

    #[test]
    fn whatever_has_an_id_can_be_asked_for_nothing_else() {
        let table = operations();
        let with_ids = table.iter().filter(|row| row.has_ids).map(|row| row.name);
        insta::assert_debug_snapshot!(with_ids.collect::<Vec<_>>());
    }

    #[test]
    fn the_public_surface() {
        let table = operations();
        insta::assert_json_snapshot!(operation::contract::surface(&table));
    }

    #[test]
    fn every_command_is_an_operation_or_has_a_reason_not_to_be() {
        let table = operations();
        for top in command(&table).get_subcommands() {
            let name = top.get_name();
            let verbs: Vec<&str> = top.get_subcommands().map(Command::get_name).collect();
            let names = if verbs.is_empty() {
                vec![name.to_owned()]
            } else {
                verbs.iter().map(|verb| format!("{name}.{verb}")).collect()
            };
            for name in names {
                let known = table.iter().any(|row| row.name == name)
                    || CLI_ONLY.iter().any(|(only, _)| *only == name);
                assert!(known, "{name}");
            }
        }
    }
}
