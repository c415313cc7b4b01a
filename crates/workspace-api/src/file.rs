//! What lies in a workspace's `/workspace`.

mod result;
mod search;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::result::{
    Changed, Copied, Edited, Entry, EntryKind, FileContent, Listing, Removed, Written,
};
pub use self::search::{Found, FoundLine, Search};
use crate::id::WorkspaceRef;
use crate::path::{FileMode, LineRange, PathText};

/// How much of a file is read at once unless somebody asks for more, in bytes.
pub const READ_DEFAULT: u32 = 64 * 1024;

/// How many entries are listed at once unless somebody asks for more.
pub const LIST_DEFAULT: u32 = 1000;

const fn read_default() -> u32 {
    READ_DEFAULT
}

const fn list_default() -> u32 {
    LIST_DEFAULT
}

/// Which of the entries below a directory are meant
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Only what matches, as in .gitignore; `!GLOB` leaves out (can be repeated)
    #[arg(long, value_name = "GLOB")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub glob: Vec<String>,
    /// Do not skip .git and what ignore files name
    #[arg(long)]
    pub ignored: bool,
}

/// List what lies in a directory of a workspace
///
/// Sorted; `.git` and what `.gitignore` names are skipped unless asked for. A
/// long list ends with the path after which the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Directory or file in /workspace
    #[arg(default_value_t)]
    #[serde(default)]
    pub path: PathText,
    /// Everything below it, not only what lies in it
    #[arg(long)]
    #[serde(default)]
    pub recursive: bool,
    /// Which entries
    #[command(flatten)]
    #[serde(default)]
    pub selection: Selection,
    /// Continue after this path
    #[arg(long, value_name = "PATH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PathText>,
    /// Most entries
    #[arg(long, default_value_t = LIST_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[serde(default = "list_default")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
}

impl Operation for List {
    type Output = Listing;
    type Event = NoEvents;
    const NAME: &'static str = "file.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo src --recursive --glob *.rs"#,
        json: r#"{"workspace": "demo", "path": "src", "recursive": true, "selection": {"glob": ["*.rs"]}}"#,
    }];
}

/// Describe a file, directory or link of a workspace
///
/// A symbolic link is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Stat {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub path: PathText,
}

impl Operation for Stat {
    type Output = Entry;
    type Event = NoEvents;
    const NAME: &'static str = "file.stat";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo src/main.rs"#,
        json: r#"{"workspace": "demo", "path": "src/main.rs"}"#,
    }];
}

/// Read a file of a workspace, or a part of it
///
/// Files of any size can be read in parts: by lines, or from a byte on. What
/// is not text comes as base64 in JSON and as it is on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub path: PathText,
    /// Lines, such as 10-40
    #[arg(long, value_name = "LINES", conflicts_with = "offset")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LineRange>,
    /// First byte, counted from zero
    #[arg(long, value_name = "BYTE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Most bytes
    #[arg(long, default_value_t = READ_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    #[serde(default = "read_default")]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub max_bytes: u32,
    /// Read it even if it holds the value of a secret that the workspace was given
    #[arg(long)]
    #[serde(default)]
    pub allow_secrets: bool,
}

impl Operation for Read {
    type Output = FileContent;
    type Event = NoEvents;
    const NAME: &'static str = "file.read";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo src/main.rs --lines 10-40"#,
        json: r#"{"workspace": "demo", "path": "src/main.rs", "lines": "10-40"}"#,
    }];
}

/// Write a whole file of a workspace, atomically
///
/// The content is the given text, or else standard input. A file that is
/// replaced keeps its mode and owner; what is reported as written is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub path: PathText,
    /// The content [default: standard input, as it is]
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the text is
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub encoding: TextEncoding,
    /// Permission bits [default: those of the file that is replaced, else 644]
    #[arg(long, value_name = "OCTAL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// Create directories that are missing
    #[arg(long)]
    #[serde(default)]
    pub parents: bool,
    /// Fail if the file exists
    #[arg(long)]
    #[serde(default)]
    pub create_only: bool,
}

