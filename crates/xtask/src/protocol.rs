//! `protocol`: the server for models, judged by other people's tools.
//!
//! * the conformance suite of the Model Context Protocol, over HTTP: the scenarios
//!   that are about the protocol and not about tools of a fixture;
//! * the inspector's command line, over standard input and output: whether every
//!   schema is one that all clients take, in both eras, and many calls at once.
//!
//! Both are packages of npm, installed once into the user's cache in the versions
//! below. The suite knows no credentials, so a small proxy stands between it and
//! the server and adds the token. What came out is written down in
//! `docs/conformance.md`. It fails if anything does.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::programs::Profile;
use crate::{cache, programs};

/// What is installed. The suite's newest stable version knows only the older era.
const PACKAGES: [&str; 3] = [
    "node@22.23.3",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
];

/// Scenarios by revision; the rest of the suite wants tools that only a fixture has.
const SCENARIOS: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "server-initialize",
            "ping",
            "tools-list",
            "server-session-lifecycle",
            "dns-rebinding-protection",
        ],
    ),
    (
        "2026-07-28",
        &[
            "server-stateless",
            "tools-list",
            "caching",
            "http-header-validation",
            "dns-rebinding-protection",
        ],
    ),
];

/// Checks of these scenarios that want a tool of the fixture and say so: "not
/// testable".
const FIXTURES: [&str; 4] = [
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
];

/// Profiles whose schemas are inspected: together they have every tool.
const PROFILES: [&str; 7] = [
    "vm-run",
    "workspace-core",
    "workspace-full",
    "repro-fix",
    "inspect",
    "cold-start",
    "review-eval",
];

/// A token for a server that lives for a minute, on this host only.
const TOKEN: &str = "a-token-for-conformance-tests";

/// Adds the token to whatever passes.
const PROXY: &str = include_str!("protocol/proxy.mjs");

/// Judge the server for models by the protocol's conformance suite and inspector
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the results are written down
    #[arg(long, default_value = "docs/conformance.md")]
    output: PathBuf,
    /// How the program is built
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let tools = Tools::install()?;
    let program = programs::hotcell(options.profile)?;
    let mut page = String::from(HEAD);
    let _ = writeln!(page, "Versions: {}.\n", PACKAGES.map(|name| format!("`{name}`")).join(", "));
    conformance(&tools, &program, &mut page)?;
    inspection(&tools, &program, &mut page)?;
    fs::write(&options.output, &page)?;
    println!("{page}");
    Ok(())
}

const HEAD: &str = "# The server, judged by the protocol's own tools

<!-- Written by `cargo xtask protocol`. Do not edit. -->

The server for models ([mcp.md](mcp.md)) against the conformance suite and the inspector of the Model Context Protocol. The
suite's other scenarios call tools of a fixture by fixed names, which no product has.

";

/// What was installed.
struct Tools {
    directory: PathBuf,
}

impl Tools {
    fn install() -> Result<Self> {
        let directory = cache::directory("hotcell-protocol")?;
        let _lock = cache::lock(&directory)?;
        let stamp = directory.join("installed");
        let wanted = PACKAGES.join("\n");
        if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
            fs::write(directory.join("package.json"), "{}")?;
            let installed = Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--save-exact"])
                .args(PACKAGES)
                .current_dir(&directory)
                .status()
                .context("cannot start npm")?;
            ensure!(installed.success(), "npm could not install {PACKAGES:?}");
            fs::write(&stamp, wanted)?;
        }
        Ok(Self { directory })
    }

    /// A program of an installed package, run by the Node that was installed too.
    fn command(&self, name: &str) -> Command {
        let node = self.directory.join("node_modules/node/bin/node");
        let mut command = Command::new(node);
        command.arg(self.directory.join("node_modules/.bin").join(name));
        command
    }
}

