//! Stands in for a monitor and for its keeper in this crate's tests.
//!
//! - `stage`: the launching stage, as the product's hidden subcommand.
//! - `probe REPORT_FD FORBIDDEN_FILE PARENT_PID`: tries what a hostile monitor
//!   would and writes the results to the descriptor as JSON.
//! - `sleep`: a monitor that does nothing.
//! - `keeper PID_FILE`: launches `sleep`, writes its process id, and waits.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use machine::launcher::{self, Descriptors, LaunchPlan, Launcher, Limits, UidPolicy};
use rustix::process::{Pid, Resource};
use serde_json::{Value, json};

/// How long the idle roles idle, in seconds; tests end them long before.
const IDLE_S: u64 = 120;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stage"] => match launcher::run()? {},
        ["probe", report, forbidden, parent] => probe(report, forbidden, parent.parse()?),
        ["sleep"] => {
            std::thread::sleep(Duration::from_secs(IDLE_S));
            Ok(())
        }
        ["keeper", pid_file] => keeper(pid_file),
        _ => Err("unknown role".into()),
    }
}

fn probe(report: &str, forbidden: &str, parent: i32) -> Result<(), Box<dyn Error>> {
    let report = format!("/proc/self/fd/{report}");
    // Its own file can be read and written; what it held is reported back.
    let found = fs::read_to_string(&report)?;
    let mut file = OpenOptions::new().write(true).truncate(true).open(&report)?;
    let parent_pid = Pid::from_raw(parent).ok_or("no parent")?;
    let parent_memory = OpenOptions::new().write(true).open(format!("/proc/{parent}/mem"));
    let results = json!({
        "found": found,
        "uid": rustix::process::getuid().as_raw(),
        "groups": rustix::process::getgroups()?.len(),
        "no-new-privs": rustix::thread::no_new_privs()?,
        "own-session": rustix::process::getsid(None)? == rustix::process::getpid(),
        "environment": std::env::vars_os().count(),
        "core-limit": rustix::process::getrlimit(Resource::Core).maximum,
        "descriptors": descriptors()?,
        "read-shadow": outcome(fs::read("/etc/shadow")),
        "read-passwd": outcome(fs::read("/etc/passwd")),
        "read-forbidden": outcome(fs::read(forbidden)),
        "list-root": outcome(fs::read_dir("/")),
        "create-in-tmp": outcome(File::create("/tmp/hotcell-confinement-probe")),
        "inet-socket": outcome(TcpListener::bind("127.0.0.1:0")),
        "unix-socket": outcome(UnixStream::connect("/run/nothing")),
        "execute": outcome(Command::new("/bin/true").status()),
        "signal-parent": outcome(rustix::process::test_kill_process(parent_pid)),
        "write-parent-memory": outcome(parent_memory),
        "steal-descriptor": outcome(steal_descriptor(parent_pid)),
    });
    serde_json::to_writer(&mut file, &results)?;
    Ok(())
}

fn steal_descriptor(parent: Pid) -> rustix::io::Result<()> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags};
    let pidfd = rustix::process::pidfd_open(parent, PidfdFlags::empty())?;
    rustix::process::pidfd_getfd(pidfd, 0, PidfdGetfdFlags::empty()).map(drop)
}

/// Which of the first hundred descriptors are open.
fn descriptors() -> io::Result<Vec<u32>> {
    // The directory cannot be listed under confinement, but its entries can be
    // looked at one by one.
    let open = |number: &u32| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    Ok((0..100).filter(open).collect())
}

fn outcome<T, E: Into<io::Error>>(result: Result<T, E>) -> Value {
    match result {
        Ok(_) => json!("done"),
        Err(error) => json!(format!("{:?}", error.into().kind())),
    }
}

fn keeper(pid_file: &str) -> Result<(), Box<dyn Error>> {
    let program: PathBuf = std::env::current_exe()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let launcher = Launcher { program: program.clone(), arguments: vec!["stage".into()] };
    let plan = LaunchPlan {
        program,
        arguments: vec!["sleep".into()],
        user: UidPolicy::Keep,
        groups: Vec::new(),
        limits: Limits {
            descriptors: 64,
            file_bytes: 1 << 20,
            address_space_bytes: 1 << 32,
            threads: 16,
        },
        devices: Vec::new(),
    };
    let child = launcher.start(plan, Descriptors::new())?;
    fs::write(pid_file, child.id().ok_or("no child")?.to_string())?;
    std::thread::sleep(Duration::from_secs(IDLE_S));
    Ok(())
}
