//! All unsafe code of the agent: starting a program, and the few ioctls, signals
//! and promises for which no safe wrapper exists.
//!
//! **Why not `std::process`.** It copies the agent's page tables and starts the
//! child in the agent's own cgroup. Moving a process between cgroups waits for
//! a grace period of the whole kernel, ten milliseconds and more. Here the
//! child shares the agent's memory until it executes its program, and is born
//! in its cgroup; that is also what makes the reason of a failure a plain value
//! in memory instead of a pipe.
//!
//! While the child is in [`child`] it runs on its own stack and the calling
//! thread is suspended, so it may read what the caller prepared. It must
//! neither allocate nor panic, and only makes system calls.

use std::ffi::{CStr, CString, c_char, c_int, c_ulong};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::rc::Rc;

use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Stack of a child until it executes its program; its frames are few.
const STACK: usize = 64 * 1024;

/// Where one program is looked for, and what it is given.
#[derive(Debug)]
pub(crate) struct Program {
    /// Paths to try in this order.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
}

/// What becomes the controlling terminal of a program's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controlling {
    Nothing,
    /// The terminal that is its standard input.
    StandardInput,
}

/// Why a program did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// There was no child.
    Clone(io::Error),
    /// The child could not take its standard streams.
    Streams(io::Error),
    /// The child could not enter the working directory.
    WorkingDirectory(io::Error),
    /// No candidate could be executed.
    Execute(io::Error),
}

#[derive(Clone, Copy)]
enum Step {
    Streams,
    WorkingDirectory,
    Execute,
}

/// What a child needs, and where it leaves the reason of a failure.
struct Plan {
    candidates: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: *const c_char,
    streams: [c_int; 3],
    controlling: Controlling,
    failure: Option<(Step, c_int)>,
}

