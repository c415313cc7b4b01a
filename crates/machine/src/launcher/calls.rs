//! Which system calls a monitor cannot make: two seccomp filters.
//!
//! They refuse with an error instead of killing, because libraries probe for
//! some of these calls and go on without them. Sockets need no exception: all
//! that a monitor has were made before. QEMU adds its own, narrower filter
//! (`-sandbox`) once it is up; this one holds from its first instruction and
//! whatever its build lacks.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// A filter that allows everything else would let these pass under their
/// numbers of the x32 ABI, which share the architecture's mark.
const X32_BIT: i64 = 0x4000_0000;

/// Calls that a monitor never needs, by what they would open up.
const REFUSED: &[i64] = &[
    // The network, and anything else that has a socket.
    libc::SYS_socket,
    // A second way to do I/O, past this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts, roots and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // Keys.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Large parts of the kernel with a history.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // The host itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
];

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Applies both filters to the calling thread, which needs `no_new_privs`.
pub(super) fn confine() -> Result<(), seccompiler::Error> {
    for (rules, errno) in [
        // A filter cannot see the flags of `clone3`; told that it does not
        // exist, the C library uses `clone`.
        (rules(&[libc::SYS_clone3], BTreeMap::new()), libc::ENOSYS),
        (rules(REFUSED, namespace_rules()?), libc::EPERM),
    ] {
        let errno = errno.unsigned_abs();
        let arch = TargetArch::x86_64;
        let action = SeccompAction::Errno(errno);
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)
            .map_err(seccompiler::Error::Backend)?;
        let program: BpfProgram = filter.try_into().map_err(seccompiler::Error::Backend)?;
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(calls: &[i64], mut rules: Rules) -> Rules {
    rules.extend(calls.iter().flat_map(|call| [(*call, vec![]), (*call | X32_BIT, vec![])]));
    rules
}

fn namespace_rules() -> Result<Rules, seccompiler::Error> {
    let mut flags = Vec::new();
    for flag in NAMESPACE_FLAGS {
        let flag = u64::from(flag.unsigned_abs());
        let wanted = SeccompCmpOp::MaskedEq(flag);
        let set = SeccompCondition::new(0, SeccompCmpArgLen::Qword, wanted, flag)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(seccompiler::Error::Backend)?;
        flags.push(set);
    }
    Ok([libc::SYS_clone, libc::SYS_clone | X32_BIT]
        .into_iter()
        .map(|call| (call, flags.clone()))
        .collect())
}
