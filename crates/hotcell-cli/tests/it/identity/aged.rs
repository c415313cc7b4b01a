//! A machine of the product's own ingredients that lives long before it is
//! saved, made through the public driver, and its children.
//!
//! The stream to the agent is spoken by hand: the product's own client makes
//! identity and entropy itself, and these tests are about choosing them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use guest_protocol::GENERATION;
use guest_protocol::epoch::{BOOT_TOKEN, Skip, Token, opening, skip_past};
use guest_protocol::frame::{self, Body, Frame, StreamId};
use guest_protocol::message::{self, Begin, End, Exec, GuestMessage, HostMessage};
use machine::launcher::{Launcher, UidPolicy};
use machine::qemu::Qemu;
use machine::{Disk, DiskImage, Driver, Machine, MachineSpec, RamFile, RamSharing, Shape, Start};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use uuid::Uuid;

use crate::support::*;

/// Up to the age of two minutes the kernel renews its generator's key more
/// often, in the first seconds all the time, and so hides that a machine was
/// copied.
const AGE_S: u64 = 65;

/// Runs in the guest from before the save on and is there when a child wakes.
/// It renews the generator's key once, so that the kernel has no reason of its
/// own to do it again soon, and then says every 50 ms what it reads.
const WITNESS: &str = r#"
    open(my $generator, "+<", "/dev/urandom") or die;
    open(my $console, ">", "/dev/console") or die;
    my $reseed = 0x5207;
    ioctl($generator, $reseed, 0) or die;
    while (1) {
        select(undef, undef, undef, 0.05);
        sysread($generator, my $bytes, 32) == 32 or die;
        syswrite($console, "witness " . unpack("H*", $bytes) . " end\n");
    }
"#;

/// A machine that was saved at an age of more than [`AGE_S`] seconds.
pub(super) struct Aged {
    place: TempDir,
    spec: MachineSpec,
    token: Token,
    /// The incarnation that was saved.
    pub(super) generation_id: Uuid,
}

/// A child that was resumed and has not been told who it is.
pub(super) struct Child {
    machine: Box<dyn Machine>,
    console: PathBuf,
    token: Token,
}

impl Aged {
    /// Boots a machine, lets it live, starts the witness and saves it.
    pub(super) async fn make() -> Self {
        let place = tempfile::tempdir().unwrap();
        let spec = spec(place.path());
        let mut machine = driver().start(&spec).await.unwrap();
        let agent = machine.take_agent().unwrap();
        let begin = begin("aged");
        let token = begin.next_token;
        let mut guest = Guest::open(agent, &BOOT_TOKEN, begin).await;
        let aging = "until [ $(cut -d . -f 1 /proc/uptime) -ge $0 ]; do sleep 1; done";
        guest.run(&["sh", "-c", aging, &AGE_S.to_string()]).await;
        let uptime = guest.run(&["cat", "/proc/uptime"]).await;
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(uptime >= AGE_S as f64, "{uptime}");
        let start = "setsid perl -e \"$0\" < /dev/null > /dev/null 2>&1 &";
        guest.run(&["sh", "-c", start, WITNESS]).await;
        witnessed(&spec.console).await;
        machine.saving().unwrap().save(place.path().join("state")).await.unwrap();
        machine.stop().await;
        let generation_id = spec.generation_id;
        Self { place, spec, token, generation_id }
    }

    /// Resumes a copy with its own disks and a private view of the memory.
    pub(super) async fn child(&self, name: &str, generation_id: Uuid) -> Child {
        let place = self.place.path().join(name);
        fs::create_dir(&place).unwrap();
        let mut spec = self.spec.clone();
        for disk in &mut spec.disks {
            let layer = place.join(&disk.name);
            fs::copy(&disk.layer, &layer).unwrap();
            disk.layer = layer;
        }
        spec.ram.sharing = RamSharing::CopyOnWrite;
        spec.console = place.join("console");
        spec.generation_id = generation_id;
        spec.start = Start::Resume { state: self.place.path().join("state") };
        let machine = driver().start(&spec).await.unwrap();
        Child { machine, console: spec.console, token: self.token }
    }
}

impl Child {
    /// What the witness read first after it woke up in this child.
    pub(super) async fn first_witnessed(&self) -> String {
        witnessed(&self.console).await
    }

    /// Tells the child who it is.
    pub(super) async fn begin(&mut self, begin: Begin) -> Guest {
        Guest::open(self.machine.take_agent().unwrap(), &self.token, begin).await
    }
}

/// What a new machine of that name is told, all of it its own.
pub(super) fn begin(host_name: &str) -> Begin {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Begin {
        generation: GENERATION,
        unix_time_ns: u64::try_from(now.as_nanos()).unwrap(),
        host_name: host_name.to_owned(),
        machine_id: Uuid::new_v4().simple().to_string(),
        entropy: random(),
        next_token: random(),
    }
}

fn random() -> [u8; 32] {
    let halves = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()];
    halves.concat().try_into().unwrap()
}

