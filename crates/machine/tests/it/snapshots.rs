//! Snapshots of machines that run, and what becomes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::launcher::UidPolicy;
use machine::{
    Adoption, Convergence, DiskImage, Driver, LayersInUse, Machine, MachineError, MachineSpec,
    Materialisation, Merge, RamFile, RamSharing, RunBeside, Snapshot, SnapshotFailed, SnapshotPlan,
    Start,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use uuid::Uuid;

use crate::guest::{Guest, empty_layer, machine_in};
use crate::lifecycle::{driver, printed, start};
use crate::probe::other_user;

/// Size of the drives.
const DRIVE_BYTES: u64 = 1 << 20;

/// A machine whose disk grows by a layer with each snapshot.
struct Source {
    place: PathBuf,
    spec: MachineSpec,
    user: UidPolicy,
    machine: Box<dyn Machine>,
    taken: u32,
}

/// A snapshot that can be resumed from.
struct Restorable {
    spec: MachineSpec,
}

impl Source {
    async fn start(place: &Path, guest: Guest, user: UidPolicy) -> Self {
        let mut spec = machine_in(place, guest);
        let ram = fs::File::create(&spec.ram.path).unwrap();
        ram.set_len(u64::from(spec.shape.memory_mib) << 20).unwrap();
        spec.ram.sharing = RamSharing::CopyOnWrite;
        let machine = driver(user).start(&spec).await.unwrap();
        printed(&spec.console, 'T').await;
        Self { place: place.to_owned(), spec, user, machine, taken: 0 }
    }

    /// A plan for the next snapshot.
    fn plan(&mut self) -> SnapshotPlan {
        self.taken += 1;
        let layer = self.place.join(format!("layer{}.qcow2", self.taken));
        fs::write(&layer, empty_layer(DRIVE_BYTES)).unwrap();
        let stream = self.place.join(format!("stream{}", self.taken));
        SnapshotPlan { stream, layers: vec![layer], beside: RunBeside::default() }
    }

    async fn carry_out(&mut self, plan: &SnapshotPlan) -> Result<Snapshot, SnapshotFailed> {
        self.machine.snapshots().unwrap().snapshot(plan).await
    }

    async fn snapshot(&mut self) -> (Snapshot, Restorable) {
        let plan = self.plan();
        self.snapshot_by(plan).await
    }

    async fn snapshot_by(&mut self, plan: SnapshotPlan) -> (Snapshot, Restorable) {
        let taken = self.carry_out(&plan).await.unwrap();
        let mut spec = self.spec.clone();
        self.put_on_top(&plan);
        let [ram, state] =
            ["ram", "state"].map(|what| self.place.join(format!("{what}{}", self.taken)));
        let driver = driver(self.user);
        let memory_mib = spec.shape.memory_mib;
        let plan = Materialisation { memory_mib, stream: &plan.stream, ram: &ram, state: &state };
        driver.materialising().unwrap().materialise(&plan).await.unwrap();
        fs::remove_file(plan.stream).unwrap();
        spec.ram = RamFile { path: ram, sharing: RamSharing::CopyOnWrite };
        spec.start = Start::Resume { state };
        (taken, Restorable { spec })
    }

    fn put_on_top(&mut self, plan: &SnapshotPlan) {
        let disk = &mut self.spec.disks[0];
        let top = std::mem::replace(&mut disk.layer, plan.layers[0].clone());
        disk.backing.insert(0, DiskImage::Qcow2 { path: top });
    }

    /// The guest goes on and finds on its disk what it wrote.
    async fn is_unharmed(&self) {
        goes_on(&self.spec.console).await;
    }
}

impl Restorable {
    /// A machine that was resumed from here, in a directory of its own.
    async fn restore(&self, place: &Path, user: UidPolicy) -> (Box<dyn Machine>, PathBuf) {
        fs::create_dir(place).unwrap();
        let mut spec = self.spec.clone();
        let disk = &mut spec.disks[0];
        let fresh = place.join("layer.qcow2");
        fs::write(&fresh, empty_layer(DRIVE_BYTES)).unwrap();
        let frozen = std::mem::replace(&mut disk.layer, fresh);
        disk.backing.insert(0, DiskImage::Qcow2 { path: frozen });
        spec.console = place.join("console");
        spec.generation_id = Uuid::new_v4();
        let machine = driver(user).start(&spec).await.unwrap();
        (machine, spec.console)
    }
}

/// The guest prints more, without having booted again or met a difference.
async fn goes_on(console: &Path) {
    let before = fs::read_to_string(console).unwrap_or_default();
    for _ in 0..3000 {
        let now = fs::read_to_string(console).unwrap_or_default();
        assert!(!now.contains('X'), "disk and memory differ");
        assert_eq!(now.matches('B').count(), before.matches('B').count(), "it booted again");
        if now.matches('T').count() > before.matches('T').count() + 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the guest does not go on");
}

#[tokio::test]
async fn disk_and_memory_agree_in_each_restored_child() {
    restore_children(UidPolicy::Keep).await;
}

#[tokio::test]
async fn children_of_another_user_are_restored_below_a_private_directory() {
    let Some(user) = other_user() else { return };
    restore_children(user).await;
}

async fn restore_children(user: UidPolicy) {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Count, user).await;
    let mut snapshots = Vec::new();
    for _ in 0..4 {
        let (taken, restorable) = source.snapshot().await;
        // An emulated guest stands still for all of it.
        assert_eq!(taken.convergence, Convergence::Paused);
        assert!(taken.pause_us > 0);
        source.is_unharmed().await;
        snapshots.push(restorable);
    }
    for (index, snapshot) in snapshots.iter().enumerate() {
        let ram = fs::read(&snapshot.spec.ram.path).unwrap();
        for child in 0..2 {
            let place = place.path().join(format!("child{index}-{child}"));
            let (_machine, console) = snapshot.restore(&place, user).await;
            goes_on(&console).await;
            assert!(!fs::read_to_string(&console).unwrap().contains('B'), "it was booted");
        }
        assert!(ram == fs::read(&snapshot.spec.ram.path).unwrap(), "a child wrote to the RAM file");
    }
    source.is_unharmed().await;
}

#[tokio::test]
async fn a_restored_child_can_be_snapshotted_like_its_parent() {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Count, UidPolicy::Keep).await;
    let (_, parent) = source.snapshot().await;
    let child = place.path().join("child");
    let (machine, console) = parent.restore(&child, UidPolicy::Keep).await;
    let mut spec = parent.spec.clone();
    let frozen = std::mem::replace(&mut spec.disks[0].layer, child.join("layer.qcow2"));
    spec.disks[0].backing.insert(0, DiskImage::Qcow2 { path: frozen });
    spec.console = console;
    let mut child = Source { place: child, spec, user: UidPolicy::Keep, machine, taken: 0 };
    child.is_unharmed().await;
    let (_, grandchild) = child.snapshot().await;
    child.is_unharmed().await;
    let place = place.path().join("grandchild");
    let (_machine, console) = grandchild.restore(&place, UidPolicy::Keep).await;
    goes_on(&console).await;
}

