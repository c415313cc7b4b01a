//! A repository with packets, a home of its own, and an engine at work in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// How long an engine may take for anything.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often it is looked at.
const NAP: Duration = Duration::from_millis(20);

/// A repository and a home, in a directory that is gone with them.
#[derive(Debug)]
pub(super) struct Scene {
    directory: PathBuf,
    program: PathBuf,
}

/// A batch, and its engine.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    scene: &'a Scene,
    pub(super) id: String,
}

impl Scene {
    /// A repository with packets, each of a task that waits for another one or for none,
    /// whose agents are a program that follows a script.
    pub(super) fn new(
        directory: &Path,
        (program, agent): (&Path, &Path),
        packets: &[(String, Option<String>)],
        lanes: usize,
    ) -> Result<Self> {
        let (directory, program) = (directory.to_owned(), program.to_owned());
        let scene = Self { directory, program };
        let app = scene.app();
        fs::create_dir_all(app.join(".hotcell"))?;
        fs::copy(agent, scene.agent())?;
        let configuration = format!(
            "version = 1\nlanes = {lanes}\n[agent]\nkind = \"claude-code\"\nlane = \"worktree\"\n\
             program = '{}'\nmodel = \"scripted\"\n[areas]\ntasks = \"tasks\"\n",
            scene.agent().display()
        );
        fs::write(app.join(".hotcell/batch.toml"), configuration)?;
        fs::write(app.join(".gitignore"), "/tasks\n/.hotcell\n")?;
        for (task, after) in packets {
            let home = app.join("tasks").join(task);
            fs::create_dir_all(&home)?;
            let after = after.as_deref().unwrap_or("None");
            let prompt = format!(
                "# Task: {task} - Look at it\n\n**Size:** S\n\n## Dependencies\n\n- {after}\n\n\
                 ## File Scope\n\n- `{task}.txt`\n\n## Steps\n\n### Step 1: Look\n\n- [ ] Seen\n"
            );
            fs::write(home.join("PROMPT.md"), prompt)?;
        }
        let git = |arguments: &[&str]| -> Result<()> {
            let settings = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"];
            let mut command = Command::new("git");
            let done = command.args(settings).args(arguments).current_dir(&app).status()?;
            ensure!(done.success(), "git {} failed", arguments.join(" "));
            Ok(())
        };
        git(&["init", "--quiet", "--initial-branch=main"])?;
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "--message=begin"])?;
        Ok(scene)
    }

    fn app(&self) -> PathBuf {
        self.directory.join("app")
    }

    fn agent(&self) -> PathBuf {
        self.directory.join("scripted-agent")
    }

    /// A file that its agents look at or write.
    pub(super) fn beside_agent(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs the program, which says something in JSON.
    pub(super) fn told(&self, arguments: &[&str]) -> Result<Value> {
        let Output { status, stdout, stderr } = Command::new(&self.program)
            .args(arguments)
            .arg("--json")
            .env("HOTCELL_HOME", self.directory.join("home"))
            .env("ANTHROPIC_API_KEY", "scripted")
            .current_dir(self.app())
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !status.success() {
            let said = String::from_utf8_lossy(&stderr).into_owned();
            bail!("`hotcell {}` failed: {said}", arguments.join(" "));
        }
        Ok(serde_json::from_slice(&stdout)?)
    }

    /// How many milliseconds the program takes for something.
    pub(super) fn time(&self, arguments: &[&str]) -> Result<f64> {
        let begun = Instant::now();
        self.told(arguments)?;
        Ok(begun.elapsed().as_secs_f64() * 1000.0)
    }

    /// Starts a batch of all packets.
    pub(super) fn start(&self) -> Result<Batch<'_>> {
        let started = self.told(&["batch", "start", "--on-host"])?;
        let id = started["id"].as_str().context("the batch has no name")?.to_owned();
        Ok(Batch { scene: self, id })
    }
}

impl Batch<'_> {
    /// Its directory.
    pub(super) fn directory(&self) -> PathBuf {
        self.scene.directory.join("home/batches").join(&self.id)
    }

    /// The process of its engine.
    pub(super) fn engine(&self) -> Result<u32> {
        let words = format!("batch-engine\0{}\0", self.id);
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let said = fs::read(path.join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&said).contains(&words) {
                let pid = path.file_name().and_then(|name| name.to_str()?.parse().ok());
                return pid.context("a process has an odd number");
            }
        }
        bail!("the batch has no engine")
    }

    /// The names of its units.
    pub(super) fn units(&self) -> Result<Vec<String>> {
        let status = self.scene.told(&["batch", "status", &self.id])?;
        let units = status["units"].as_array().context("the batch has no units")?;
        Ok(units.iter().filter_map(|unit| unit["id"].as_str().map(str::to_owned)).collect())
    }

    /// Waits until so many of its agents are at work in the engine's epoch.
    pub(super) fn until_at_work(&self, count: usize, epoch: u64) -> Result<()> {
        let journal = rusqlite::Connection::open(self.directory().join("journal.sqlite"))?;
        // A fact of the engine's epoch: an agent was started, or started once more.
        let mut at_work = journal.prepare(
            "SELECT count(*) FROM lines WHERE json_extract(text, '$.epoch') = ?1
             AND json_extract(text, '$.fact.ended.outcome') = 'started'",
        )?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: i64 = at_work.query_row([epoch], |row| row.get(0))?;
            if usize::try_from(found)? >= count {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{found} of {count} agents are at work");
            thread::sleep(NAP);
        }
    }

    /// Has everything of it end.
    pub(super) fn abort(&self) -> Result<()> {
        self.scene.told(&["batch", "abort", &self.id])?;
        let deadline = Instant::now() + PATIENCE;
        while self.engine().is_ok() {
            ensure!(Instant::now() < deadline, "the engine of {} does not end", self.id);
            thread::sleep(NAP);
        }
        Ok(())
    }
}
