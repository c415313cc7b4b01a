//! Stands in for the product and for an engine in this crate's tests.
//!
//! - the subcommands of warden and door, as the product has them.
//! - `engine ROOT EPOCH cgroup|namespace SIGNAL STEP SCRIPT COUNT`: begins an epoch
//!   and starts COUNT processes that run SCRIPT with the shell. When the first one
//!   reaches STEP it sends itself SIGNAL. Then it says a line for each process
//!   and waits until its input ends.
//! - `measure ROOT cgroup|namespace COUNT`: how long COUNT lanes take to start, and
//!   how long the next engine takes to have them in custody after a SIGKILL; also as
//!   a line for programs.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use batch::custody::{
    self, Custodian, DOOR_SUBCOMMAND, Environment, Holding, Limits, Order, WARDEN_SUBCOMMAND,
};
use batch_api::Epoch;
use rustix::process::Signal;
use tracing_subscriber::EnvFilter;

/// What a lane of a measurement runs.
const TWO_PROCESSES: &str = "sleep 600 & sleep 600";

/// Where `unshare` and the shell's programs are.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [WARDEN_SUBCOMMAND, ..] => custody::run_warden(),
        [DOOR_SUBCOMMAND, ..] => custody::run_door(),
        ["engine", root, epoch, holding, signal, step, script, count] => {
            let signal = match *signal {
                "kill" => Signal::KILL,
                _ => Signal::STOP,
            };
            send_oneself_at(step, signal);
            match engine(root, epoch, holding, script, count) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    say(&format!("failed: {error}"));
                    ExitCode::FAILURE
                }
            }
        }
        ["measure", root, holding, count] => match measure(root, holding, count) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("failed: {error}"));
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::FAILURE,
    }
}

fn measure(root: &str, holding: &str, count: &str) -> Result<(), Box<dyn Error>> {
    let engine = |epoch: &str, count: &str| {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["engine", root, epoch, holding, "kill", "never", TWO_PROCESSES, count])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        Ok::<_, Box<dyn Error>>((child, BufReader::new(output).lines()))
    };
    let start = Instant::now();
    let (mut first, mut said) = engine("1", count)?;
    while said.next().ok_or("it ended")?? != "ready" {}
    say(&format!("{count} lanes started in {:?}", start.elapsed()));
    first.kill()?;
    let start = Instant::now();
    let (mut second, mut said) = engine("2", "0")?;
    let settled = said.next().ok_or("it ended")??;
    let took = start.elapsed();
    say(&format!("{settled} in {took:?} after SIGKILL of their engine"));
    let took_ms = took.as_secs_f64() * 1000.0;
    say(&format!("{count} lanes settled after a kill\t{took_ms:.3}\tms"));
    second.kill()?;
    first.wait()?;
    second.wait()?;
    Ok(())
}

fn engine(
    root: &str,
    epoch: &str,
    holding: &str,
    script: &str,
    count: &str,
) -> Result<(), Box<dyn Error>> {
    let root = Path::new(root);
    let holding = match holding {
        "cgroup" => Holding::cgroups(root)?,
        _ => Holding::namespaces(SEARCH_PATH)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let epoch = Epoch(epoch.parse()?);
        let program = std::env::current_exe()?;
        let (custodian, settled) = Custodian::begin(root, epoch, holding, program).await?;
        say(&format!("settled {}", settled.len()));
        let mut all = Vec::new();
        for number in 0..count.parse::<u32>()? {
            match custodian.start(order(root, number, script)?).await {
                Ok(held) => {
                    say(&format!("started {number}"));
                    all.push(held);
                }
                Err(error) => say(&format!("refused {number}: {error}")),
            }
        }
        say("ready");
        let mut input = String::new();
        io::stdin().read_line(&mut input)?;
        for held in &mut all {
            match held.wait().await {
                Ok(outcome) => say(&format!("ended {:?}", outcome.status)),
                Err(error) => say(&format!("not ended: {error}")),
            }
        }
        Ok(())
    })
}

fn order(root: &Path, number: u32, script: &str) -> Result<Order, Box<dyn Error>> {
    let mut environment = Environment::empty();
    environment.set("PATH", SEARCH_PATH)?;
    Ok(Order {
        key: format!("lane-{number}").parse()?,
        label: format!("lane {number} of a test").parse()?,
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment,
        directory: "/".into(),
        limits: Limits::default(),
        stderr: root.with_extension(format!("stderr-{number}")),
    })
}

/// The engine's log tells how far it is; so it is ended or stopped right there.
fn send_oneself_at(step: &str, signal: Signal) {
    let mark = format!("step=\"{step}\"");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("batch=debug"))
        .with_ansi(false)
        .with_writer(move || At { mark: mark.clone(), signal })
        .init();
}

struct At {
    mark: String,
    signal: Signal,
}

impl Write for At {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if String::from_utf8_lossy(bytes).contains(&self.mark) {
            rustix::process::kill_process(rustix::process::getpid(), self.signal)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn say(line: &str) {
    let mut output = io::stdout();
    // Nobody may be listening any more.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
