//! What the tests share: the program, a prepared home, and proofs that nothing
//! is left over.

pub(crate) mod inventory;
pub(crate) mod operator;
pub(crate) mod person;
pub(crate) mod recipe_script;
pub(crate) mod toolbox;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) use agent_lab::cache as test_cache;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

/// The environment that the tests run in.
pub(crate) const ENVIRONMENT: &str = "debian:12";

/// One with compilers and Python.
pub(crate) const BUILD_ENVIRONMENT: &str = "debian:12-build";

/// How long anything may take before a test gives up. Generous: emulated guests
/// on a busy machine are slow, and a test that hangs is ended by its runner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hotcell"))
}

/// The home that all tests share, prepared for [`ENVIRONMENT`].
pub(crate) fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = test_cache().join("home");
        fs::create_dir_all(&home).unwrap();
        prepare(&home, ENVIRONMENT);
        home
    })
}

fn prepare(home: &Path, environment: &str) {
    // Tests run as processes of their own, and only one may prepare.
    let lock = File::create(test_cache().join("prepare.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let output = hotcell_in(home).args(["prepare", environment]).output().unwrap();
    assert!(output.status.success(), "prepare failed:\n{}", text(&output.stderr));
}

/// Prepares another environment than [`ENVIRONMENT`] in the shared home.
pub(crate) fn prepared(environment: &str) -> &str {
    prepare(home(), environment);
    environment
}

/// Names what shall execute guests, and with it the driver that all tests run on, as
/// `HOTCELL_ACCELERATOR` does for users.
pub(crate) const MACHINES_VARIABLE: &str = "HOTCELL_TEST_MACHINES";

/// The program, on a home of the caller's choice.
pub(crate) fn hotcell_in(home: &Path) -> Command {
    let mut command = Command::new(program());
    command.env("HOTCELL_HOME", home).stdin(Stdio::null());
    match std::env::var_os(MACHINES_VARIABLE) {
        Some(machines) => command.env("HOTCELL_ACCELERATOR", machines),
        None => command.env_remove("HOTCELL_ACCELERATOR"),
    };
    for theirs in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(theirs);
    }
    command
}

/// The program, on the shared home.
pub(crate) fn hotcell() -> Command {
    hotcell_in(home())
}

/// Runs a command in a machine of its own.
pub(crate) fn run(arguments: &[&str], command: &[&str]) -> Output {
    hotcell().args(["run", ENVIRONMENT]).args(arguments).arg("--").args(command).output().unwrap()
}

/// Runs a shell script in a machine of its own.
pub(crate) fn run_script(arguments: &[&str], script: &str) -> Output {
    run(arguments, &["sh", "-c", script])
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON on standard output.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr))
    })
}

#[track_caller]
pub(crate) fn assert_code(output: &Output, code: i32) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
}

/// Starts the program and feeds it input from a thread.
pub(crate) fn with_input(mut command: Command, input: Vec<u8>) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    output
}

/// A home of its own that shares what was prepared.
pub(crate) fn sharing_home(at: &Path, shared: &[&str]) -> PathBuf {
    let own = at.join("home");
    fs::create_dir(&own).unwrap();
    for name in shared {
        symlink(home().join(name), own.join(name)).unwrap();
    }
    own
}

/// A workspace that is deleted when the test ends, however it ends.
pub(crate) struct TestWorkspace {
    pub(crate) id: String,
}

impl TestWorkspace {
    pub(crate) fn create(arguments: &[&str]) -> Self {
        let output = hotcell()
            .args(["--json", "workspace", "create", ENVIRONMENT])
            .args(arguments)
            .output()
            .unwrap();
        assert_code(&output, 0);
        Self { id: json(&output)["id"].as_str().unwrap().to_owned() }
    }

    /// One with as little memory as there can be: its snapshots are the quickest.
    pub(crate) fn small() -> Self {
        Self::small_with(&[])
    }

    /// The same with other arguments.
    pub(crate) fn small_with(arguments: &[&str]) -> Self {
        let shape = ["--memory-mib", "256"];
        let prepared = hotcell().args(["prepare", ENVIRONMENT]).args(shape).output().unwrap();
        assert_code(&prepared, 0);
        Self::create(&[&shape[..], arguments].concat())
    }

    pub(crate) fn exec(&self, arguments: &[&str], command: &[&str]) -> Output {
        self.exec_command(arguments, command).output().unwrap()
    }

    pub(crate) fn exec_command(&self, arguments: &[&str], command: &[&str]) -> Command {
        let mut exec = hotcell();
        exec.args(["workspace", "exec", &self.id]).args(arguments).arg("--").args(command);
        exec
    }

    pub(crate) fn script(&self, script: &str) -> String {
        let output = self.exec(&[], &["sh", "-c", script]);
        assert_code(&output, 0);
        text(&output.stdout)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        home().join("workspaces").join(&self.id)
    }

    pub(crate) fn status(&self) -> Value {
        let output = hotcell().args(["--json", "workspace", "status", &self.id]).output().unwrap();
        json(&output)
    }
}

impl Drop for TestWorkspace {
    fn drop(&mut self) {
        let _ = hotcell().args(["--yes", "workspace", "delete", &self.id]).output();
    }
}

/// Processes whose open files or arguments lie in a workspace's directory.
pub(crate) fn processes_of(directory: &Path) -> Vec<u32> {
    let inside = |path: PathBuf| path.starts_with(directory);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        let uses = descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(inside);
        if uses {
            found.push(pid);
        }
    }
    found
}

/// The monitor among the processes of a workspace.
pub(crate) fn monitor_of(directory: &Path) -> u32 {
    one_of(directory, |name| name.starts_with("qemu"))
}

/// The keeper among the processes of a workspace.
pub(crate) fn keeper_of(directory: &Path) -> u32 {
    one_of(directory, |name| name.starts_with("hotcell"))
}

fn one_of(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> u32 {
    let found: Vec<u32> = processes_of(directory)
        .into_iter()
        .filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            is_wanted(name.trim())
        })
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Waits until something is so, for as long as [`PATIENCE`] lasts.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a file below a directory holds a text.
pub(crate) fn holds(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => holds(&path, text),
            kind if kind.is_file() => {
                let content = fs::read(&path).unwrap_or_default();
                content.windows(text.len()).any(|bytes| bytes == text.as_bytes())
            }
            _ => false,
        }
    })
}

/// Waits until a child has written a line with `word` to its standard output.
pub(crate) fn wait_for_word(child: &mut Child, word: &str) {
    use std::io::Read as _;
    let out = child.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !text(&seen).contains(word) {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "it ended after {:?}", text(&seen));
        seen.push(byte[0]);
    }
}

/// The directory of the only machine that a process of ours runs right now in a home.
pub(crate) fn directory_of_child(home: &Path, child: &Child) -> PathBuf {
    let mut found = None;
    eventually("the child's machine", || {
        let workspaces = home.join("workspaces");
        found = fs::read_dir(&workspaces).unwrap().flatten().map(|entry| entry.path()).find(
            |directory| {
                processes_of(directory).iter().any(|&pid| parent_of(pid) == Some(child.id()))
            },
        );
        found.is_some()
    });
    found.unwrap()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Nothing of a machine is left: no files, no processes, no record.
#[track_caller]
pub(crate) fn assert_gone(directory: &Path) {
    eventually("files and processes are gone", || {
        !directory.exists() && processes_of(directory).is_empty()
    });
    let id = directory.file_name().unwrap().to_string_lossy().into_owned();
    let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
    assert!(!text(&listed.stdout).contains(&id), "the record is left");
}

/// Runs git on the host.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    text(&done.stdout)
}
