//! Whether this host has room for one more machine.
//!
//! Guests get memory from the host as they touch it, so what machines may use in all
//! can be more than the host has, and usually nobody notices. What is refused is a
//! machine that would not fit even if it touched next to nothing, and whatever exceeds
//! what the operator allows. Several who ask at the same moment may exceed that by
//! what they ask for.

use operation::{ErrorKind, OpError};
use workspace_api::spec::Shape;

use super::Engine;
use crate::host::available_memory;
use crate::settings::{MACHINES_VARIABLE, MEMORY_VARIABLE, MachineLimits};

/// What a machine and its keeper use at least once they accept commands, in MiB.
const MACHINE_MIB: u64 = 96;

/// What is left to the rest of the host, in MiB.
const RESERVE_MIB: u64 = 128;

/// What is taken of the host.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Machines that run or are about to.
    machines: u32,
    /// Memory that they may use in all, in MiB.
    promised_mib: u64,
    /// What the host can give to new processes, in MiB, if it says so.
    available_mib: Option<u64>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NoRoom {
    #[error("{machines} machines run on this host, and no more than {most} may")]
    Machines { machines: u32, most: u32 },
    #[error(
        "a machine with {wanted} MiB is one too many: those that run may use {promised} MiB, and \
         all together no more than {most} MiB"
    )]
    Promised { wanted: u32, promised: u64, most: u64 },
    #[error("the host has {available} MiB of memory left, and a machine needs at least {needed}")]
    Memory { available: u64, needed: u64 },
}

fn judge(limits: MachineLimits, room: Room, wanted: Shape) -> Result<(), NoRoom> {
    let Room { machines, promised_mib, available_mib } = room;
    if machines >= limits.machines {
        return Err(NoRoom::Machines { machines, most: limits.machines });
    }
    if let Some(most) = limits.memory_mib
        && promised_mib.saturating_add(wanted.memory_mib.into()) > most
    {
        let (wanted, promised) = (wanted.memory_mib, promised_mib);
        return Err(NoRoom::Promised { wanted, promised, most });
    }
    let needed = MACHINE_MIB + RESERVE_MIB;
    match available_mib {
        Some(available) if available < needed => Err(NoRoom::Memory { available, needed }),
        _ => Ok(()),
    }
}

impl Engine {
    /// Refuses a machine of a shape that the host has no room for.
    pub(super) fn admit(&self, wanted: Shape) -> Result<(), OpError> {
        let (machines, promised_mib) = self.store.machines()?;
        let available_mib = available_memory().map(|bytes| bytes >> 20);
        let room = Room { machines, promised_mib, available_mib };
        judge(self.settings.limits, room, wanted).map_err(|refusal| {
            let variable = match refusal {
                NoRoom::Machines { .. } => Some(MACHINES_VARIABLE),
                NoRoom::Promised { .. } => Some(MEMORY_VARIABLE),
                NoRoom::Memory { .. } => None,
            };
            let error = OpError::new(ErrorKind::Exhausted, &refusal).hinted(
                "put some aside with `hotcell workspace hibernate`: `hotcell workspace list \
                 --state running` lists those that run",
            );
            match variable {
                Some(variable) => error.hinted(format!("{variable} allows for more")),
                None => error,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MachineLimits = MachineLimits { machines: 3, memory_mib: Some(4096) };

    fn judged(machines: u32, promised_mib: u64, available_mib: Option<u64>) -> Result<(), NoRoom> {
        judge(LIMITS, Room { machines, promised_mib, available_mib }, Shape::default())
    }

    #[test]
    fn a_machine_is_refused_when_any_limit_is_reached() {
        assert_eq!(judged(2, 3072, Some(224)), Ok(()));
        assert_eq!(judged(2, 3072, None), Ok(()));
        assert_eq!(judged(3, 0, None), Err(NoRoom::Machines { machines: 3, most: 3 }));
        let promised = NoRoom::Promised { wanted: 1024, promised: 3073, most: 4096 };
        assert_eq!(judged(0, 3073, None), Err(promised));
        let memory = NoRoom::Memory { available: 223, needed: 224 };
        assert_eq!(judged(0, 0, Some(223)), Err(memory));
    }
}
