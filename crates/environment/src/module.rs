//! Which kernel modules are kept, and in which order they can be loaded.
//!
//! What a module needs is read from the module itself (its `.modinfo`), not
//! from `modules.dep`: the package does not contain that file, it is made when
//! a kernel is installed.

use std::collections::{BTreeMap, BTreeSet};

use object::read::{Object, ObjectSection};

use crate::manifest::{ModuleGroup, ModuleRecord};

/// The most bytes that a module's description may have.
pub(crate) const MAX_MODINFO_BYTES: usize = 1024 * 1024;

/// Finding and mounting the disks, speaking with the host. `crc32c_generic`
/// comes before what looks its algorithm up at run time without saying so.
const BOOT: &[&str] = &[
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_rng",
    "crc32c_generic",
    "ext4",
];

/// Layers, the guest's side of the network, and what agents' tools ask for.
const WORKSPACE: &[&str] = &[
    "overlay",
    "erofs",
    "dummy",
    "nfnetlink",
    "nf_tables",
    "nft_chain_nat",
    "nft_redir",
    "nft_reject_inet",
    "nft_ct",
    "tun",
    "fuse",
];

const NESTED_AMD: &[&str] = &["irqbypass", "kvm", "kvm_amd"];

const NESTED_INTEL: &[&str] = &["kvm_intel"];

const GROUPS: &[(ModuleGroup, &[&str])] = &[
    (ModuleGroup::Boot, BOOT),
    (ModuleGroup::Workspace, WORKSPACE),
    (ModuleGroup::NestedAmd, NESTED_AMD),
    (ModuleGroup::NestedIntel, NESTED_INTEL),
];

/// Why modules cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// A module is neither a file nor part of the kernel.
    #[error("the module {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A file is no module.
    #[error("{file} is no kernel module")]
    Invalid {
        /// The file's name.
        file: String,
    },
    /// Modules need each other in a circle.
    #[error("the module {name} needs itself")]
    Circle {
        /// One of them.
        name: String,
    },
}

/// What a package offers.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    files: BTreeMap<String, Needs>,
    builtin: BTreeSet<String>,
}

#[derive(Debug)]
struct Needs {
    file: String,
    modules: Vec<String>,
}

/// Dashes and underscores mean the same in names of modules.
fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

fn name_of_file(file: &str) -> String {
    normalised(file.strip_suffix(".ko").unwrap_or(file))
}

