//! Machines from their start to every end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use machine::launcher::UidPolicy;
use machine::qemu::Qemu;
use machine::{Driver, Machine, MachineError, MachineSpec, Notice, RamSharing};
use tempfile::TempDir;

use crate::guest::{Guest, copy_of, machine_in};
use crate::probe::{self, eventually, is_alive, other_user};

/// The longest wait for something that takes milliseconds, in seconds.
const PATIENCE_S: u64 = 30;

pub(crate) fn driver(user: UidPolicy) -> Qemu {
    Qemu::new(probe::launcher(), user, std::env::var_os("PATH").unwrap())
}

pub(crate) async fn start(spec: &MachineSpec) -> Box<dyn Machine> {
    driver(UidPolicy::Keep).start(spec).await.unwrap()
}

pub(crate) async fn next_notice(machine: &mut dyn Machine) -> Notice {
    tokio::time::timeout(Duration::from_secs(PATIENCE_S), machine.notice()).await.unwrap()
}

/// Waits for `letter` on the console while the machine's streams are served.
pub(crate) async fn printed(console: &Path, letter: char) {
    for _ in 0..PATIENCE_S * 100 {
        if fs::read_to_string(console).is_ok_and(|text| text.contains(letter)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the guest never printed {letter}");
}

#[tokio::test]
async fn a_machine_is_booted_saved_and_resumed_in_copies() {
    save_and_resume(UidPolicy::Keep).await;
}

#[tokio::test]
async fn machines_of_another_user_work_below_a_private_directory() {
    let Some(user) = other_user() else { return };
    save_and_resume(user).await;
}

async fn save_and_resume(user: UidPolicy) {
    let place = TempDir::new().unwrap();
    let spec = machine_in(place.path(), Guest::Tick);
    let state = place.path().join("state");
    let driver = driver(user);

    let mut template = driver.start(&spec).await.unwrap();
    printed(&spec.console, 'T').await;
    let boots = fs::read_to_string(&spec.console).unwrap().matches('B').count();
    assert_eq!(boots, 1);
    if let UidPolicy::Drop { uid, .. } = user {
        let process = fs::metadata(format!("/proc/{}", template.monitor_pid())).unwrap();
        assert_eq!(process.uid(), uid);
    }
    template.saving().unwrap().save(state.clone()).await.unwrap();
    let refusal = template.pausing().unwrap().unpause().await.unwrap_err();
    assert!(matches!(refusal, MachineError::Refused { .. }));
    let exit = template.stop().await;
    assert_eq!(exit.signal, Some(9));
    let ram = fs::metadata(&spec.ram.path).unwrap();
    let ram_content = fs::read(&spec.ram.path).unwrap();

    let copies = [0, 1].map(|index| {
        let place = place.path().join(format!("copy{index}"));
        fs::create_dir(&place).unwrap();
        copy_of(&spec, &state, &place)
    });
    let mut first = driver.start(&copies[0]).await.unwrap();
    let mut second = driver.start(&copies[1]).await.unwrap();
    for copy in &copies {
        printed(&copy.console, 'T').await;
        let console = fs::read_to_string(&copy.console).unwrap();
        assert!(!console.contains('B'), "the copy was booted, not resumed");
    }
    assert!(first.take_agent().is_some());
    assert!(first.take_agent().is_none());
    let path = place.path().join("state of a copy");
    let refusal = first.saving().unwrap().save(path).await.unwrap_err();
    assert!(matches!(refusal, MachineError::State { action: "save", .. }));
    first.stop().await;
    second.stop().await;
    let after = fs::metadata(&spec.ram.path).unwrap();
    assert_eq!((ram.ctime(), ram.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
    assert!(ram_content == fs::read(&spec.ram.path).unwrap(), "a copy wrote to the template");
}

#[tokio::test]
async fn a_paused_guest_stands_still_until_it_goes_on() {
    let place = TempDir::new().unwrap();
    let spec = machine_in(place.path(), Guest::Tick);
    let mut machine = start(&spec).await;
    printed(&spec.console, 'T').await;
    machine.pausing().unwrap().pause().await.unwrap();
    // What was printed before the pause may still be under way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = fs::read(&spec.console).unwrap().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(before, fs::read(&spec.console).unwrap().len());
    machine.pausing().unwrap().unpause().await.unwrap();
    for _ in 0..PATIENCE_S * 100 {
        if fs::read(&spec.console).unwrap().len() > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the guest does not go on");
}

#[tokio::test]
async fn a_guest_that_resets_is_noticed_and_its_machine_ends() {
    let place = TempDir::new().unwrap();
    let mut machine = start(&machine_in(place.path(), Guest::Reset)).await;
    assert_eq!(next_notice(machine.as_mut()).await, Notice::GuestShutDown);
    let Notice::Ended(exit) = next_notice(machine.as_mut()).await else {
        panic!("not ended");
    };
    assert_eq!((exit.code, exit.signal), (Some(0), None));
    assert_eq!(next_notice(machine.as_mut()).await, Notice::Ended(exit.clone()));
    assert_eq!(machine.stop().await, exit);
}

#[tokio::test]
async fn a_killed_monitor_is_noticed() {
    let place = TempDir::new().unwrap();
    let mut machine = start(&machine_in(place.path(), Guest::Tick)).await;
    let pid = i32::try_from(machine.monitor_pid()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let Notice::Ended(exit) = next_notice(machine.as_mut()).await else {
        panic!("not ended");
    };
    assert_eq!(exit.signal, Some(9));
}

#[tokio::test]
async fn dropping_a_machine_kills_it() {
    let place = TempDir::new().unwrap();
    let machine = start(&machine_in(place.path(), Guest::Tick)).await;
    let pid = machine.monitor_pid();
    assert!(is_alive(pid));
    drop(machine);
    eventually("the monitor is gone", || !is_alive(pid));
}

#[tokio::test]
async fn two_machines_cannot_write_one_layer() {
    let place = TempDir::new().unwrap();
    let spec = machine_in(place.path(), Guest::Tick);
    let _first = start(&spec).await;
    let mut second = spec.clone();
    second.ram.path = place.path().join("other-ram");
    let error = driver(UidPolicy::Keep).start(&second).await.unwrap_err();
    let MachineError::Ended(exit) = error else { panic!("{error:?}") };
    assert!(exit.last_words.contains("lock"), "{exit}");
}

#[tokio::test]
async fn a_state_that_cannot_be_loaded_says_why() {
    let place = TempDir::new().unwrap();
    let mut spec = machine_in(place.path(), Guest::Tick);
    fs::write(&spec.ram.path, vec![0; 64 << 20]).unwrap();
    spec.ram.sharing = RamSharing::CopyOnWrite;
    let state = place.path().join("state");
    fs::write(&state, b"this is not a saved state").unwrap();
    spec.start = machine::Start::Resume { state };
    let error = driver(UidPolicy::Keep).start(&spec).await.unwrap_err();
    let MachineError::State { action, reason, .. } = error else { panic!("{error:?}") };
    assert_eq!(action, "load");
    assert!(reason.contains("Not a migration stream"), "{reason}");
}

#[tokio::test]
async fn files_that_do_not_fit_are_named() {
    let place = TempDir::new().unwrap();
    let mut spec = machine_in(place.path(), Guest::Tick);
    fs::write(&spec.disks[0].layer, vec![0; 4096]).unwrap();
    let error = driver(UidPolicy::Keep).start(&spec).await.unwrap_err();
    assert!(matches!(error, MachineError::File { path, .. } if path == spec.disks[0].layer));
    fs::write(&spec.ram.path, b"short").unwrap();
    spec.ram.sharing = RamSharing::CopyOnWrite;
    let error = driver(UidPolicy::Keep).start(&spec).await.unwrap_err();
    assert!(matches!(error, MachineError::File { path, .. } if path == spec.ram.path));
}

#[test]
fn a_missing_monitor_is_named() {
    let nowhere = Qemu::new(probe::launcher(), UidPolicy::Keep, "/nonexistent".into());
    let error = nowhere.monitor().unwrap_err();
    assert!(matches!(error, MachineError::MonitorMissing { .. }));
    let info = driver(UidPolicy::Keep).monitor().unwrap();
    assert!(info.program.is_absolute());
    assert!(info.version.contains('.'));
}