#[tokio::test]
async fn a_guest_that_outruns_its_snapshot_is_paused_and_the_result_says_so() {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Churn, UidPolicy::Keep).await;
    // However fast the host is, a guest that may not run at all outruns it.
    let plan = SnapshotPlan { beside: RunBeside::NOT, ..source.plan() };
    let (taken, restorable) = source.snapshot_by(plan).await;
    assert_eq!(taken.convergence, Convergence::Paused);
    assert!(taken.pause_us > 0);
    source.is_unharmed().await;
    let place = place.path().join("child");
    let (_machine, console) = restorable.restore(&place, UidPolicy::Keep).await;
    goes_on(&console).await;
}

#[tokio::test]
async fn a_full_host_costs_the_snapshot_and_not_the_machine() {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Count, UidPolicy::Keep).await;
    let mut plan = source.plan();
    plan.stream = "/dev/full".into();
    let failed = source.carry_out(&plan).await.unwrap_err();
    assert_eq!(failed.layers, LayersInUse::Old);
    assert!(matches!(failed.source, MachineError::State { action: "save", .. }), "{failed:?}");
    source.is_unharmed().await;
    assert_eq!(fs::read(&plan.layers[0]).unwrap(), empty_layer(DRIVE_BYTES));
    let (_, restorable) = source.snapshot().await;
    let place = place.path().join("child");
    let (_machine, console) = restorable.restore(&place, UidPolicy::Keep).await;
    goes_on(&console).await;
}