impl Operation for Write {
    type Output = Written;
    type Event = NoEvents;
    const NAME: &'static str = "file.write";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: r#"demo notes.md --text hello --parents"#,
            json: r#"{"workspace": "demo", "path": "notes.md", "text": "hello", "parents": true}"#,
        },
        Example {
            argv: r#"demo data --text AAH/ --encoding base64"#,
            json: r#"{"workspace": "demo", "path": "data", "text": "AAH/", "encoding": "base64"}"#,
        },
    ];
}

/// What a text that is given as content is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum TextEncoding {
    /// The content itself
    #[default]
    Plain,
    /// The content in base64, for bytes that are no text
    Base64,
}

impl TextEncoding {
    /// The content that a text stands for. Line ends in base64 mean nothing.
    ///
    /// # Errors
    ///
    /// If it is no base64.
    pub fn content(self, text: &str) -> Result<Cow<'_, [u8]>, NotBase64> {
        match self {
            Self::Plain => Ok(Cow::Borrowed(text.as_bytes())),
            Self::Base64 => {
                let digits: Vec<u8> =
                    text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                STANDARD.decode(digits).map(Cow::Owned).map_err(NotBase64)
            }
        }
    }
}

/// A text that is no base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text is no base64")]
pub struct NotBase64(#[source] base64::DecodeError);

/// Replace a text in a file of a workspace, atomically
///
/// Fails with `conflict`, naming the lines, unless the old text occurs exactly
/// once or all of its occurrences are to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub path: PathText,
    /// The text to replace, exactly as it is in the file
    #[arg(long)]
    pub old: String,
    /// What to put in its place
    #[arg(long)]
    pub new: String,
    /// Replace every occurrence
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
}

impl Operation for Edit {
    type Output = Edited;
    type Event = NoEvents;
    const NAME: &'static str = "file.edit";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo src/main.rs --old foo --new bar"#,
        json: r#"{"workspace": "demo", "path": "src/main.rs", "old": "foo", "new": "bar"}"#,
    }];
}

/// Create a directory in a workspace
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Mkdir {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub path: PathText,
    /// Create those above it too; one that exists is no failure
    #[arg(long)]
    #[serde(default)]
    pub parents: bool,
}

impl Operation for Mkdir {
    type Output = Changed;
    type Event = NoEvents;
    const NAME: &'static str = "file.mkdir";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo src/new --parents"#,
        json: r#"{"workspace": "demo", "path": "src/new", "parents": true}"#,
    }];
}

/// Give a file or directory of a workspace another path
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub from: PathText,
    /// The new path
    pub to: PathText,
    /// Create directories that are missing
    #[arg(long)]
    #[serde(default)]
    pub parents: bool,
    /// Replace a file that is there
    #[arg(long)]
    #[serde(default)]
    pub replace: bool,
}

impl Operation for Move {
    type Output = Changed;
    type Event = NoEvents;
    const NAME: &'static str = "file.move";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo old.rs new.rs"#,
        json: r#"{"workspace": "demo", "from": "old.rs", "to": "new.rs"}"#,
    }];
}

/// Copy a file of a workspace, or a directory with everything in it
///
/// Modes, owners, times and links are kept. The copy appears when it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub from: PathText,
    /// The new path
    pub to: PathText,
    /// Create directories that are missing
    #[arg(long)]
    #[serde(default)]
    pub parents: bool,
    /// Replace a file that is there
    #[arg(long)]
    #[serde(default)]
    pub replace: bool,
}

impl Operation for Copy {
    type Output = Copied;
    type Event = NoEvents;
    const NAME: &'static str = "file.copy";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo src backup"#,
        json: r#"{"workspace": "demo", "from": "src", "to": "backup"}"#,
    }];
}

/// Delete a file or directory of a workspace
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Path in /workspace
    pub path: PathText,
    /// A directory with everything in it
    #[arg(long)]
    #[serde(default)]
    pub recursive: bool,
}

impl Operation for Delete {
    type Output = Removed;
    type Event = NoEvents;
    const NAME: &'static str = "file.delete";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo target --recursive"#,
        json: r#"{"workspace": "demo", "path": "target", "recursive": true}"#,
    }];
}
