//! `kvm-lab`: the KVM path, tested for real on machines without usable KVM.
//!
//! ```text
//! this host ── emulation ──▶ outer machine: our kernel, our agent, /dev/kvm
//!                              └─ hotcell (as on any host with KVM)
//!                                   └─ KVM ──▶ workspaces
//! ```
//!
//! QEMU's emulator has AMD's virtualisation extensions with nested paging, so a
//! machine that it emulates can run machines of its own. The outer machine is
//! an ordinary one of ours with that processor and an environment that contains
//! QEMU. Its second drive holds the program under test and a home in which
//! everything that needs a network is there already.
//!
//! * [`materials`] makes what the outer machine consists of, once.
//! * [`checks`] is what is checked inside; [`busy`] copies a machine that never rests.

mod busy;
mod checks;
mod materials;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use machine::{Accelerator, Shape};

use crate::cache;
use crate::machines::Parts;
use crate::programs::{self, Profile};

/// The processor of the outer machine: one that has the extensions, and those
/// of them that machines inside it need to be fast enough.
const PROCESSOR: &str = "EPYC,+svm,+npt";

/// How large the outer machine is: room for the monitors, their guests, and the
/// files that they use, which the outer machine caches.
const SHAPE: Shape = Shape { cpus: 1, memory_mib: 2560 };

/// How long the outer machine may take to boot; on a quiet machine it takes
/// seconds.
const BOOT_DEADLINE: Duration = Duration::from_secs(180);

/// Test the KVM path inside an emulated machine that has KVM
///
/// Needs no KVM on this host. The program is built on this host and runs on
/// Debian 12 in the lab, so this host's C library must not be newer than that.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How the `hotcell` program under test is built
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
    /// Test this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    program: Option<PathBuf>,
    /// Copies of a busy machine that are made and checked
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    copies: u32,
}

/// Runs the task; its exit code says whether every check passed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => programs::hotcell(options.profile)?,
    };
    let lab = cache::directory("hotcell-lab")?;
    let _lock = cache::lock(&lab)?;
    let begun = Instant::now();
    let materials = materials::make(&lab, &program)?;
    println!("materials    {:>8.1} s", begun.elapsed().as_secs_f64());
    let work = cache::emptied(lab.join("work"))?;
    let outer = Parts {
        accelerator: Accelerator::Tcg,
        processor: Some(PROCESSOR),
        shape: SHAPE,
        vmlinux: materials.kernel.vmlinux(),
        initrd: materials.initrd,
        drives: vec![materials.root_image, materials.drive],
    };
    // The monitor lives as long as the thread that starts it, which is this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let passed = runtime.block_on(async {
        let begun = Instant::now();
        let mut booted = outer.boot(&program, &work, BOOT_DEADLINE).await?;
        println!("outer boot   {:>8.1} s", begun.elapsed().as_secs_f64());
        let passed = checks::run(&mut booted.guest, options.copies).await;
        booted.machine.stop().await;
        passed
    })?;
    fs::remove_dir_all(&work)?;
    println!("whole lab    {:>8.1} s", begun.elapsed().as_secs_f64());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
