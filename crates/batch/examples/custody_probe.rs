//! Stands in for the product and for an engine in this crate's tests.
//!
//! - the subcommands of warden and door, as the product has them.
//! - `engine ROOT EPOCH cgroup|namespace SIGNAL STEP SCRIPT COUNT`: begins an epoch
//!   and starts COUNT processes that run SCRIPT with the shell. When the first one
//!   reaches STEP it sends itself SIGNAL. Then it says a line for each process
//!   and waits until its input ends.
//! - `lanes ROOT EPOCH HOLDING PROGRAM COUNT`: begins an epoch, with PROGRAM as warden
//!   and door, and starts COUNT lanes at once, as an engine does. Then it waits.
//! - `measure ROOT HOLDING PROGRAM COUNT`: how long after a SIGKILL of their engine COUNT
//!   lanes are settled, which means proved dead, and how long until as many are held by
//!   the next engine; beside a plain loop that starts as many shells in groups of
//!   their own. Also as lines for programs.
//!
//! HOLDING is `cgroup` or `namespace`, or `detect` for what an engine takes here.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use batch::custody::{
    self, Custodian, DOOR_SUBCOMMAND, Environment, Holding, Limits, Order, WARDEN_SUBCOMMAND,
};
use batch_api::Epoch;
use rustix::process::Signal;
use tokio::task::JoinSet;
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
            told(engine(root, epoch, holding, script, count))
        }
        ["lanes", root, epoch, holding, program, count] => {
            told(lanes(Path::new(root), epoch, holding, program, count))
        }
        ["measure", root, holding, program, count] => {
            told(measure(Path::new(root), holding, program, count))
        }
        _ => ExitCode::FAILURE,
    }
}

fn told(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(root: &Path, holding: &str, program: &str, count: &str) -> Result<(), Box<dyn Error>> {
    let number: u32 = count.parse()?;
    let floor = floor(held_by(holding, root)?, number)?;
    let engine = |epoch: &str| {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("lanes")
            .arg(root)
            .args([epoch, holding, program, count])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        Ok::<_, Box<dyn Error>>((child, BufReader::new(output).lines()))
    };
    let (mut first, mut said) = engine("1")?;
    let start = Instant::now();
    while said.next().ok_or("it ended")?? != "ready" {}
    say(&format!("{count} lanes started in {:?}", start.elapsed()));
    let before = custody::list(root)?;
    first.kill()?;
    let start = Instant::now();
    let (mut second, mut said) = engine("2")?;
    let settled = said.next().ok_or("it ended")??;
    let took = [start.elapsed(), {
        while said.next().ok_or("it ended")?? != "ready" {}
        start.elapsed()
    }];
    say(&format!("{settled} in {:?} after SIGKILL of their engine", took[0]));
    let after = custody::list(root)?;
    let of_second = after.iter().filter(|one| one.epoch == Epoch(2) && one.abandonment.is_none());
    let living = of_second.filter(|one| one.processes.len() > 1).count();
    let left = before.iter().flat_map(|one| &one.processes);
    let left = left.filter(|pid| after.iter().any(|one| one.processes.contains(pid))).count();
    if (before.len(), living, left) != (usize::try_from(number)?, usize::try_from(number)?, 0) {
        let before = before.len();
        return Err(format!("{before} lanes before, {living} after, {left} of before").into());
    }
    let [settled, back] = took.map(|took| took.as_secs_f64() * 1000.0);
    let floor = floor.as_secs_f64() * 1000.0;
    say(&format!("{count} lanes settled after a kill\t{settled:.3}\tms"));
    say(&format!("{count} lanes back after a kill\t{back:.3}\tms\t{floor:.3}"));
    second.kill()?;
    first.wait()?;
    second.wait()?;
    custody::end_orphans(root)?;
    Ok(())
}

/// How long as many shells take to run in groups of their own, begun one after the other
/// and waited for together, without anybody who would know of them.
fn floor(holding: Holding, count: u32) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let mut all = Vec::new();
    for number in 0..count {
        let mut command = match &holding {
            Holding::Cgroup { parent } => {
                let group = parent.join(format!("0.plain-{number}"));
                fs::create_dir(&group)?;
                let enter = format!("echo 0 > {}/cgroup.procs; exec \"$@\"", group.display());
                let mut command = Command::new("/bin/sh");
                command.args(["-c", &enter, "enter"]);
                command
            }
            Holding::Namespace { unshare } => {
                let mut command = Command::new(unshare);
                command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
                command
            }
        };
        let script = format!("echo; {TWO_PROCESSES}");
        command.args(["/bin/sh", "-c", &script]).stdout(Stdio::piped());
        all.push(command.spawn()?);
    }
    for child in &mut all {
        child.stdout.as_mut().ok_or("no output")?.read_exact(&mut [0])?;
    }
    let took = start.elapsed();
    for mut child in all {
        child.kill()?;
        child.wait()?;
    }
    if let Holding::Cgroup { parent } = &holding {
        for number in 0..count {
            let group = parent.join(format!("0.plain-{number}"));
            fs::write(group.join("cgroup.kill"), "1")?;
            while fs::remove_dir(&group).is_err() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    Ok(took)
}

fn held_by(holding: &str, root: &Path) -> Result<Holding, Box<dyn Error>> {
    Ok(match holding {
        "cgroup" => Holding::cgroups(root)?,
        "namespace" => Holding::namespaces(SEARCH_PATH)?,
        _ => Holding::detect(root, SEARCH_PATH)?,
    })
}

fn lanes(
    root: &Path,
    epoch: &str,
    holding: &str,
    program: &str,
    count: &str,
) -> Result<(), Box<dyn Error>> {
    let holding = held_by(holding, root)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let epoch = Epoch(epoch.parse()?);
        let (custodian, settled) = Custodian::begin(root, epoch, holding, program.into()).await?;
        say(&format!("settled {}", settled.len()));
        let custodian = Arc::new(custodian);
        let mut starting = JoinSet::new();
        for number in 0..count.parse::<u32>()? {
            let (custodian, order) = (Arc::clone(&custodian), order(root, number, TWO_PROCESSES)?);
            starting.spawn(async move { custodian.start(order).await });
        }
        let mut all = Vec::new();
        while let Some(started) = starting.join_next().await {
            all.push(started??);
        }
        say("ready");
        tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
        Ok(())
    })
}

fn engine(
    root: &str,
    epoch: &str,
    holding: &str,
    script: &str,
    count: &str,
) -> Result<(), Box<dyn Error>> {
    let root = Path::new(root);
    let holding = held_by(holding, root)?;
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
