//! Whether KVM really runs guest code here, and fast.
//!
//! Some hosts offer `/dev/kvm` and still interpret the guest instruction by
//! instruction, so that the node's existence says nothing. The probe makes a
//! virtual machine of one page, runs a short real-mode loop on it and looks at
//! the clock. It does so on a thread of its own: a guest that does not come
//! back is left behind with that thread, which owns all it needs and ends with
//! the loop or the process.
//!
//! Who asks often should keep the verdict for as long as the host is up.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use serde::{Deserialize, Serialize};

/// Rounds of the guest's loop.
const ROUNDS: u32 = 100_000;

/// A loop that takes longer than this is not run by the processor. KVM inside an
/// emulated machine took 1 to 10 ms for it, hardware takes a tenth of that; a
/// host that interprets guest code took 54 to 84 ms.
const TOO_SLOW_US: u64 = 20_000;

/// Attempts, of which the fastest counts: a busy host can preempt one.
const ATTEMPTS: u32 = 3;

/// How long the probe as a whole may take.
const DEADLINE_MS: u64 = 500;

/// Where the guest's page lies; real-mode code reaches it with segment zero.
const GUEST_ADDRESS: u16 = 0x1000;

/// Size of the guest's memory, one page, in bytes.
const PAGE_BYTES: usize = 4096;

/// `mov ecx, ROUNDS; again: addr32 loop again; hlt`, in 16-bit code. The
/// rounds follow the two bytes of the first instruction.
const CODE_START: [u8; 2] = [0x66, 0xb9];
const CODE_END: [u8; 4] = [0x67, 0xe2, 0xfd, 0xf4];

/// What KVM is worth on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum KvmVerdict {
    /// It runs guest code at the processor's speed.
    Usable {
        /// Time of the test loop in microseconds.
        loop_us: u64,
    },
    /// There is no `/dev/kvm`.
    Missing,
    /// This user may not open `/dev/kvm`.
    Denied,
    /// It runs guest code, but no faster than emulation does.
    TooSlow {
        /// Time of the test loop in microseconds; if it did not end in time,
        /// how long it was waited for.
        loop_us: u64,
    },
    /// It is there and does not work.
    Failed {
        /// What was tried.
        step: String,
        /// Why it failed.
        reason: String,
    },
}

impl fmt::Display for KvmVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usable { loop_us } => {
                write!(f, "usable ({ROUNDS} guest instructions in {loop_us} µs)")
            }
            Self::Missing => write!(f, "there is no /dev/kvm"),
            Self::Denied => write!(f, "this user may not open /dev/kvm"),
            Self::TooSlow { loop_us } => write!(
                f,
                "too slow: {ROUNDS} guest instructions took {loop_us} µs, \
                 at most {TOO_SLOW_US} are expected of a processor"
            ),
            Self::Failed { step, reason } => write!(f, "cannot {step}: {reason}"),
        }
    }
}

/// Runs guest code under KVM and says what it is worth. Takes a few
/// milliseconds, and at most half a second.
pub fn probe() -> KvmVerdict {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return KvmVerdict::Denied,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return KvmVerdict::Missing,
        Err(error) => return failed("open /dev/kvm", error),
    }
    let (sender, receiver) = mpsc::channel();
    let started = Instant::now();
    let thread = thread::Builder::new().name("kvm-probe".into()).spawn(move || {
        // The receiver is gone if the deadline passed; nobody waits then.
        let _ = sender.send(fastest_loop());
    });
    if let Err(error) = thread {
        return failed("start a thread", error);
    }
    match receiver.recv_timeout(Duration::from_millis(DEADLINE_MS)) {
        Ok(verdict) => verdict,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            KvmVerdict::TooSlow { loop_us: micros(started.elapsed()) }
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => failed("run the probe", "its thread panicked"),
    }
}

fn fastest_loop() -> KvmVerdict {
    let mut fastest = u64::MAX;
    for _ in 0..ATTEMPTS {
        match time_loop() {
            Ok(loop_us) if loop_us <= TOO_SLOW_US => return KvmVerdict::Usable { loop_us },
            Ok(loop_us) => fastest = fastest.min(loop_us),
            Err(verdict) => return verdict,
        }
    }
    KvmVerdict::TooSlow { loop_us: fastest }
}

/// A page at a page's address, as KVM wants it.
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// Runs the loop in a new machine; its time in microseconds.
fn time_loop() -> Result<u64, KvmVerdict> {
    // Declared first, dropped last: the machine refers to it.
    let mut page = Box::new(Page([0; PAGE_BYTES]));
    let code: Vec<u8> = [&CODE_START[..], &ROUNDS.to_le_bytes()[..], &CODE_END[..]].concat();
    for (place, byte) in page.0.iter_mut().zip(code) {
        *place = byte;
    }
    let kvm = Kvm::new().map_err(|error| failed("open /dev/kvm", error))?;
    let vm = kvm.create_vm().map_err(|error| failed("create a machine", error))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: u64::from(GUEST_ADDRESS),
        memory_size: PAGE_BYTES as u64,
        userspace_addr: (&raw mut page.0) as u64,
    };
    #[expect(unsafe_code, reason = "KVM takes guest memory by address")]
    // SAFETY: the region is exactly the one page that `page` owns. It stays
    // there and is not touched through Rust until the machine is dropped, which
    // happens before `page` is, because it was declared later.
    unsafe { vm.set_user_memory_region(region) }
        .map_err(|error| failed("give the machine memory", error))?;
    let mut processor = vm.create_vcpu(0).map_err(|error| failed("create a processor", error))?;
    let mut segments = processor.get_sregs().map_err(|error| failed("read the segments", error))?;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    processor.set_sregs(&segments).map_err(|error| failed("set the segments", error))?;
    let mut registers =
        processor.get_regs().map_err(|error| failed("read the registers", error))?;
    registers.rip = u64::from(GUEST_ADDRESS);
    // Bit 1 of the flags is always set.
    registers.rflags = 2;
    processor.set_regs(&registers).map_err(|error| failed("set the registers", error))?;
    let started = Instant::now();
    let exit = processor.run().map_err(|error| failed("run the guest", error))?;
    let elapsed = started.elapsed();
    match exit {
        VcpuExit::Hlt => Ok(micros(elapsed)),
        other => Err(failed("run the guest", format!("unexpected exit {other:?}"))),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn failed(step: &str, reason: impl fmt::Display) -> KvmVerdict {
    KvmVerdict::Failed { step: step.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_agrees_with_the_node() {
        let verdict = probe();
        let there = std::path::Path::new("/dev/kvm").exists();
        assert_eq!(there, verdict != KvmVerdict::Missing, "{verdict}");
        match verdict {
            KvmVerdict::Usable { loop_us } => assert!(loop_us <= TOO_SLOW_US),
            KvmVerdict::TooSlow { loop_us } => assert!(loop_us > TOO_SLOW_US),
            KvmVerdict::Missing | KvmVerdict::Denied => {}
            KvmVerdict::Failed { .. } => panic!("{verdict}"),
        }
    }

    #[test]
    fn a_verdict_can_be_stored() {
        let verdict = KvmVerdict::TooSlow { loop_us: 30_000 };
        let text = serde_json::to_string(&verdict).expect("JSON");
        assert_eq!(text, r#"{"verdict":"too-slow","loop_us":30000}"#);
        assert_eq!(serde_json::from_str::<KvmVerdict>(&text).expect("a verdict"), verdict);
    }
}
