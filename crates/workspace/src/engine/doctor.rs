//! `doctor`: what this host can do, and why.

use environment::{Presence, tools};
use machine::kvm::KvmVerdict;
use machine::launcher::abilities;
use operation::{Call, Handler, NoEvents, OpError};
use workspace_api::doctor::{Diagnosis, Doctor, Finding, FindingStatus, Verdict};
use workspace_api::prepare::Warmth;
use workspace_api::spec::{Accelerator, Shape};

use super::Engine;
use super::readiness::{StaleBecause, TemplateState, prepare_command};
use crate::host::{HostFacts, available_memory, free_bytes};
use crate::machines::{MonitorUsers, monitor_users};
use crate::settings::{AcceleratorChoice, find_program};

/// Below this much free disk, in bytes, an environment cannot be built.
const DISK_MIN: u64 = 2 << 30;

/// What a workspace's monitor needs beside the guest's memory, in bytes.
const MEMORY_HEADROOM: u64 = 256 << 20;

impl Handler<Doctor> for Engine {
    async fn handle(&self, doctor: Doctor, _: &mut Call<NoEvents>) -> Result<Diagnosis, OpError> {
        let facts = HostFacts::load(&self.home, &self.settings)?;
        let accelerator = facts.accelerator(self.settings.accelerator);
        let mut findings = vec![
            monitor(&facts),
            kvm(&facts.kvm, self.settings.accelerator),
            confinement(),
            memory(doctor.shape),
            self.disk(),
        ];
        findings.extend(self.programs());
        let mut warm = false;
        if facts.monitor.is_some() && accelerator.is_ok() {
            let readiness = self.readiness(&doctor.environment, doctor.shape)?;
            let prepare = prepare_command(&doctor.environment, doctor.shape);
            findings.push(match &readiness.environment {
                Some(record) => good(
                    "environment",
                    format!("{} is here: {}", doctor.environment, record.manifest.digest),
                ),
                None => warning(
                    "environment",
                    format!("{} is not built yet", doctor.environment),
                    format!("build it: `{prepare}`"),
                ),
            });
            warm = readiness.template.warmth() == Warmth::Warm;
            findings.push(template(&readiness.template, doctor.shape, &prepare));
        }
        let failed = findings.iter().any(|finding| finding.status == FindingStatus::Failed);
        Ok(Diagnosis {
            verdict: match (failed, warm) {
                (true, _) => Verdict::Unable,
                (false, true) => Verdict::Ready,
                (false, false) => Verdict::NotPrepared,
            },
            accelerator: accelerator.ok(),
            findings,
        })
    }
}

pub(super) fn good(subject: &str, seen: impl Into<String>) -> Finding {
    finding(subject, FindingStatus::Good, seen, None)
}

pub(super) fn warning(
    subject: &str,
    seen: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    finding(subject, FindingStatus::Warning, seen, Some(remedy.into()))
}

