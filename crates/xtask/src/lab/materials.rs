//! What the lab consists of. Everything is made once and kept by its content.
//!
//! ```text
//! <lab>/outer/          library with the outer machine's environment
//! <lab>/home/           home of the program under test: environment and kernel
//! <lab>/drives/<key>    image of program and home, the outer machine's second drive
//! ```

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use environment::{
    Cancel, GuestPrograms, IMAGE_VIRTUAL_BYTES, KernelRecord, Library, ModuleSet, catalog, tree,
};

use crate::{cache, programs};

/// The environment that the program under test prepares, and that the outer
/// machine's environment is built on.
pub(super) const INNER_ENVIRONMENT: &str = "debian:12-base";

/// The name of the outer machine's environment. No catalog offers it.
const OUTER_ENVIRONMENT: &str = "kvm-lab";

/// What the outer machine has besides: a monitor and its tool for images.
const MONITOR_PACKAGES: &[&str] = &["qemu-system-x86", "qemu-utils"];

/// What the outer machine is made of.
#[derive(Debug)]
pub(super) struct Materials {
    pub(super) kernel: KernelRecord,
    pub(super) initrd: PathBuf,
    pub(super) root_image: PathBuf,
    pub(super) drive: PathBuf,
}

/// Makes what is missing.
pub(super) fn make(lab: &Path, program: &Path) -> Result<Materials> {
    let home = lab.join("home");
    cache::create_private(&home)?;
    let (outer, inner) = (Library::open(lab.join("outer"))?, Library::open(&home)?);
    let base = catalog().iter().find(|curated| curated.name == INNER_ENVIRONMENT);
    let base = base.with_context(|| format!("the catalog lacks {INNER_ENVIRONMENT}"))?.packages();
    let inner_environment = cache::environment(&inner, &INNER_ENVIRONMENT.parse()?, &base)?;
    let kernel = cache::kernel(&inner)?;
    let with_monitor = [&base, MONITOR_PACKAGES].concat();
    let outer_environment = cache::environment(&outer, &OUTER_ENVIRONMENT.parse()?, &with_monitor)?;
    let agent = fs::read(programs::guest_agent()?)?;
    let initrd = outer.initrd(
        &kernel,
        &GuestPrograms { agent: &agent, tools: &[] },
        ModuleSet::NestedKvm,
    )?;
    let key = [inner_environment.manifest.digest.digits(), kernel.digest.digits()].concat();
    Ok(Materials {
        kernel,
        initrd,
        root_image: outer_environment.root_image(),
        drive: drive(lab, &home, program, &key)?,
    })
}

/// The image of the program and its home.
fn drive(lab: &Path, home: &Path, program: &Path, home_key: &str) -> Result<PathBuf> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    // Two programs that share a key by accident are not to be feared here.
    let mut hasher = DefaultHasher::new();
    (&bytes, home_key).hash(&mut hasher);
    let drives = lab.join("drives");
    cache::create_private(&drives)?;
    let drive = drives.join(format!("{:016x}.ext4", hasher.finish()));
    if !drive.exists() {
        let tree = cache::emptied(lab.join("tree"))?;
        let copy = tree.join("hotcell");
        fs::write(&copy, bytes)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        link_tree(home, &tree.join("home"))?;
        // Beside the finished ones, of which only one is kept.
        let unfinished = drive.with_extension("unfinished");
        cache::keep_only(&drives, &drive)?;
        tree::from_directory(&tree, &unfinished, IMAGE_VIRTUAL_BYTES, &Cancel::new())?;
        fs::rename(&unfinished, &drive)?;
        fs::remove_dir_all(&tree)?;
    }
    Ok(drive)
}

/// The same tree once more, with the files as hard links.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    cache::create_private(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        ensure!(kind.is_dir() || kind.is_file(), "{} is no plain file", source.display());
        if kind.is_dir() {
            link_tree(&source, &target)?;
        } else {
            fs::hard_link(&source, &target)
                .with_context(|| format!("cannot link {}", source.display()))?;
        }
    }
    Ok(())
}
