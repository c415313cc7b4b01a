//! Files that calls have copied out, read by address.

use operation::view::{encoded, filled};
use operation::{BoxFuture, OpError};
use rmcp::model::{Resource, ResourceTemplate};

/// Something that is looked up.
type Lookup<'a, T> = BoxFuture<'a, Result<T, OpError>>;

/// Where what was copied out lies, and how it is read.
pub struct Outbox<H> {
    /// The address of one, with a blank for its name.
    pub address: &'static str,
    /// Says what there is.
    pub list: for<'a> fn(&'a H) -> Lookup<'a, Vec<Copied>>,
    /// Reads what has that name, if it has at most so many bytes.
    pub read: for<'a> fn(&'a H, &'a str, u64) -> Lookup<'a, Vec<u8>>,
}

/// A file that was copied out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub about: String,
    /// Its length.
    pub bytes: u64,
}

impl<H> std::fmt::Debug for Outbox<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<H> Outbox<H> {
    pub(super) fn template(&self) -> ResourceTemplate {
        ResourceTemplate::new(self.address, "Exported file")
            .with_description("A file that was copied out of a workspace")
    }

    pub(super) fn resource(&self, copied: Copied) -> Resource {
        let (before, _) = self.address.split_once('{').unwrap_or((self.address, ""));
        let address = format!("{before}{}", encoded(&copied.name));
        Resource::new(address, copied.name).with_description(copied.about).with_size(copied.bytes)
    }

    /// The name that an address means.
    pub(super) fn name(&self, address: &str) -> Option<String> {
        filled(self.address, address)?.pop().map(|(_, name)| name)
    }
}
