//! Changes of a workspace on their way to a checkout of the host.
//!
//! * [`plan`]: what a file's three states mean.
//! * [`danger`]: which changes can make the host run something.
//! * [`host`]: what the host has, read beneath the checkout's root.
//! * [`journal`]: all changes or none, also when killed.
//!
//! Both the workspace and the checkout are foreign: no path is believed, no link
//! on the host is followed, and git is asked nothing that could run a program of
//! the repository's choice.

pub(crate) mod danger;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod plan;