/// Starts a program in a session and a process group of its own.
///
/// Blocks until the program runs or has failed to. The caller has to wait for
/// the process that is returned, and for no other.
pub(crate) fn start(
    program: &Program,
    streams: [BorrowedFd<'_>; 3],
    controlling: Controlling,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Pid, StartError> {
    let mut plan = Plan {
        candidates: pointers(&program.candidates),
        argv: pointers(&program.argv),
        env: pointers(&program.env),
        cwd: program.cwd.as_ptr(),
        streams: streams.map(|stream| stream.as_raw_fd()),
        controlling,
        failure: None,
    };
    let pid = clone(&mut plan, cgroup).map_err(StartError::Clone)?;
    // The child wrote through a pointer, behind the compiler's back.
    // SAFETY: `plan` is a live local variable.
    #[expect(unsafe_code, reason = "a volatile read has no safe form")]
    let failure = unsafe { ptr::read_volatile(&raw const plan.failure) };
    let Some((step, errno)) = failure else { return Ok(pid) };
    // It has ended already, so this does not block; its status says nothing.
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    let error = io::Error::from_raw_os_error(errno);
    Err(match step {
        Step::Streams => StartError::Streams(error),
        Step::WorkingDirectory => StartError::WorkingDirectory(error),
        Step::Execute => StartError::Execute(error),
    })
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the agent starts programs by x86-64 instructions only; see `clone`");

#[expect(unsafe_code, reason = "no library offers clone3 with a stack and a cgroup")]
fn clone(plan: &mut Plan, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Pid> {
    let mut stack = Vec::<u128>::with_capacity(STACK / mem::size_of::<u128>());
    // SAFETY: all-zero is a valid value of this plain struct of numbers.
    let mut args: libc::clone_args = unsafe { mem::zeroed() };
    let shared = libc::CLONE_VM | libc::CLONE_VFORK;
    args.flags = u64::from(shared.unsigned_abs()) | CLONE_CLEAR_SIGHAND;
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    args.stack = stack.as_mut_ptr() as u64;
    args.stack_size = STACK as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    let entry: extern "C" fn(*mut Plan) -> ! = child;
    let result: i64;
    // SAFETY: the parent only sees a system call that changes rax, rcx and r11.
    // The child gets the stack given above, whose end is 16-byte aligned as the
    // call needs it, and never comes back from `child`; `plan` and the stack
    // outlive it, because this thread sleeps until the child has let go of the
    // shared memory (CLONE_VFORK). No signal handler runs in it, because
    // CLONE_CLEAR_SIGHAND takes them away before its first instruction.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw mut args,
            in("rsi") mem::size_of::<libc::clone_args>(),
            in("r12") plan,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    drop(stack);
    match i32::try_from(result).ok().and_then(Pid::from_raw) {
        Some(pid) if result > 0 => Ok(pid),
        _ => Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL))),
    }
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The life of a child up to its program.
#[expect(unsafe_code, reason = "between clone and exec there are only system calls")]
extern "C" fn child(plan: *mut Plan) -> ! {
    // SAFETY: `plan` points to the variable of `start`, whose thread sleeps. All
    // calls are async-signal-safe system calls with valid arguments: pointers
    // to terminated strings and to arrays that end with a null pointer.
    unsafe {
        let plan = &mut *plan;
        let failure = prepare(plan).unwrap_or_else(|| (Step::Execute, execute(plan)));
        ptr::write_volatile(&raw mut plan.failure, Some(failure));
        libc::_exit(127)
    }
}

/// Gives the child its streams, session, signals and directory.
#[expect(unsafe_code, reason = "see `child`")]
unsafe fn prepare(plan: &Plan) -> Option<(Step, c_int)> {
    // SAFETY: see `child`.
    unsafe {
        libc::setsid();
        for (target, source) in (0..).zip(plan.streams) {
            if libc::dup2(source, target) < 0 {
                return Some((Step::Streams, errno()));
            }
        }
        if plan.controlling == Controlling::StandardInput && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0
        {
            return Some((Step::Streams, errno()));
        }
        // The Rust runtime ignores SIGPIPE, and what is ignored is inherited.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        // The agent is exempt from the out-of-memory killer, commands are not.
        // The kernel leaves the agent alone here: it knows a child of vfork.
        let file =
            libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            libc::write(file, c"0".as_ptr().cast(), 1);
        }
        if libc::chdir(plan.cwd) < 0 {
            return Some((Step::WorkingDirectory, errno()));
        }
        None
    }
}

/// Tries the candidates as `execvp` would; the reason why none was executed.
#[expect(unsafe_code, reason = "see `child`")]
unsafe fn execute(plan: &Plan) -> c_int {
    let mut reason = libc::ENOENT;
    for &candidate in &plan.candidates {
        if candidate.is_null() {
            break;
        }
        // SAFETY: see `child`.
        unsafe {
            libc::execve(candidate, plan.argv.as_ptr(), plan.env.as_ptr());
            match errno() {
                libc::ENOENT | libc::ENOTDIR => {}
                // A later directory may hold one that can be executed.
                libc::EACCES => reason = libc::EACCES,
                other => return other,
            }
        }
    }
    reason
}

#[expect(unsafe_code, reason = "see `child`")]
unsafe fn errno() -> c_int {
    // SAFETY: the location is valid for the life of the thread.
    unsafe { *libc::__errno_location() }
}

/// Signals a whole process group, with any number the kernel knows.
#[expect(unsafe_code, reason = "the safe wrapper knows no real-time signals")]
pub(crate) fn signal_group(leader: Pid, number: i32) {
    // SAFETY: kill only takes numbers. A group that is gone is no error here.
    unsafe { libc::kill(-leader.as_raw_pid(), number) };
}

/// Drops what the kernel caches of a block device.
pub(crate) fn flush_buffers(device: BorrowedFd<'_>) -> io::Result<()> {
    const BLKFLSBUF: c_ulong = 0x1261;
    control(device, BLKFLSBUF, ptr::null_mut::<u8>())
}

/// Gives random bytes to the kernel's generator, counts all of their bits, and
/// makes it use them at once.
pub(crate) fn add_entropy(generator: BorrowedFd<'_>, bytes: [u8; 32]) -> io::Result<()> {
    #[repr(C)]
    struct PoolInfo {
        bits: c_int,
        size: c_int,
        bytes: [u8; 32],
    }
    const RNDADDENTROPY: c_ulong = 0x4008_5203;
    const RNDRESEEDCRNG: c_ulong = 0x5207;
    let mut info = PoolInfo { bits: 256, size: 32, bytes };
    control(generator, RNDADDENTROPY, &raw mut info)?;
    control(generator, RNDRESEEDCRNG, ptr::null_mut::<u8>())
}

#[expect(unsafe_code, reason = "an ioctl has no safe form")]
fn control<T>(file: BorrowedFd<'_>, request: c_ulong, argument: *mut T) -> io::Result<()> {
    // SAFETY: the callers above pass what their request reads, and none of
    // these requests writes to its argument.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A descriptor that the runtime watches.
pub(crate) type Watched = AsyncFd<Rc<OwnedFd>>;

/// Lets the runtime watch a descriptor, which has to be non-blocking.
#[expect(unsafe_code, reason = "the runtime has to be promised that the descriptor stays open")]
pub(crate) fn watch(fd: Rc<OwnedFd>, interest: Interest) -> io::Result<Watched> {
    // SAFETY: an `OwnedFd` behind an `Rc` keeps its descriptor open, and the
    // same one, for as long as the registration holds the `Rc`.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// The terminated form of a string from the host, unless it holds a zero byte.
pub(crate) fn terminated(text: &str) -> Option<CString> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    CStr::from_bytes_with_nul(&bytes).ok().map(CStr::to_owned)
}
