//! The kernel and the initial RAM file system.

use std::fs;
use std::process::{Command, Stdio};

use environment::{
    BuildOptions, Cancel, GuestPrograms, InUse, ModuleGroup, ModuleSet, Phase, Rebuild,
};

const PROGRAMS: GuestPrograms<'static> = GuestPrograms { agent: b"#!agent", tools: b"#!tools" };

use crate::{entries, fresh, silent};

fn listed(archive: &std::path::Path) -> Vec<String> {
    let output = Command::new("cpio")
        .args(["--list", "--quiet"])
        .stdin(fs::File::open(archive).unwrap())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn content(archive: &std::path::Path, name: &str) -> String {
    let output = Command::new("cpio")
        .args(["--extract", "--quiet", "--to-stdout", name])
        .stdin(fs::File::open(archive).unwrap())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_kernel_is_fetched_once_and_becomes_an_initial_ram_file_system() {
    let (directory, library) = fresh();
    let started = std::time::Instant::now();
    let mut phases = Vec::new();
    let mut progress = |progress: environment::Progress| phases.push(progress.phase);
    let options = BuildOptions::default();
    let kernel = library.ensure_kernel(&options, &mut progress, &Cancel::new()).unwrap();
    println!("fetched in {:?}: {} {}", started.elapsed(), kernel.version, kernel.digest);
    assert!(phases.contains(&Phase::Downloading) && phases.contains(&Phase::Finishing));
    assert_eq!(&fs::read(kernel.vmlinux()).unwrap()[..4], b"\x7fELF");
    for module in &kernel.modules {
        assert!(kernel.module(module).is_file());
    }
    let position = |name: &str| kernel.modules.iter().position(|module| module.name == name);
    for (first, then) in [
        ("crc32c_generic", "ext4"),
        ("jbd2", "ext4"),
        ("virtio", "virtio_blk"),
        ("nf_tables", "nft_chain_nat"),
        ("irqbypass", "kvm"),
        ("kvm", "kvm_amd"),
    ] {
        assert!(position(first).unwrap() < position(then).unwrap(), "{first} before {then}");
    }
    assert_eq!(kernel.modules.last().map(|module| module.group), Some(ModuleGroup::NestedIntel));

    let same = library.ensure_kernel(&options, &mut silent(), &Cancel::new()).unwrap();
    assert_eq!(same, kernel);
    let again = BuildOptions { rebuild: Rebuild::Always, mirror: None };
    let same = library.ensure_kernel(&again, &mut silent(), &Cancel::new()).unwrap();
    assert_eq!(same, kernel, "the same package makes the same kernel");
    assert!(entries(&directory.path().join("staging")).is_empty());

    let started = std::time::Instant::now();
    let initrd = library.initrd(&kernel, &PROGRAMS, ModuleSet::Workspace).unwrap();
    println!("initrd in {:?}: {} bytes", started.elapsed(), fs::metadata(&initrd).unwrap().len());
    assert_eq!(fs::metadata(&initrd).unwrap().len() % 4, 0);
    let names = listed(&initrd);
    for name in ["init", "dev", "proc", "sys", "newroot", "modules/ext4.ko", "modules/order"] {
        assert!(names.iter().any(|listed| listed == name), "{name}");
    }
    assert_eq!(content(&initrd, "init"), "#!agent");
    assert_eq!(content(&initrd, "tools"), "#!tools");
    let order = content(&initrd, "modules/order");
    for file in order.lines().map(|line| line.split(' ').next().unwrap()) {
        assert!(names.contains(&format!("modules/{file}")), "{file}");
    }
    assert!(order.lines().any(|file| file == "fuse.ko"));
    assert!(order.lines().any(|line| line == "dummy.ko numdummies=0"));
    assert!(!order.contains("kvm"));

    let nested = library.initrd(&kernel, &PROGRAMS, ModuleSet::NestedKvm).unwrap();
    assert_ne!(nested, initrd);
    let order = content(&nested, "modules/order");
    assert_eq!(order.lines().last(), Some("kvm-amd.ko"));
    assert!(!order.contains("kvm-intel"));
    assert_eq!(library.initrd(&kernel, &PROGRAMS, ModuleSet::Workspace).unwrap(), initrd);

    let pruned = library.prune(&|_| InUse::No, &Cancel::new()).unwrap();
    assert_eq!(pruned.removed.len(), 1, "the older of two initial RAM file systems");
    assert!(kernel.vmlinux().is_file());
}