fn driver() -> Qemu {
    let launcher =
        Launcher { program: program().to_owned(), arguments: vec!["launch-monitor".into()] };
    Qemu::new(launcher, UidPolicy::Keep, std::env::var_os("PATH").unwrap())
}

/// A machine of what the template that is in use is made of.
fn spec(place: &Path) -> MachineSpec {
    const MEMORY_MIB: u32 = 256;
    let template = template_in_use();
    let manifest: Value =
        serde_json::from_slice(&fs::read(template.join("manifest.json")).unwrap()).unwrap();
    let path = |name: &str| PathBuf::from(manifest[name].as_str().unwrap());
    let disk = |name: &str, image: &str| {
        let layer = place.join(name);
        fs::copy(template.join("empty.qcow2"), &layer).unwrap();
        Disk { name: name.to_owned(), layer, backing: vec![DiskImage::Raw { path: path(image) }] }
    };
    let ram = place.join("ram");
    File::create(&ram).unwrap().set_len(u64::from(MEMORY_MIB) << 20).unwrap();
    let ingredients = &manifest["ingredients"];
    MachineSpec {
        accelerator: serde_json::from_value(ingredients["accelerator"].clone()).unwrap(),
        cpu_model: None,
        shape: Shape { cpus: 1, memory_mib: MEMORY_MIB },
        kernel: path("vmlinux"),
        initrd: path("initrd"),
        command_line: ingredients["command_line"].as_str().unwrap().to_owned(),
        ram: RamFile { path: ram, sharing: RamSharing::Shared },
        disks: vec![disk("root", "root_image"), disk("workspace", "empty_seed")],
        console: place.join("console"),
        generation_id: Uuid::new_v4(),
        start: Start::Boot,
    }
}

/// The template that workspaces start from now: a home also keeps those of
/// earlier builds. A new workspace's monitor has its memory open.
fn template_in_use() -> PathBuf {
    let workspace = TestWorkspace::create(&[]);
    let monitor = monitor_of(&workspace.directory());
    let templates = fs::canonicalize(home().join("templates")).unwrap();
    fs::read_dir(format!("/proc/{monitor}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .find(|file| file.starts_with(&templates) && file.ends_with("ram"))
        .and_then(|ram| ram.parent().map(Path::to_owned))
        .expect("a monitor whose memory is a template's")
}

/// The first whole line of the witness on a console.
async fn witnessed(console: &Path) -> String {
    let line = async {
        loop {
            let text = text(&fs::read(console).unwrap_or_default());
            let mut words = text.split("witness ").skip(1);
            if let Some((bytes, _)) = words.find_map(|word| word.split_once(" end")) {
                return bytes.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, line).await.expect("the witness says something")
}

/// A stream to a guest that knows who it is.
pub(super) struct Guest {
    stream: UnixStream,
    buffer: BytesMut,
    last_stream: u32,
}

impl Guest {
    async fn open(stream: UnixStream, token: &Token, begin: Begin) -> Self {
        let mut guest = Self { stream, buffer: BytesMut::new(), last_stream: 0 };
        let nonce = random();
        guest.stream.write_all(&opening(token, &nonce)).await.unwrap();
        while skip_past(&mut guest.buffer, &nonce) == Skip::Missing {
            guest.fill().await;
        }
        guest.say(StreamId::EPOCH, &HostMessage::Begin(begin)).await;
        let answer = guest.next().await;
        assert!(matches!(control(&answer), Some(GuestMessage::Begun { .. })), "{answer:?}");
        guest
    }

    /// Runs a command that succeeds, and returns the little that it wrote.
    pub(super) async fn run(&mut self, argv: &[&str]) -> String {
        self.last_stream += 1;
        let stream = StreamId(self.last_stream);
        let exec = Exec {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            cwd: "/".to_owned(),
            ..Exec::default()
        };
        self.say(stream, &HostMessage::Exec(exec)).await;
        let mut written = Vec::new();
        loop {
            let frame = self.next().await;
            if let Body::Data(_, bytes) = &frame.body {
                written.extend_from_slice(bytes);
                continue;
            }
            match control(&frame).unwrap() {
                GuestMessage::Exited { end: End::Code { code: 0 }, .. } => return text(&written),
                answer @ (GuestMessage::Exited { .. } | GuestMessage::Refused { .. }) => {
                    panic!("{argv:?}: {answer:?}: {}", text(&written))
                }
                _ => {}
            }
        }
    }

    async fn say(&mut self, stream: StreamId, message: &HostMessage) {
        let mut bytes = BytesMut::new();
        frame::encode(&message::control(stream, message).unwrap(), &mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn next(&mut self) -> Frame {
        loop {
            match frame::decode(&mut self.buffer).unwrap() {
                Some(frame) => return frame,
                None => self.fill().await,
            }
        }
    }

    async fn fill(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer);
        let count = tokio::time::timeout(PATIENCE, read).await.expect("the guest speaks").unwrap();
        assert_ne!(count, 0, "the guest is gone");
    }
}

fn control(frame: &Frame) -> Option<GuestMessage> {
    match &frame.body {
        Body::Control(payload) => Some(message::parse(frame.stream, payload).unwrap()),
        Body::Data(..) => None,
    }
}
