//! That nothing is left of a batch that is over: no process, group, lock, socket or
//! file, whatever was killed while it ran.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use batch::custody::Holding;

use super::super::scene::Scene;
use crate::support::inventory::Inventory;
use crate::support::*;

/// What there was before, and what has been there meanwhile.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    /// The group that would hold the batch's processes, where there are groups.
    group: Option<PathBuf>,
    workspaces: RefCell<BTreeSet<PathBuf>>,
}

/// The tests' home as it was, but for its seeds: those are kept for whoever wants the same
/// tree again, also half-made ones, until `env prune`.
#[derive(Debug)]
pub(super) struct Home(Inventory);

impl Watch {
    /// Of a batch that has not begun.
    pub(super) fn of_batch(scene: &Scene) -> Self {
        // Asking where it would be makes it.
        let group = match Holding::cgroups(&scene.directory().join("custody")) {
            Ok(Holding::Cgroup { parent }) => Some(parent),
            _ => None,
        };
        if let Some(group) = &group {
            std::fs::remove_dir(group).unwrap();
        }
        Self { directory: scene.directory(), group, workspaces: RefCell::default() }
    }

    /// Sees which workspaces there are.
    pub(super) fn look(&self, scene: &Scene) {
        self.workspaces.borrow_mut().extend(scene.workspaces());
    }

    pub(super) fn assert_nothing_left(&self) {
        eventually("nothing of the batch is held by anybody", || {
            let left = Inventory::of(&self.directory);
            left.processes.is_empty() && left.locks.is_empty() && left.sockets.is_empty()
        });
        for workspace in self.workspaces.borrow().iter() {
            assert_gone(workspace);
        }
        if let Some(group) = &self.group {
            assert!(!group.exists(), "{} is left", group.display());
        }
    }
}

impl Home {
    pub(super) fn now() -> Self {
        let mut found = Inventory::of(home());
        found.files.retain(|file| !file.starts_with("seeds"));
        Self(found)
    }

    pub(super) fn assert_same(&self) {
        let now = Self::now().0;
        let added: Vec<_> = now.files.difference(&self.0.files).collect();
        assert!(added.is_empty(), "{added:?}");
        assert_eq!(now, self.0);
    }
}
