//! Builds the guest agent as a static program, so that the engine can carry it.
//!
//! Cargo cannot yet make one crate's binary an input of another on a stable
//! toolchain, so this calls Cargo once more, with a target directory of its
//! own: the outer build holds the lock of the usual one.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
    for part in ["guest-agent/src", "guest-agent/Cargo.toml", "guest-protocol/src"] {
        println!("cargo::rerun-if-changed={}", root.join("crates").join(part).display());
    }
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    let target = "x86_64-unknown-linux-gnu";
    let target_dir = out.join("guest");
    let status = Command::new(env::var("CARGO")?)
        .args(["build", "--package", "guest-agent", "--bin", "guest-agent"])
        .args(["--profile", "guest", "--locked", "--target", target, "--target-dir"])
        .arg(&target_dir)
        .current_dir(&root)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .status()?;
    if !status.success() {
        return Err("the guest agent does not build".into());
    }
    let agent = target_dir.join(target).join("guest/guest-agent");
    println!("cargo::rustc-env=HOTCELL_GUEST_AGENT={}", agent.display());
    Ok(())
}
