//! What became of something.

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::TreeEntry;

/// A change between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it is, or was if it is gone.
    pub path: WorkspacePath,
    /// What it was; `None` if it is new.
    pub before: Option<Side>,
    /// What it is; `None` if it is gone.
    pub after: Option<Side>,
    /// Where it was, if that is elsewhere.
    pub from: Option<Origin>,
    /// Whether its content is another one.
    pub content: Content,
}

/// Where something was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Where.
    pub path: WorkspacePath,
    /// How much of the content is the same, in percent.
    pub similarity: u8,
}

/// One side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes, of a file's content or a link's target.
    pub size: u64,
}

/// Whether two contents are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// They are.
    Same,
    /// They are not, or there is only one.
    Differs,
}

/// What became of something, in git's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is new.
    Added,
    /// Its content or its mode is another one.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another place.
    Renamed,
    /// It is something else.
    TypeChanged,
}

impl Side {
    pub(crate) const fn of(entry: &TreeEntry) -> Self {
        Self { kind: entry.kind, mode: entry.mode, size: entry.size }
    }

    /// Whether it has a content that git keeps.
    pub(crate) const fn is_kept_by_git(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Symlink)
    }

    /// What git writes for its mode.
    pub(crate) const fn git_mode(&self) -> &'static str {
        match (self.kind, self.mode & 0o100) {
            (Kind::Symlink, _) => "120000",
            (_, 0) => "100644",
            _ => "100755",
        }
    }
}

impl Change {
    /// What became of it.
    #[must_use]
    pub fn status(&self) -> Status {
        match (&self.before, &self.after, &self.from) {
            (None, _, _) => Status::Added,
            (_, None, _) => Status::Deleted,
            (Some(before), Some(after), _) if before.kind != after.kind => Status::TypeChanged,
            (_, _, Some(_)) => Status::Renamed,
            _ => Status::Modified,
        }
    }

    /// Whether a patch can tell all of it: git knows files and links, and of
    /// their permission bits whether the owner may execute them.
    #[must_use]
    pub fn is_told_by_patch(&self) -> bool {
        let is_kept = |side: &Option<Side>| side.as_ref().is_none_or(Side::is_kept_by_git);
        let same_mode = match (&self.before, &self.after) {
            (Some(before), Some(after))
                if before.kind == Kind::File && after.kind == Kind::File =>
            {
                (before.mode ^ after.mode) & !0o111 == 0
            }
            _ => true,
        };
        is_kept(&self.before) && is_kept(&self.after) && same_mode
    }
}