impl Offered {
    /// Takes note of a module in the file `file` with the content `bytes`.
    pub(crate) fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), ModuleError> {
        let invalid = || ModuleError::Invalid { file: file.to_owned() };
        let elf = object::File::parse(bytes).map_err(|_not_elf| invalid())?;
        let section = elf.section_by_name(".modinfo").ok_or_else(invalid)?;
        let modinfo = section.data().map_err(|_cut_off| invalid())?;
        let modules = needed(modinfo).ok_or_else(invalid)?;
        self.files.insert(name_of_file(file), Needs { file: file.to_owned(), modules });
        Ok(())
    }

    /// Takes note of `modules.builtin`: a path per line.
    pub(crate) fn add_builtin(&mut self, text: &str) {
        let names = text.lines().filter_map(|line| line.rsplit('/').next()).map(name_of_file);
        self.builtin.extend(names);
    }

    /// The modules of all groups in an order in which they can be loaded.
    pub(crate) fn resolve(&self) -> Result<Vec<ModuleRecord>, ModuleError> {
        let mut order = Vec::new();
        let mut seen = BTreeMap::new();
        for &(group, names) in GROUPS {
            for name in names {
                self.visit(name, group, &mut seen, &mut order)?;
            }
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        group: ModuleGroup,
        seen: &mut BTreeMap<String, Visit>,
        order: &mut Vec<ModuleRecord>,
    ) -> Result<(), ModuleError> {
        match seen.get(name) {
            Some(Visit::Done) => return Ok(()),
            Some(Visit::UnderWay) => return Err(ModuleError::Circle { name: name.to_owned() }),
            None => {}
        }
        let Some(needs) = self.files.get(name) else {
            return if self.builtin.contains(name) {
                Ok(())
            } else {
                Err(ModuleError::Missing { name: name.to_owned() })
            };
        };
        seen.insert(name.to_owned(), Visit::UnderWay);
        for module in &needs.modules {
            self.visit(module, group, seen, order)?;
        }
        seen.insert(name.to_owned(), Visit::Done);
        order.push(ModuleRecord { name: name.to_owned(), file: needs.file.clone(), group });
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Visit {
    UnderWay,
    Done,
}

/// What the module needs, from its description: `key=value`, each ended by a
/// zero byte. `None` if it is no such description.
fn needed(modinfo: &[u8]) -> Option<Vec<String>> {
    if modinfo.len() > MAX_MODINFO_BYTES {
        return None;
    }
    let mut depends = modinfo.split(|&byte| byte == 0).filter_map(|e| e.strip_prefix(b"depends="));
    let value = std::str::from_utf8(depends.next()?).ok()?;
    Some(value.split(',').filter(|name| !name.is_empty()).map(normalised).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(graph: &[(&str, &[&str])]) -> Offered {
        let mut offered = Offered::default();
        let all = GROUPS.iter().flat_map(|(_, names)| names.iter());
        let alone = all.map(|&name| (name, &[][..]));
        for (name, modules) in alone.chain(graph.iter().copied()) {
            let modules = modules.iter().map(|&m| m.to_owned()).collect();
            offered.files.insert(name.to_owned(), Needs { file: format!("{name}.ko"), modules });
        }
        offered
    }

    #[test]
    fn what_is_needed_comes_first() {
        let offered = offer(&[("ext4", &["jbd2"]), ("jbd2", &["crc16"]), ("crc16", &[])]);
        let order = offered.resolve().unwrap();
        let position = |name| order.iter().position(|module| module.name == name).unwrap();
        assert!(position("crc16") < position("jbd2") && position("jbd2") < position("ext4"));
        assert!(order.is_sorted_by_key(|module| module.group));
    }

    #[test]
    fn a_builtin_module_needs_no_file() {
        let mut offered = offer(&[("ext4", &["rng_core"])]);
        let missing = ModuleError::Missing { name: "rng_core".to_owned() };
        assert_eq!(offered.resolve(), Err(missing));
        offered.add_builtin("kernel/drivers/char/hw_random/rng-core.ko\n");
        assert!(offered.resolve().is_ok());
    }

    #[test]
    fn a_circle_is_refused() {
        let offered = offer(&[("ext4", &["jbd2"]), ("jbd2", &["ext4"])]);
        assert!(matches!(offered.resolve(), Err(ModuleError::Circle { .. })));
    }

    #[test]
    fn needs_are_read_from_a_description() {
        let modinfo = b"license=GPL\0depends=nf-tables,nf_nat\0retpoline=Y\0";
        assert_eq!(needed(modinfo).unwrap(), ["nf_tables", "nf_nat"]);
        assert_eq!(needed(b"depends=\0").unwrap(), [""; 0]);
        assert_eq!(needed(b"license=GPL\0"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _result = Offered::default().add("x.ko", &bytes);
            let _result = Offered::default().add("x.ko", &[b"\x7fELF\x02\x01\x01", &bytes[..]].concat());
            let _result = needed(&bytes);
        }

        #[test]
        fn every_order_can_be_loaded(edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..30)) {
            // An edge that only ever points to a smaller number makes no circle.
            let names: Vec<String> = (0..12).map(|n| format!("m{n}")).collect();
            let mut offered = offer(&[("ext4", &["m11"]), ("fuse", &["m7"])]);
            for (n, name) in names.iter().enumerate() {
                let modules = edges.iter().filter(|(a, b)| *a == n && b < a).map(|(_, b)| names[*b].clone()).collect();
                offered.files.insert(name.clone(), Needs { file: format!("{name}.ko"), modules });
            }
            let order = offered.resolve().unwrap();
            let mut loaded = BTreeSet::new();
            for module in &order {
                prop_assert!(offered.files[&module.name].modules.iter().all(|m| loaded.contains(m)));
                prop_assert!(loaded.insert(module.name.clone()));
            }
        }
    }
}