#[tokio::test]
async fn layers_that_do_not_fit_are_refused() {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Count, UidPolicy::Keep).await;
    let plan = source.plan();
    fs::write(&plan.layers[0], empty_layer(DRIVE_BYTES / 2)).unwrap();
    let failed = source.carry_out(&plan).await.unwrap_err();
    assert!(matches!(failed.source, MachineError::Refused { .. }), "{failed:?}");
    let none = SnapshotPlan { layers: Vec::new(), ..plan };
    let failed = source.carry_out(&none).await.unwrap_err();
    assert!(matches!(failed.source, MachineError::Refused { .. }), "{failed:?}");
    source.is_unharmed().await;
}

#[tokio::test]
async fn a_paused_machine_stays_paused_across_its_snapshot() {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Count, UidPolicy::Keep).await;
    source.machine.pausing().unwrap().pause().await.unwrap();
    let (taken, _) = source.snapshot().await;
    assert_eq!(taken.pause_us, 0);
    let before = fs::read(&source.spec.console).unwrap().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fs::read(&source.spec.console).unwrap().len(), before);
    source.machine.pausing().unwrap().unpause().await.unwrap();
    source.is_unharmed().await;
}

/// Whenever the monitor is killed, the chain that was written down before the
/// snapshot holds all that the guest wrote.
#[tokio::test]
async fn a_monitor_killed_at_any_step_leaves_a_whole_disk() {
    let place = TempDir::new().unwrap();
    let mut interrupted = 0;
    for (round, delay_ms) in [0, 2, 5, 10, 15, 20, 25, 30, 40, 60, 90].into_iter().enumerate() {
        let place = place.path().join(round.to_string());
        fs::create_dir(&place).unwrap();
        let mut source = Source::start(&place, Guest::Count, UidPolicy::Keep).await;
        let pid = Pid::from_raw(i32::try_from(source.machine.monitor_pid()).unwrap()).unwrap();
        let plan = source.plan();
        let killer = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            kill_process(pid, Signal::KILL).unwrap();
        };
        let (result, ()) = tokio::join!(source.carry_out(&plan), killer);
        if let Err(failed) = result {
            assert!(matches!(failed.source, MachineError::Ended(_)), "{failed:?}");
            interrupted += 1;
        }
        source.machine.stop().await;
        source.put_on_top(&plan);
        source.spec.console = place.join("console of the next");
        // It boots; its memory was its own, and went with the monitor.
        let _machine = start(&source.spec).await;
        printed(&source.spec.console, 'T').await;
        goes_on(&source.spec.console).await;
    }
    assert!(interrupted > 3, "{interrupted} were interrupted");
}

#[tokio::test]
async fn many_layers_become_one_under_a_running_guest() {
    let place = TempDir::new().unwrap();
    let mut source = Source::start(place.path(), Guest::Count, UidPolicy::Keep).await;
    for _ in 0..4 {
        source.snapshot().await;
    }
    let disk = &source.spec.disks[0];
    let layers: Vec<PathBuf> = disk.backing[..4]
        .iter()
        .map(|image| match image {
            DiskImage::Qcow2 { path } => path.clone(),
            DiskImage::Raw { .. } => panic!("not a layer"),
        })
        .collect();
    let into = place.path().join("merged.qcow2");
    fs::write(&into, empty_layer(DRIVE_BYTES)).unwrap();
    let merge = Merge { into: into.clone(), layers, below: disk.backing[4..].to_vec() };
    let driver = driver(UidPolicy::Keep);
    driver.materialising().unwrap().merge(&merge).await.unwrap();

    // Another snapshot may have come in between.
    source.snapshot().await;
    let adoption = Adoption { drive: 0, first: 2, count: 4, merged: into.clone() };
    source.machine.snapshots().unwrap().adopt(&adoption).await.unwrap();
    for path in &merge.layers {
        fs::remove_file(path).unwrap();
    }
    source.spec.disks[0].backing.splice(1..5, [DiskImage::Qcow2 { path: into }]);
    source.is_unharmed().await;
    let (_, restorable) = source.snapshot().await;
    let place = place.path().join("child");
    let (_machine, console) = restorable.restore(&place, UidPolicy::Keep).await;
    goes_on(&console).await;

    let writable = Adoption { first: 0, ..adoption.clone() };
    let all = Adoption { first: 1, count: 4, ..adoption };
    for wrong in [writable, all] {
        let refused = source.machine.snapshots().unwrap().adopt(&wrong).await.unwrap_err();
        assert!(matches!(refused, MachineError::Refused { .. }));
    }
    source.is_unharmed().await;
}
