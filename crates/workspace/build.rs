//! Builds the guest's programs as static ones, so that the engine can carry them.
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
    let parts = [
        "guest-agent/src",
        "guest-agent/Cargo.toml",
        "guest-tools/src",
        "guest-tools/Cargo.toml",
        "guest-protocol/src",
        "file-tree/src",
    ];
    for part in parts {
        println!("cargo::rerun-if-changed={}", root.join("crates").join(part).display());
    }
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    let target = "x86_64-unknown-linux-gnu";
    let target_dir = out.join("guest");
    let status = Command::new(env::var("CARGO")?)
        .args(["build", "--package", "guest-agent", "--package", "guest-tools", "--bins"])
        .args(["--profile", "guest", "--locked", "--target", target, "--target-dir"])
        .arg(&target_dir)
        .current_dir(&root)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .status()?;
    if !status.success() {
        return Err("the guest's programs do not build".into());
    }
    for (variable, program) in
        [("HOTCELL_GUEST_AGENT", "guest-agent"), ("HOTCELL_GUEST_TOOLS", "guest-tools")]
    {
        let path = target_dir.join(target).join("guest").join(program);
        println!("cargo::rustc-env={variable}={}", path.display());
    }
    Ok(())
}
