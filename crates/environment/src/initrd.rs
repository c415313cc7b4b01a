//! Makes the initial RAM file system: the guest's programs and the modules that
//! the agent loads.
//!
//! ```text
//! /init            the agent
//! /tools           the program of tools, for the agent to put in memory
//! /dev /proc /sys /newroot
//! /modules/*.ko
//! /modules/order   a file name and its parameters per line, in order of loading
//! ```
//!
//! It is not compressed: under emulation, decompressing costs more than
//! reading. Its name is a digest of what it is made from, so it is made once.

use std::fs;
use std::path::PathBuf;

use sha2::Digest as _;

use crate::cancel::Cancel;
use crate::cpio::Archive;
use crate::durable;
use crate::error::EnvironmentError;
use crate::library::Library;
use crate::manifest::{KernelRecord, ModuleGroup};
use crate::name::Digest;

/// Counts changes of the layout, so that a cached one of another layout is not
/// taken for the right one.
const LAYOUT_VERSION: u8 = 3;

/// What modules are told when they are loaded.
const PARAMETERS: &[(&str, &str)] = &[
    // Otherwise it makes an interface at once, which nobody asked for.
    ("dummy", "numdummies=0"),
];

/// The static programs that every guest has.
#[derive(Debug, Clone, Copy)]
pub struct GuestPrograms<'a> {
    /// PID 1.
    pub agent: &'a [u8],
    /// What the host has done inside the guest; empty if nothing.
    pub tools: &'a [u8],
}

/// Which modules a guest loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModuleSet {
    /// What every workspace needs.
    Workspace,
    /// That, and what it takes to run machines inside it (AMD's extensions,
    /// which are the ones that can be emulated).
    NestedKvm,
}

impl ModuleSet {
    fn label(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::NestedKvm => "nested-kvm",
        }
    }

    fn holds(self, group: ModuleGroup) -> bool {
        match group {
            ModuleGroup::Boot | ModuleGroup::Workspace => true,
            ModuleGroup::NestedAmd => self == Self::NestedKvm,
            ModuleGroup::NestedIntel => false,
        }
    }
}

impl Library {
    /// The initial RAM file system of a kernel with the guest's programs, made
    /// if it is not there.
    ///
    /// # Errors
    ///
    /// A module cannot be read, or the result cannot be written.
    pub fn initrd(
        &self,
        kernel: &KernelRecord,
        programs: &GuestPrograms<'_>,
        modules: ModuleSet,
    ) -> Result<PathBuf, EnvironmentError> {
        let mut hasher = sha2::Sha256::new();
        hasher.update([LAYOUT_VERSION]);
        hasher.update(kernel.digest.digits());
        hasher.update(modules.label());
        hasher.update(sha2::Sha256::digest(programs.agent));
        hasher.update(sha2::Sha256::digest(programs.tools));
        let digest = Digest::of_hasher(hasher);
        let path = self.initrds().join(digest.digits()).with_added_extension("img");
        if path.exists() {
            return Ok(path);
        }
        let bytes = assemble(kernel, programs, modules)?;
        let staging = self.staging(&Cancel::new())?;
        let made = staging.work().join("initrd");
        durable::write(&made, &bytes)?;
        durable::publish(&made, &path)?;
        Ok(path)
    }
}

fn assemble(
    kernel: &KernelRecord,
    programs: &GuestPrograms<'_>,
    modules: ModuleSet,
) -> Result<Vec<u8>, EnvironmentError> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "newroot", "modules"] {
        archive.directory(directory, 0o755)?;
    }
    archive.file("init", 0o755, programs.agent)?;
    archive.file("tools", 0o755, programs.tools)?;
    let mut order = String::new();
    for module in kernel.modules.iter().filter(|module| modules.holds(module.group)) {
        let path = kernel.module(module);
        let bytes = fs::read(&path).map_err(EnvironmentError::io("read", &path))?;
        archive.file(&format!("modules/{}", module.file), 0o644, &bytes)?;
        order.push_str(&module.file);
        if let Some((_, parameters)) = PARAMETERS.iter().find(|(name, _)| *name == module.name) {
            order.push(' ');
            order.push_str(parameters);
        }
        order.push('\n');
    }
    archive.file("modules/order", 0o644, order.as_bytes())?;
    archive.finish()
}
