//! Making a template: boot once, warm up, save.
//!
//! The machine is owned by a thread of its own, which ends with it; the kernel
//! ends the monitor if the whole process is killed, and what is left is a
//! directory of another name whose lock is free. The next making sweeps it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use guest_protocol::epoch::BOOT_TOKEN;
use guest_protocol::frame::StreamId;
use guest_protocol::message::{End, Exec, GuestMessage, HostMessage};
use jiff::Timestamp;
use machine::{Disk, DiskImage, Driver, MachineSpec, MonitorInfo, RamFile, RamSharing, Start};
use operation::{ErrorKind, OpError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workspace_api::spec::EnvironmentRef;

use super::{Found, Ingredients, LOCK, MANIFEST, Manifest, Template, UNFINISHED};
use crate::files::{
    FileError, FileStamp, create_private, remove_tree, replace_file, sync_directory, try_lock,
};
use crate::home::Home;
use crate::link::{GuestLink, Identity};
use crate::machines;
use crate::settings::{Settings, find_program};
use crate::trouble::GuestTrouble;

/// How long a guest may take to boot; emulated ones take seconds.
const BOOT_DEADLINE: Duration = Duration::from_secs(180);

/// How long each step in the booted guest may take.
const STEP_DEADLINE: Duration = Duration::from_secs(60);

/// How often a making asks whether another process's making is finished.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// Run once before saving, so that what every command touches is in memory.
const WARM_UP: &[&[&str]] =
    &[&["/bin/true"], &["/bin/sh", "-c", "ls / > /dev/null; true"], &["/bin/true"]];

/// What a template is made of and where.
#[derive(Debug, Clone)]
pub(crate) struct Making {
    pub(crate) home: Home,
    pub(crate) settings: Settings,
    pub(crate) monitor: MonitorInfo,
    pub(crate) name: EnvironmentRef,
    pub(crate) ingredients: Ingredients,
    pub(crate) vmlinux: PathBuf,
    pub(crate) initrd: PathBuf,
    pub(crate) root_image: PathBuf,
    pub(crate) empty_seed: PathBuf,
    pub(crate) image_bytes: u64,
}

/// Makes a template, or waits for another process that is making the same one.
/// Tells what it is doing; ends early when cancelled. Blocks.
pub(crate) fn make(
    making: &Making,
    remake: Remake,
    tell: &mut dyn FnMut(&'static str),
    cancel: &CancellationToken,
) -> Result<Template, OpError> {
    let key = making.ingredients.key();
    let lock = making.home.templates().join(&key).with_extension(LOCK);
    let _lock = loop {
        match try_lock(&lock)? {
            Some(lock) => break lock,
            None => tell("waiting for another process"),
        }
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        thread::sleep(LOCK_POLL);
    };
    if remake == Remake::IfCold
        && let Found::Warm(template) = Template::find(&making.home, &key)?
    {
        return Ok(*template);
    }
    let unfinished = making.home.templates().join(&key).with_extension(UNFINISHED);
    remove_tree(&unfinished)?;
    create_private(&unfinished)?;
    let made = fill(making, &unfinished, tell, cancel)
        .and_then(|()| publish(&making.home, &key, &unfinished));
    if made.is_err() {
        let _ = remove_tree(&unfinished);
    }
    made?;
    match Template::find(&making.home, &key)? {
        Found::Warm(template) => Ok(*template),
        Found::Tampered | Found::Cold => {
            Err(OpError::plain(ErrorKind::Internal, "the template vanished while it was made"))
        }
    }
}

/// Whether a template that is there is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remake {
    IfCold,
    Always,
}

/// Puts a complete directory in its place, beside older ones of its key.
fn publish(home: &Home, key: &str, unfinished: &Path) -> Result<(), OpError> {
    let number = Uuid::new_v4().simple().to_string();
    let place = home.templates().join(format!("{key}-{}", &number[..8]));
    fs::rename(unfinished, &place).map_err(FileError::at("finish", &place))?;
    sync_directory(&home.templates())?;
    Ok(())
}

fn fill(
    making: &Making,
    directory: &Path,
    tell: &mut dyn FnMut(&'static str),
    cancel: &CancellationToken,
) -> Result<(), OpError> {
    let empty = directory.join("empty.qcow2");
    create_layer(&empty, making)?;
    for layer in ["root.qcow2", "workspace.qcow2"] {
        let path = directory.join(layer);
        fs::copy(&empty, &path).map_err(FileError::at("write", &path))?;
    }
    let ram = directory.join("ram");
    let bytes = u64::from(making.ingredients.shape.memory_mib) << 20;
    File::create(&ram)
        .and_then(|file| file.set_len(bytes))
        .map_err(FileError::at("create", &ram))?;

    let saved = boot_and_save(making, directory, tell, cancel)?;
    fs::remove_file(directory.join("workspace.qcow2"))
        .map_err(FileError::at("remove", directory))?;
    for name in ["ram", "root.qcow2", "empty.qcow2", "state"] {
        let path = directory.join(name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(FileError::at("sync", &path))?;
    }
    let manifest = Manifest {
        name: making.name.clone(),
        made_at: Timestamp::now(),
        ingredients: making.ingredients.clone(),
        token: saved.next_token,
        guest_kernel: saved.kernel,
        vmlinux: making.vmlinux.clone(),
        initrd: making.initrd.clone(),
        root_image: making.root_image.clone(),
        empty_seed: making.empty_seed.clone(),
        ram: FileStamp::of(&ram).map_err(FileError::at("look at", &ram))?,
    };
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
    replace_file(&directory.join(MANIFEST), &json)?;
    Ok(())
}

fn create_layer(path: &Path, making: &Making) -> Result<(), OpError> {
    let missing = || {
        OpError::plain(ErrorKind::Unavailable, "the program `qemu-img` is not installed")
            .hinted("install it: `apt-get install qemu-utils`")
    };
    let program = find_program("qemu-img", &making.settings.search_path).ok_or_else(missing)?;
    let output = Command::new(&program)
        .args(["create", "-q", "-f", "qcow2"])
        .arg(path)
        .arg(making.image_bytes.to_string())
        .output()
        .map_err(FileError::at("start", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(OpError::plain(ErrorKind::Internal, words)
        .during(format!("cannot create the disk layer {}", path.display())))
}

/// What is known of the guest once it is saved.
struct Saved {
    next_token: guest_protocol::epoch::Token,
    kernel: String,
}

/// Runs the machine on a thread of its own and passes on what it tells.
fn boot_and_save(
    making: &Making,
    directory: &Path,
    tell: &mut dyn FnMut(&'static str),
    cancel: &CancellationToken,
) -> Result<Saved, OpError> {
    let (sender, told) = mpsc::channel();
    let making = making.clone();
    let directory = directory.to_owned();
    let cancel = cancel.clone();
    let machine_thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
        runtime.block_on(async {
            tokio::select! {
                saved = run_machine(&making, &directory, &sender) => saved,
                () = cancel.cancelled() => Err(cancelled()),
            }
        })
    });
    for what in told {
        tell(what);
    }
    machine_thread.join().unwrap_or_else(|_| {
        Err(OpError::plain(ErrorKind::Internal, "the thread that makes the template panicked"))
    })
}

async fn run_machine(
    making: &Making,
    directory: &Path,
    tell: &mpsc::Sender<&'static str>,
) -> Result<Saved, OpError> {
    let spec = spec(making, directory);
    let driver = machines::driver_for_templates(&making.settings.program, making.monitor.clone());
    let say = |what| {
        // Nobody listens any more once the maker was cancelled.
        let _ = tell.send(what);
    };
    say("booting");
    let mut machine = driver
        .start(&spec)
        .await
        .map_err(|error| GuestTrouble::Start(error).during_start(&spec.console))?;
    let agent = machine.take_agent().expect("a machine that was just started");
    let warmed = tokio::select! {
        warmed = warm_up(agent, &say) => warmed,
        notice = machine.notice() => Err(GuestTrouble::Notice(notice)),
    };
    let saved = match warmed {
        Ok(saved) => {
            say("saving");
            let saving = machine.saving().ok_or_else(|| {
                OpError::plain(ErrorKind::Unavailable, "this machine driver cannot save machines")
            })?;
            saving.save(directory.join("state")).await.map(|()| saved).map_err(GuestTrouble::Save)
        }
        Err(trouble) => Err(trouble),
    };
    machine.stop().await;
    saved.map_err(|trouble| trouble.during_start(&spec.console))
}

fn spec(making: &Making, directory: &Path) -> MachineSpec {
    let disk = |name: &str, layer: &str, image: &Path| Disk {
        name: name.to_owned(),
        layer: directory.join(layer),
        backing: vec![DiskImage::Raw { path: image.to_owned() }],
    };
    MachineSpec {
        accelerator: making.ingredients.accelerator,
        cpu_model: None,
        shape: making.ingredients.shape,
        kernel: making.vmlinux.clone(),
        initrd: making.initrd.clone(),
        command_line: making.ingredients.command_line.clone(),
        ram: RamFile { path: directory.join("ram"), sharing: RamSharing::Shared },
        disks: vec![
            disk("root", "root.qcow2", &making.root_image),
            disk("workspace", "workspace.qcow2", &making.empty_seed),
        ],
        console: directory.join("console.log"),
        generation_id: Uuid::new_v4(),
        start: Start::Boot,
    }
}

async fn warm_up(
    agent: tokio::net::UnixStream,
    say: &impl Fn(&'static str),
) -> Result<Saved, GuestTrouble> {
    let identity =
        Identity { host_name: "hotcell-template".to_owned(), machine_id: "0".repeat(32) };
    let mut link = GuestLink::open(agent, &BOOT_TOKEN, &identity, BOOT_DEADLINE).await?;
    say("warming up");
    let commands = WARM_UP.iter().map(|argv| {
        let exec = Exec {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            cwd: "/".to_owned(),
            ..Exec::default()
        };
        ("warm up", HostMessage::Exec(exec))
    });
    let requests = commands.chain([("sync", HostMessage::Sync)]);
    for (stream, (step, request)) in (1..).map(StreamId).zip(requests) {
        match link.request(stream, &request, STEP_DEADLINE).await? {
            GuestMessage::Done | GuestMessage::Exited { end: End::Code { code: 0 }, .. } => {}
            answer => return Err(GuestTrouble::Step { step, answer: format!("{answer:?}") }),
        }
    }
    Ok(Saved { next_token: link.next_token, kernel: link.kernel })
}

fn cancelled() -> OpError {
    OpError::plain(ErrorKind::Cancelled, "making the template was cancelled")
}
