//! What the tests share: a client of a prepared home, and proofs that nothing is
//! left over.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hotcell::operations::Create;
use hotcell::{
    AcceleratorChoice, Call, Client, ClientOptions, CommandEvent, EnvironmentRef, Run, Shape,
    Workspace, WorkspaceId,
};
use tokio::sync::mpsc;

/// How long anything may take before a test gives up. Generous: emulated guests
/// on a busy machine are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// The directory that Cargo builds this profile's programs in.
pub(crate) fn build_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}

/// The `hotcell` program, which keeps machines. Cargo does not build another
/// package's program for tests, so it has to be there.
pub(crate) fn program() -> PathBuf {
    let program = std::env::var_os("HOTCELL_PROGRAM")
        .map_or_else(|| build_directory().join("hotcell"), PathBuf::from);
    assert!(
        program.is_file(),
        "there is no {}: build it with `cargo build -p hotcell-cli`, \
         or set HOTCELL_PROGRAM to another one",
        program.display()
    );
    program
}

/// The home that all tests share.
pub(crate) fn home() -> PathBuf {
    test_cache().join("home")
}

fn test_cache() -> PathBuf {
    std::env::var_os("HOTCELL_TEST_CACHE").map_or_else(
        || {
            let home = std::env::var_os("HOME").expect("tests run with a home directory");
            PathBuf::from(home).join(".cache/hotcell-tests")
        },
        PathBuf::from,
    )
}

/// The environment that the tests run in.
pub(crate) fn environment() -> EnvironmentRef {
    EnvironmentRef::default()
}

/// A client of the shared home as it is.
pub(crate) fn open() -> Client {
    let options = ClientOptions {
        home: Some(home()),
        program: Some(program()),
        accelerator: Some(AcceleratorChoice::Auto),
    };
    Client::with_options(options).unwrap()
}

/// A client of the shared home, prepared for [`environment`].
pub(crate) async fn client() -> Client {
    fs::create_dir_all(home()).unwrap();
    // Tests run as processes of their own, and only one may prepare.
    let lock = File::create(test_cache().join("prepare.lock")).unwrap();
    lock.lock().unwrap();
    let client = open();
    client.prepare(environment(), Shape::default()).await.unwrap();
    client
}

/// A shell script in a machine of its own.
pub(crate) fn run_of(script: &str) -> Run {
    Run::new(environment(), ["sh", "-c", script])
}

/// A workspace that is deleted when the test ends, however it ends.
#[derive(Debug)]
pub(crate) struct TestWorkspace {
    pub(crate) workspace: Workspace,
}

impl TestWorkspace {
    pub(crate) async fn create(client: &Client) -> Self {
        let workspace = client.create(Create::new(environment())).await.unwrap();
        Self { workspace }
    }

    /// What a script that succeeds writes.
    pub(crate) async fn script(&self, script: &str) -> String {
        let result = self.workspace.exec(["sh", "-c", script]).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(result.exit_code, 0, "{}", text(&result.stderr.tail.0));
        text(&result.stdout.tail.0)
    }
}

impl Drop for TestWorkspace {
    fn drop(&mut self) {
        // Dropping cannot wait for a future; the program can. A test may have
        // deleted the workspace already.
        let _ = Command::new(program())
            .env("HOTCELL_HOME", home())
            .args(["--yes", "workspace", "delete", &self.workspace.id().to_string()])
            .output();
    }
}

/// A call whose events arrive in a channel.
pub(crate) fn watched() -> (Call<CommandEvent>, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let call = Call::new(move |event| {
        let sender = sender.clone();
        async move {
            // A test that has seen enough listens no more.
            let _ = sender.send(event);
        }
    });
    (call, Events { receiver, started: None, stdout: Vec::new() })
}

/// What a command does, as it does it.
#[derive(Debug)]
pub(crate) struct Events {
    receiver: mpsc::UnboundedReceiver<CommandEvent>,
    started: Option<WorkspaceId>,
    /// Standard output so far.
    pub(crate) stdout: Vec<u8>,
}

impl Events {
    /// Waits until standard output holds `word`; returns the machine.
    pub(crate) async fn until(&mut self, word: &str) -> WorkspaceId {
        while !String::from_utf8_lossy(&self.stdout).contains(word) {
            let next = tokio::time::timeout(PATIENCE, self.receiver.recv()).await;
            let event = next.unwrap_or_else(|_| panic!("no {word}: {self:?}"));
            self.take(event.unwrap_or_else(|| panic!("it ended without {word}")));
        }
        self.started.expect("a command starts before it writes")
    }

    /// All that is left, once the command has ended.
    pub(crate) fn finish(&mut self) {
        while let Ok(event) = self.receiver.try_recv() {
            self.take(event);
        }
    }

    fn take(&mut self, event: CommandEvent) {
        match event {
            CommandEvent::Started { workspace } => self.started = Some(workspace),
            CommandEvent::Stdout { bytes } => self.stdout.extend_from_slice(&bytes.0),
            CommandEvent::Preparing { .. } | CommandEvent::Stderr { .. } => {}
        }
    }
}

/// Nothing of a machine is left: no files, no processes, no record.
pub(crate) async fn assert_gone(client: &Client, id: WorkspaceId) {
    let directory = home().join("workspaces").join(id.to_string());
    let mut left = String::new();
    let gone = async {
        loop {
            let listed = client.workspaces().await.unwrap();
            let is_listed = listed.iter().any(|workspace| workspace.id == id);
            let processes = processes_of(&directory);
            if !directory.exists() && processes.is_empty() && !is_listed {
                return;
            }
            left = format!("files or {processes:?} or a record: {is_listed}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, gone).await;
    assert!(outcome.is_ok(), "of {id} there is left: {left}");
}

/// Processes that have files of a directory open.
fn processes_of(directory: &Path) -> Vec<String> {
    let uses = |process: &Path| {
        let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
        descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|file| file.starts_with(directory))
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| uses(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
