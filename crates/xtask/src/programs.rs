//! Builds our own programs with the Cargo that runs this task.

use std::env;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Message;

/// The target that the guest agent is built for; its C library can be linked
/// statically with one flag and without another toolchain.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// How the `hotcell` program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// What users run.
    Release,
}

/// The directory of the Cargo workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the `hotcell` program and says where it lies.
pub(crate) fn hotcell(profile: Profile) -> Result<PathBuf> {
    let profile = match profile {
        Profile::Dev => "dev",
        Profile::Release => "release",
    };
    build(&["--package", "hotcell-cli", "--bin", "hotcell", "--profile", profile], &[])
}

/// Builds the guest agent as workspaces carry it and says where it lies. It has
/// a target directory of its own, as the engine's build script does it, because
/// other flags would evict what is cached in the usual one.
pub(crate) fn guest_agent() -> Result<PathBuf> {
    let directory = metadata()?.target_directory.join("xtask-guest");
    let arguments = [
        "--package",
        "guest-agent",
        "--bin",
        "guest-agent",
        "--profile",
        "guest",
        "--target",
        GUEST_TARGET,
        "--target-dir",
        directory.as_str(),
    ];
    let flags =
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    build(&arguments, &[flags])
}

/// Runs this very task once more, in an optimised build of this program.
pub(crate) fn again_optimised() -> Result<()> {
    let status = Command::new(cargo())
        .args(["run", "--quiet", "--release", "--package", "xtask", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .arg("--")
        .args(env::args_os().skip(1))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the task failed");
    Ok(())
}

/// What Cargo knows of the workspace.
pub(crate) fn metadata() -> Result<cargo_metadata::Metadata> {
    let manifest = root().join("Cargo.toml");
    Ok(cargo_metadata::MetadataCommand::new().manifest_path(manifest).exec()?)
}

/// Builds an example of a package, optimised, and says where it lies.
pub(crate) fn example(package: &str, name: &str) -> Result<PathBuf> {
    build(&["--release", "--package", package, "--example", name], &[])
}

/// Builds the unit tests of a package, optimised, and says where they lie.
pub(crate) fn unit_tests(package: &str) -> Result<PathBuf> {
    made_by("test", &["--no-run", "--release", "--lib", "--package", package], &[])
}

/// Builds the tests of a package that run its program, as every test run has them, and
/// says where they lie.
pub(crate) fn integration_tests(package: &str) -> Result<PathBuf> {
    made_by("test", &["--no-run", "--test", "it", "--package", package], &[])
}

fn build(arguments: &[&str], variables: &[(&str, &str)]) -> Result<PathBuf> {
    made_by("build", arguments, variables)
}

fn made_by(task: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<PathBuf> {
    let mut child = Command::new(cargo())
        .args([task, "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message?
            // Tests of a program come with the program.
            && (task != "test" || artifact.profile.test)
        {
            program = artifact.executable.or(program);
        }
    }
    ensure!(child.wait()?.success(), "cargo {task} {} failed", arguments.join(" "));
    match program {
        Some(program) => Ok(program.into_std_path_buf()),
        None => bail!("cargo {task} {} made no program", arguments.join(" ")),
    }
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
