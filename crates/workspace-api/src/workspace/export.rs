//! Copying out of a workspace.

use operation::{Effect, Example, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crossing::{CrossingProgress, present_left_out};
use crate::id::WorkspaceRef;
use crate::path::PathText;
use crate::seed::LeftOut;

/// Copy a file, a directory or a symbolic link out of a workspace
///
/// What is at the new place is whole or not there. Contents, modes, times, links
/// of both kinds, holes and empty directories are kept; owners are not, set-id
/// bits, sockets and devices are left out and named. Something that is already
/// at the new place is only replaced if that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// What to copy, in /workspace; a symbolic link is copied itself
    pub path: PathText,
    /// Where it shall be on the host; a directory becomes an archive if this ends
    /// as archives do (.tar, .tar.gz, .tgz, .tar.zst)
    pub to: String,
    /// What happens to something that is already there
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    #[serde(default)]
    pub existing: Existing,
    /// Refuse anything that is of another kind
    #[arg(long, value_name = "KIND", value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ExportedKind>,
    /// Write one archive instead of a tree, whatever its name
    #[arg(long, value_name = "FORMAT", value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveFormat>,
    /// Most files, directories and links that are taken
    #[arg(long, value_name = "COUNT", default_value_t = Export::FILES_DEFAULT)]
    #[serde(default = "files_default")]
    pub max_files: u64,
    /// Most bytes of content that are taken, in MiB
    #[arg(long, value_name = "MIB", default_value_t = Export::MIB_DEFAULT)]
    #[serde(default = "mib_default")]
    pub max_mib: u64,
    /// Copy it even if it holds the value of a secret that the workspace was given
    #[arg(long)]
    #[serde(default)]
    pub allow_secrets: bool,
}

impl Export {
    /// How many files are taken unless it is said otherwise: as many as fit into
    /// a workspace.
    pub const FILES_DEFAULT: u64 = 1_000_000;
    /// How many bytes are taken unless it is said otherwise, in MiB.
    pub const MIB_DEFAULT: u64 = 16 * 1024;

    /// A copy to where nothing is yet.
    #[must_use]
    pub fn new(workspace: WorkspaceRef, path: PathText, to: impl Into<String>) -> Self {
        Self {
            workspace,
            path,
            to: to.into(),
            existing: Existing::default(),
            kind: None,
            archive: None,
            max_files: Self::FILES_DEFAULT,
            max_mib: Self::MIB_DEFAULT,
            allow_secrets: false,
        }
    }
}

const fn files_default() -> u64 {
    Export::FILES_DEFAULT
}

const fn mib_default() -> u64 {
    Export::MIB_DEFAULT
}

impl Operation for Export {
    type Output = Exported;
    type Event = CrossingProgress;
    const NAME: &'static str = "workspace.export";
    const EFFECT: Effect = Effect::Crosses;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "demo report.txt ./report.txt",
            json: r#"{"workspace": "demo", "path": "report.txt", "to": "./report.txt"}"#,
        },
        Example {
            argv: "demo dist dist.tar.zst --existing replace --kind directory",
            json: r#"{"workspace": "demo", "path": "dist", "to": "dist.tar.zst",
                      "existing": "replace", "kind": "directory"}"#,
        },
        Example {
            argv: "demo dist nightly --archive tar.gz",
            json: r#"{"workspace": "demo", "path": "dist", "to": "nightly", "archive": "tar.gz"}"#,
        },
    ];
}

/// What happens to something that is already there.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// It stays, and nothing is done.
    #[default]
    Refuse,
    /// It is replaced in one step, with everything in it.
    Replace,
}

/// How an archive is written.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
pub enum ArchiveFormat {
    /// tar, as POSIX extends it.
    #[serde(rename = "tar")]
    #[value(name = "tar")]
    Tar,
    /// The same, compressed with gzip.
    #[serde(rename = "tar.gz")]
    #[value(name = "tar.gz")]
    TarGz,
    /// The same, compressed with zstd.
    #[serde(rename = "tar.zst")]
    #[value(name = "tar.zst")]
    TarZst,
}

impl ArchiveFormat {
    /// The format that a file's name says.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        const ENDS: [(&str, ArchiveFormat); 4] = [
            (".tar", ArchiveFormat::Tar),
            (".tar.gz", ArchiveFormat::TarGz),
            (".tgz", ArchiveFormat::TarGz),
            (".tar.zst", ArchiveFormat::TarZst),
        ];
        ENDS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| *format)
    }
}

/// What was copied out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// What, relative to /workspace.
    pub path: String,
    /// Where it is now, on the host.
    pub to: String,
    /// What it is.
    pub kind: ExportedKind,
    /// Files, links and pipes.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of content, holes not counted.
    pub bytes: u64,
    /// What was not taken, and why: the first of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// How much was not taken.
    pub left_out_total: u64,
}

/// What is copied out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum ExportedKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl Present for Exported {
    fn present(&self, screen: &mut Screen) {
        let Self { path, to, files, directories, bytes, .. } = self;
        screen.line(to);
        screen.note(match self.kind {
            ExportedKind::File => format!("Copied the file {path}: {bytes} bytes"),
            ExportedKind::Symlink => format!("Copied the symbolic link {path}"),
            ExportedKind::Directory => {
                format!("Copied {path}: {files} files in {directories} directories, {bytes} bytes")
            }
        });
        present_left_out(screen, &self.left_out, self.left_out_total);
    }
}
