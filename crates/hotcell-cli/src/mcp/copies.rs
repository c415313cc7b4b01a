//! What was copied into the operator's folder, as resources.

use ::mcp::{Copied, Outbox};
use workspace::{CopiedFile, Governed};
use workspace_api::profile;

/// The folder of `--export-dir`, as far as a server may read in it.
pub(super) const OUTBOX: Outbox<Governed> = Outbox {
    address: profile::COPIES,
    list: |governed| {
        Box::pin(async move {
            let found = governed.copied_files().await?.into_iter();
            let copied = found.map(|CopiedFile { name, from, bytes }| Copied {
                name,
                about: format!("Copied out: {from}"),
                bytes,
            });
            Ok(copied.collect())
        })
    },
    read: |governed, name, bytes_max| Box::pin(governed.copied_file(name, bytes_max)),
};
