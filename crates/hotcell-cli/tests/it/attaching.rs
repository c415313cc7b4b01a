//! A person's terminal at a shell: a real pseudo-terminal on this host.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::*;

/// A terminal with a program at it, and somebody who looks and types.
struct Person {
    terminal: File,
    seen: Arc<Mutex<Vec<u8>>>,
    slave: OwnedFd,
    child: Child,
}

impl Person {
    /// Sits down at a terminal of this size and attaches to the shell.
    fn attaches(workspace: &TestWorkspace, shell: &str, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        tcsetwinsize(&master, size(columns, rows)).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        // The terminal has to control the program, or it hears of no new size.
        let mut command = Command::new("setsid");
        command.args(["--ctty", program().to_str().unwrap()]);
        command.args(["shell", "attach", &workspace.id, shell]).env("HOTCELL_HOME", home());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let terminal = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, all) = (terminal.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        Self { terminal, seen, slave, child }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    #[track_caller]
    fn sees(&self, words: &str) {
        eventually(words, || text(&self.seen.lock().unwrap()).contains(words));
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    #[track_caller]
    fn leaves_with(&mut self, code: i32) {
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
        assert!(!self.is_raw(), "the terminal is as it was");
    }
}

const fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn a_terminal_attaches_resizes_detaches_and_comes_back_to_the_same_screen() {
    let workspace = TestWorkspace::create(&[]);
    let opened = hotcell().args(["--json", "shell", "open", &workspace.id]).output().unwrap();
    assert_code(&opened, 0);
    let shell = json(&opened)["id"].as_str().unwrap().to_owned();

    let mut person = Person::attaches(&workspace, &shell, 100, 40);
    person.types("stty size; echo mar''ker\r");
    person.sees("40 100");
    person.sees("marker");
    assert!(person.is_raw());
    tcsetwinsize(&person.terminal, size(132, 50)).unwrap();
    // The size is on its way while this is typed.
    person.types("until stty size | grep '50 132'; do sleep 0.1; done\r");
    person.sees("50 132");
    // Keys that mean something to a terminal mean it to the shell's.
    person.types("sleep 1000\r");
    eventually("it sleeps", || workspace.script("pgrep -xc sleep || true").trim() == "1");
    person.types("\x03");
    person.types("echo int''errupted\r");
    person.sees("interrupted");
    person.types("\x1dd");
    person.leaves_with(0);
    person.sees("detached from sh_");

    // Whoever is killed at it leaves it as it is, too.
    let mut killed = Person::attaches(&workspace, &shell, 80, 24);
    killed.sees("interrupted");
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();

    let mut again = Person::attaches(&workspace, &shell, 90, 30);
    again.sees("interrupted");
    again.types("exit 7\r");
    again.leaves_with(7);
    again.sees("exit code 7");

    let mut late = hotcell();
    late.args(["shell", "attach", &workspace.id, &shell]);
    assert_code(&late.output().unwrap(), 114);
    let unknown = ["shell", "attach", &workspace.id, "sh_ffff"];
    assert_code(&hotcell().args(unknown).output().unwrap(), 113);
}

#[test]
fn somebody_who_only_looks_at_a_terminal_holds_the_end_off() {
    let workspace = TestWorkspace::create(&["--idle-after", "1h", "--idle-then", "stop"]);
    let opened = hotcell().args(["--json", "shell", "open", &workspace.id]).output().unwrap();
    let shell = json(&opened)["id"].as_str().unwrap().to_owned();
    let mut person = Person::attaches(&workspace, &shell, 80, 24);
    let attached = || workspace.status()["activity"]["attached_terminals"].as_u64();
    eventually("somebody is there", || attached() == Some(1));
    let update = ["workspace", "update", &workspace.id, "--idle-after", "1s"];
    assert_code(&hotcell().args(update).output().unwrap(), 0);
    // Longer than it would take to be stopped.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let status = workspace.status();
    let held = (&status["state"], &status["expires_at"]);
    assert_eq!(held, (&"running".into(), &serde_json::Value::Null));
    person.types("\x1dd");
    person.leaves_with(0);
    eventually("nobody is there", || workspace.status()["state"] == "stopped");
}

#[test]
fn what_is_no_terminal_is_not_attached() {
    let workspace = TestWorkspace::create(&[]);
    let opened = hotcell().args(["--json", "shell", "open", &workspace.id]).output().unwrap();
    let shell = json(&opened)["id"].as_str().unwrap().to_owned();
    let attach = ["shell", "attach", &workspace.id, &shell];
    let output = hotcell().args(attach).output().unwrap();
    assert_code(&output, 2);
    assert!(text(&output.stderr).contains("is no terminal"), "{}", text(&output.stderr));
}
