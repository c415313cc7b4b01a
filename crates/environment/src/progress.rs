//! What a caller hears while it waits.

/// What a build is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Somebody else builds the same thing; its result will be used.
    Waiting,
    /// Package lists and packages come over the network.
    Downloading,
    /// Packages are unpacked and set up.
    Installing,
    /// The result is written into its final format.
    Packing,
    /// The result is synced and published.
    Finishing,
}

/// One event for a progress bar. Phases never go backwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What the build is at.
    pub phase: Phase,
    /// How much of the phase is done, from 0 to 1, where that is known.
    pub fraction: Option<f64>,
    /// How many bytes of the result were written, where that is known.
    pub bytes: Option<u64>,
}

impl Progress {
    pub(crate) const fn phase(phase: Phase) -> Self {
        Self { phase, fraction: None, bytes: None }
    }
}

/// Whether a thing that is already there is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rebuild {
    /// What is there is used.
    #[default]
    IfMissing,
    /// It is made anew; what was there stays until it is pruned.
    Always,
}
