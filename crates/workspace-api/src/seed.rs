//! What a workspace starts with: a tree of the host that becomes `/workspace`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use operation::Screen;

/// Which tree becomes /workspace
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// Host directory or archive (zip; tar, also gzip, xz or zstd) whose copy becomes /workspace
    #[arg(id = "seed_path", long = "seed-path", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Which files of a git checkout are taken
    #[arg(
        id = "seed_files",
        long = "seed-files",
        value_name = "WHICH",
        value_enum,
        default_value_t
    )]
    pub files: SeedFiles,
    /// Git repository to clone on the host and to start from
    #[arg(id = "repo_url", long = "repo-url", value_name = "URL", conflicts_with = "seed_path")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_url: Option<String>,
    /// Branch, tag or commit of that repository [default: its default branch]
    #[arg(id = "repo_ref", long = "repo-ref", value_name = "REF", requires = "repo_url")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_ref: Option<String>,
}

impl Seed {
    /// A copy of a host directory or archive.
    #[must_use]
    pub fn from_path(path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..Self::default() }
    }

    /// A clone of a repository, at its default branch.
    #[must_use]
    pub fn from_repository(url: impl Into<String>) -> Self {
        Self { repo_url: Some(url.into()), ..Self::default() }
    }
}

/// Which files of a git checkout are taken. Elsewhere there are no ignored
/// files, and everything is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum SeedFiles {
    /// Tracked files and untracked ones that are not ignored.
    #[default]
    Unignored,
    /// Tracked files only.
    Tracked,
    /// Everything, also what is ignored.
    All,
}

/// What a workspace was seeded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeedReport {
    /// What it came from.
    pub source: SeedSource,
    /// Where that lay: a path of the host, or a URL.
    pub origin: String,
    /// The commit that was checked out, if it was a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Names the image, which all workspaces of the same tree share.
    pub image: String,
    /// Files and links, without git's own.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes in files, without git's own.
    pub bytes: u64,
    /// Bytes of git's own files.
    pub history_bytes: u64,
    /// The largest files.
    pub largest: Vec<SizedPath>,
    /// What was not taken, and why: the first of it.
    pub left_out: Vec<LeftOut>,
    /// How much was not taken.
    pub left_out_total: u64,
    /// Submodules of the checkout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submodules: Vec<Submodule>,
    /// Files that are only pointers of Git LFS, not the content: the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lfs_pointers: Vec<String>,
    /// How many such pointers there are.
    #[serde(default)]
    pub lfs_pointers_total: u64,
    /// Whether the image was there already.
    pub cached: bool,
}

impl SeedReport {
    /// Most items that are kept of a list; the rest is counted.
    pub const LIST_MAX: usize = 50;
    /// How many of the largest files are named.
    pub const LARGEST_MAX: usize = 5;

    /// Shows it as part of a workspace.
    pub(crate) fn present(&self, screen: &mut Screen) {
        let commit = self
            .commit
            .as_deref()
            .map(|commit| format!(" at {}", commit.get(..12).unwrap_or(commit)))
            .unwrap_or_default();
        screen.line(format!("Seed           {}{commit}", self.origin));
        let history = match self.history_bytes {
            0 => String::new(),
            bytes => format!(", {} KiB of history", bytes.div_ceil(1024)),
        };
        screen.line(format!(
            "               {} files, {} KiB{history}",
            self.files,
            self.bytes.div_ceil(1024)
        ));
        for LeftOut { path, reason } in &self.left_out {
            screen.note(format!("left out: {path} ({reason})"));
        }
        let unnamed = self.left_out_total.saturating_sub(self.left_out.len() as u64);
        if unnamed > 0 {
            screen.note(format!("left out: {unnamed} more"));
        }
        for Submodule { path, content } in &self.submodules {
            if *content == SubmoduleContent::Absent {
                screen.note(format!("submodule {path} is not checked out"));
            }
        }
        if self.lfs_pointers_total > 0 {
            screen.note(format!(
                "{} files are Git LFS pointers without their content; `git lfs pull` on the host \
                 fetches it",
                self.lfs_pointers_total
            ));
        }
    }
}

/// What a seed came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeedSource {
    /// A directory of the host.
    Directory,
    /// A git checkout on the host.
    Checkout,
    /// An archive on the host.
    Archive,
    /// A repository that was cloned for it.
    Repository,
}

impl SeedSource {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Checkout => "checkout",
            Self::Archive => "archive",
            Self::Repository => "repository",
        }
    }
}

/// A file and its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SizedPath {
    /// The file, relative to /workspace.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Something that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Where it lies, relative to the source.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A submodule of a checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submodule {
    /// Where it lies.
    pub path: String,
    /// What of it was taken.
    pub content: SubmoduleContent,
}

/// What of a submodule was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubmoduleContent {
    /// Its files, without its history.
    Files,
    /// Nothing: it is not checked out.
    Absent,
}
