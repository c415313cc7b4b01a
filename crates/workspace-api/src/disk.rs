//! The disks of a stopped workspace, without booting it.

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::{FileContent, LIST_DEFAULT, Listing, READ_DEFAULT};
use crate::id::{WorkspaceId, WorkspaceRef};
use operation::text_value;

/// A path in a guest: absolute. A name that is no text is written in double
/// quotes with octal escapes, as git does; results write it the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GuestPath(String);

impl GuestPath {
    /// Longest text, in bytes: the longest path with every byte escaped.
    pub const LENGTH_MAX: usize = 4 * 4096 + 2;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for GuestPath {
    fn default() -> Self {
        Self("/workspace".to_owned())
    }
}

impl FromStr for GuestPath {
    type Err = NotAGuestPath;

    fn from_str(text: &str) -> Result<Self, NotAGuestPath> {
        let is_absolute = text.starts_with('/') || text.starts_with("\"/");
        let valid = is_absolute && text.len() <= Self::LENGTH_MAX && !text.contains('\0');
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAGuestPath) }
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no path in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path in a guest begins with `/` and has up to {} bytes without NUL",
    GuestPath::LENGTH_MAX
)]
pub struct NotAGuestPath;

text_value!(GuestPath, "^\"?/[^\\x00]*$");

const fn list_default() -> u32 {
    LIST_DEFAULT
}

const fn read_default() -> u32 {
    READ_DEFAULT
}

/// List what lies on the disks of a stopped workspace
///
/// Nothing is booted and no link is followed. Sorted; a long list ends with the
/// path after which the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Directory in the guest
    #[arg(default_value_t)]
    #[serde(default)]
    pub path: GuestPath,
    /// Everything below it, not only what lies in it
    #[arg(long)]
    #[serde(default)]
    pub recursive: bool,
    /// Continue after this path
    #[arg(long, value_name = "PATH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<GuestPath>,
    /// Most entries
    #[arg(long, default_value_t = LIST_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[serde(default = "list_default")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
}

impl Operation for List {
    type Output = Listing;
    type Event = NoEvents;
    const NAME: &'static str = "disk.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo /etc --recursive",
        json: r#"{"workspace": "demo", "path": "/etc", "recursive": true}"#,
    }];
}

/// Read a file from the disks of a stopped workspace
///
/// Nothing is booted and no link is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// File in the guest
    pub path: GuestPath,
    /// First byte, counted from zero
    #[arg(long, value_name = "BYTE", default_value_t = 0)]
    #[serde(default)]
    pub offset: u64,
    /// Most bytes
    #[arg(long, default_value_t = READ_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    #[serde(default = "read_default")]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub max_bytes: u32,
    /// Tell it even if it holds the value of a secret that the workspace was given
    #[arg(long)]
    #[serde(default)]
    pub allow_secrets: bool,
}

impl Operation for Read {
    type Output = FileContent;
    type Event = NoEvents;
    const NAME: &'static str = "disk.read";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo /etc/hostname",
        json: r#"{"workspace": "demo", "path": "/etc/hostname"}"#,
    }];
}

/// Copy a disk of a stopped workspace to a file of the host
///
/// One raw image, as sparse as the disk itself, with an ext4 file system that
/// any Linux can mount. A file that is there is never replaced. What is deleted
/// in the workspace may still lie on its disk, and is copied too. The disk is
/// searched for values of secrets in the order of its blocks: one whose blocks
/// do not follow each other is not found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// The new file on the host
    pub output: String,
    /// Which disk
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub drive: Drive,
    /// Copy it even if it holds the value of a secret that the workspace was given
    #[arg(long)]
    #[serde(default)]
    pub allow_secrets: bool,
}

impl Operation for Export {
    type Output = Exported;
    type Event = NoEvents;
    const NAME: &'static str = "disk.export";
    const EFFECT: Effect = Effect::Crosses;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo demo.ext4 --drive workspace",
        json: r#"{"workspace": "demo", "output": "demo.ext4", "drive": "workspace"}"#,
    }];
}

/// A disk of a workspace.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// With the root file system; and /workspace, unless it was seeded
    #[default]
    Root,
    /// With the /workspace of a workspace that was seeded
    Workspace,
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Workspace => "workspace",
        })
    }
}

/// A disk that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The file.
    pub output: String,
    /// Which disk.
    pub drive: Drive,
    /// How large the disk looks, in bytes.
    pub virtual_bytes: u64,
    /// How much of it was written, in bytes.
    pub written_bytes: u64,
}

impl Present for Exported {
    fn present(&self, screen: &mut Screen) {
        screen.line(&self.output);
        screen.note(format!(
            "{} MiB of a disk of {} MiB",
            self.written_bytes.div_ceil(1 << 20),
            self.virtual_bytes >> 20
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_name_something_in_a_guest() {
        for good in ["/", "/etc/passwd", "\"/no\\377text\""] {
            assert_eq!(good.parse::<GuestPath>().unwrap().to_string(), good);
        }
        for bad in ["", "etc", "./x", "/a\0b"] {
            assert!(bad.parse::<GuestPath>().is_err(), "{bad}");
        }
    }
}