/// A process that is ended when this goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// The first line that a process says on its standard error.
    fn first_line(&mut self) -> Result<String> {
        let mut line = String::new();
        let errors = self.0.stderr.take().context("its errors are piped")?;
        BufReader::new(errors).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

fn conformance(tools: &Tools, program: &Path, page: &mut String) -> Result<()> {
    let scratch = tempfile::TempDir::new()?;
    let token = scratch.path().join("token");
    fs::write(&token, TOKEN)?;
    fs::set_permissions(&token, Permissions::from_mode(0o600))?;
    let server = Command::new(program)
        .env("HOTCELL_HOME", scratch.path().join("home"))
        .args(["mcp", "serve", "--no-project-source", "--http", "127.0.0.1:0"])
        .arg("--http-token-file")
        .arg(&token)
        .stderr(Stdio::piped())
        .spawn()?;
    let mut server = Running(server);
    let told = server.first_line()?;
    let address = told.strip_prefix("serving at ").with_context(|| told.clone())?;
    let script = scratch.path().join("proxy.mjs");
    fs::write(&script, PROXY)?;
    let mut proxy = Command::new(tools.directory.join("node_modules/node/bin/node"));
    let proxy = proxy.arg(&script).args([address, TOKEN]).stderr(Stdio::piped()).spawn()?;
    let mut proxy = Running(proxy);
    let url = proxy.first_line()?;
    page.push_str("## Conformance\n\n| revision | scenario | checks |\n|---|---|---|\n");
    for (revision, scenarios) in SCENARIOS {
        for scenario in scenarios {
            let output = tools
                .command("conformance")
                .args(["server", "--url", &url, "--scenario", scenario])
                .args(["--spec-version", revision])
                .current_dir(scratch.path())
                .output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            let verdict = said.lines().find(|line| line.contains("Passed:")).unwrap_or_default();
            let failed: Vec<&str> = said.lines().filter(|line| line.contains("FAILURE")).collect();
            let is_known = |line: &&str| FIXTURES.iter().any(|check| line.contains(check));
            let is_as_expected = failed.iter().all(is_known)
                && (output.status.success() || !failed.is_empty())
                && !verdict.is_empty();
            ensure!(is_as_expected, "{scenario} ({revision}) fails:\n{said}");
            let rest = match failed.len() {
                0 => String::new(),
                count => format!(": {count} checks want a tool of the fixture"),
            };
            let _ = writeln!(page, "| {revision} | `{scenario}` | {}{rest} |", verdict.trim());
        }
    }
    page.push('\n');
    Ok(())
}

fn inspection(tools: &Tools, program: &Path, page: &mut String) -> Result<()> {
    let scratch = tempfile::TempDir::new()?;
    let ask = |profile: &str, era: &str, words: &[&str]| {
        let mut inspector = tools.command("mcp-inspector");
        inspector
            .env("HOME", scratch.path())
            .args(["--cli", "-e"])
            .arg(format!("HOTCELL_HOME={}", scratch.path().join("home").display()))
            .args(["--protocol-era", era, "--format", "json"])
            .args(words)
            .arg("--")
            .arg(program)
            .args(["mcp", "serve", "--no-project-source", "--profile", profile])
            // As many tools and arguments as there are.
            .args(match profile {
                "inspect" => &["--export-dir", "/"][..],
                _ => &["--max-network", "egress", "--secret", "TOKEN", "--host-root", "/"],
            })
            .output()
    };
    page.push_str(
        "## Inspector\n\n`tools/list --strict` finds no schema that some client would reject:\n\n",
    );
    page.push_str("| profile | legacy era | modern era |\n|---|---|---|\n");
    for profile in PROFILES {
        for era in ["legacy", "modern"] {
            let judged = ask(profile, era, &["--method", "tools/list", "--strict"])?;
            let why = String::from_utf8_lossy(&judged.stderr);
            ensure!(judged.status.success(), "{profile}, {era}:\n{why}");
        }
        let _ = writeln!(page, "| `{profile}` | passes | passes |");
    }
    let words = [
        "--method",
        "tools/call",
        "--tool-name",
        "workspace_list",
        "--load",
        "--load-requests",
        "200",
        "--load-concurrency",
        "8",
    ];
    let loaded = ask("workspace-core", "legacy", &words)?;
    let said = String::from_utf8_lossy(&loaded.stdout);
    let why = String::from_utf8_lossy(&loaded.stderr);
    ensure!(loaded.status.success(), "under load:\n{said}\n{why}");
    page.push_str("\n200 calls of `workspace_list`, 8 at once (`--load`):\n\n```json\n");
    page.push_str(said.trim());
    page.push_str("\n```\n");
    Ok(())
}
