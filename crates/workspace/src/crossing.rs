//! Trees that cross between host and guest after a workspace was created.
//!
//! ```text
//!   host ──select──▶ plan ──archive──▶ guest       sync push    (push)
//!   guest ──archive──▶ staged ──checked──▶ host    export       (outgoing)
//!   guest ──archive──▶ judged ──journal──▶ host    apply back   (apply)
//! ```
//!
//! * [`apply`]: what changed, applied to a checkout of the host.
//! * [`stream`]: the bytes of a tool in the guest, for code that waits.
//! * [`listing`]: what lies below a directory of the guest.
//! * [`push`]: what of a host's tree has to be sent.
//! * [`outgoing`]: what leaves a workspace, from the guest's bytes to the host's
//!   name. Nothing leaves by another way.
//!
//! Each direction has one side that is foreign. Archives are unpacked beneath a
//! root that is never left, within limits, and nothing on the host has its name
//! before it is whole.

pub(crate) mod apply;
pub(crate) mod listing;
pub(crate) mod outgoing;
pub(crate) mod push;
pub(crate) mod stream;