pub(super) fn failed(subject: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Finding {
    finding(subject, FindingStatus::Failed, seen, Some(remedy.into()))
}

fn finding(
    subject: &str,
    status: FindingStatus,
    seen: impl Into<String>,
    remedy: Option<String>,
) -> Finding {
    Finding { subject: subject.to_owned(), status, seen: seen.into(), remedy }
}

fn monitor(facts: &HostFacts) -> Finding {
    match &facts.monitor {
        Some(monitor) => {
            good("monitor", format!("QEMU {} at {}", monitor.version, monitor.program.display()))
        }
        None => failed(
            "monitor",
            "QEMU is not installed",
            "install it: `apt-get install qemu-system-x86 qemu-utils`",
        ),
    }
}

fn kvm(verdict: &KvmVerdict, choice: AcceleratorChoice) -> Finding {
    if choice == AcceleratorChoice::Only(Accelerator::Tcg) {
        return warning(
            "kvm",
            format!("not used, because emulation was asked for; here it is: {verdict}"),
            "unset HOTCELL_ACCELERATOR to use it when it works",
        );
    }
    let remedy = match verdict {
        KvmVerdict::Usable { .. } => return good("kvm", verdict.to_string()),
        KvmVerdict::Missing => {
            "switch virtualisation on in the firmware, or in the host of this virtual machine; \
             until then guests are emulated, five to twelve times slower"
        }
        KvmVerdict::Denied => {
            "join the group that owns /dev/kvm: `adduser $USER kvm`, then log in again"
        }
        KvmVerdict::TooSlow { .. } | KvmVerdict::Failed { .. } => {
            "nothing in Hotcell: this host offers /dev/kvm without hardware behind it, \
             so guests are emulated, five to twelve times slower"
        }
    };
    match choice {
        AcceleratorChoice::Only(_) => failed("kvm", verdict.to_string(), remedy),
        AcceleratorChoice::Auto => warning("kvm", verdict.to_string(), remedy),
    }
}

fn confinement() -> Finding {
    let abilities = abilities();
    let user = match monitor_users() {
        MonitorUsers::Own => "a user of their own",
        MonitorUsers::Callers => "your user",
    };
    match (abilities.landlock_abi, abilities.seccomp) {
        (Some(abi), true) => good(
            "confinement",
            format!("monitors run as {user} with seccomp and Landlock (ABI {abi})"),
        ),
        (None, true) => warning(
            "confinement",
            format!("monitors run as {user} with seccomp, but this kernel has no Landlock"),
            "use a kernel with Landlock (5.13 or newer, `lsm=landlock,…`), so that a monitor \
             that a guest has taken over cannot read your files",
        ),
        (_, false) => failed(
            "confinement",
            "this kernel has no seccomp filters",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn memory(shape: Shape) -> Finding {
    let needed = (u64::from(shape.memory_mib) << 20) + MEMORY_HEADROOM;
    match available_memory() {
        None => warning("memory", "cannot be learnt", "mount /proc"),
        Some(available) if available < needed => warning(
            "memory",
            format!("{} MiB available, a workspace may use {} MiB", available >> 20, needed >> 20),
            "choose a smaller `--memory-mib`, or end something else",
        ),
        Some(available) => good("memory", format!("{} MiB available", available >> 20)),
    }
}

fn template(state: &TemplateState, shape: Shape, prepare: &str) -> Finding {
    match state {
        TemplateState::Warm(_) => good("template", format!("warm for {shape}")),
        TemplateState::Cold => warning(
            "template",
            format!("cold: there is none for {shape}"),
            format!("make it: `{prepare}`"),
        ),
        TemplateState::Stale(StaleBecause::IngredientsChanged) => warning(
            "template",
            format!(
                "stale: environment, kernel, QEMU or Hotcell changed since it was made for {shape}"
            ),
            format!("make it again: `{prepare}`"),
        ),
        TemplateState::Stale(StaleBecause::Tampered) => warning(
            "template",
            "stale: its files were written to after it was saved",
            format!("make it again: `{prepare}`"),
        ),
    }
}

impl Engine {
    fn disk(&self) -> Finding {
        let path = self.home.path().display();
        match free_bytes(self.home.path()) {
            None => warning("disk", format!("free space at {path} cannot be learnt"), "check it"),
            Some(free) if free < DISK_MIN => warning(
                "disk",
                format!("{} MiB free at {path}", free >> 20),
                "free some space, or set HOTCELL_HOME to a larger disk; `hotcell env prune` \
                 removes what nothing needs",
            ),
            Some(free) => good("disk", format!("{} MiB free at {path}", free >> 20)),
        }
    }

    /// The programs that the one-time work needs. Without them what is prepared
    /// still runs, so a missing one is no failure of the main job.
    fn programs(&self) -> Vec<Finding> {
        let mut missing: Vec<(String, String)> = tools()
            .into_iter()
            .filter(|tool| matches!(tool.presence, Presence::Missing))
            .map(|tool| (tool.name.to_owned(), tool.package.to_owned()))
            .collect();
        if find_program("qemu-img", &self.settings.search_path).is_none() {
            missing.push(("qemu-img".to_owned(), "qemu-utils".to_owned()));
        }
        if missing.is_empty() {
            return vec![good("programs", "everything that `hotcell prepare` needs is installed")];
        }
        missing
            .into_iter()
            .map(|(name, package)| {
                warning(
                    "programs",
                    format!("`{name}` is missing, so environments cannot be built"),
                    format!("install it: `apt-get install {package}`"),
                )
            })
            .collect()
    }
}
