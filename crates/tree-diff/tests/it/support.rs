//! Trees in directories, listed by the guest's own tool.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::patch::{Applied, Apply, Intent};
use guest_protocol::tools::tree::{
    self as tool, ContentId, Contents, Identified, Identify, Sent, TreeEntry, TreeRequest, Walk,
    Walked,
};
use guest_protocol::tools::{self, Answer};
use guest_tools::{Root, ToolError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tree_diff::{Change, Tree, compare, print};

/// A directory that goes away.
pub(crate) struct Directory(TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).unwrap();
    }

    /// A copy with the same modes; its files are others for the file system.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        let status = Command::new("cp")
            .arg("-a")
            .arg(self.path().join("."))
            .arg(copy.path())
            .status()
            .unwrap();
        assert!(status.success());
        copy
    }

    fn ask<M: Serialize, T: DeserializeOwned>(
        &self,
        request: &M,
        bulk: &[u8],
        serve: impl FnOnce(Result<Root, ToolError>, &mut &[u8], &mut Vec<u8>) -> Result<(), ToolError>,
    ) -> Result<(T, Vec<u8>), String> {
        let input = [&tools::header(request).unwrap(), bulk].concat();
        let mut output = Vec::new();
        serve(Root::open(self.path()), &mut input.as_slice(), &mut output).unwrap();
        let length = tools::header_length(output[..4].try_into().unwrap()).unwrap();
        match tools::parse(&output[4..4 + length]).unwrap() {
            Answer::Done(done) => Ok((done, output.split_off(4 + length))),
            Answer::Failed(failure) => Err(format!("{failure:?}")),
        }
    }

    fn tree<T: DeserializeOwned>(&self, request: &TreeRequest) -> Result<(T, Vec<u8>), String> {
        self.ask(request, &[], |r, i, o| guest_tools::tree::serve(r, i, o))
    }

    /// Applies a patch with our own tool.
    pub(crate) fn apply(&self, patch: &[u8]) -> Result<Applied, String> {
        let apply = Apply { directory: WorkspacePath::root(), intent: Intent::Apply };
        let mut chunks = Vec::new();
        for chunk in patch.chunks(tools::CHUNK_MAX) {
            chunks.extend_from_slice(&tools::chunk_prefix(chunk.len()).unwrap());
            chunks.extend_from_slice(chunk);
        }
        chunks.extend_from_slice(&[0; 4]);
        self.ask(&apply, &chunks, |r, i, o| guest_tools::patch::serve(r, i, o))
            .map(|(done, _)| done)
    }

    /// Everything in it that git keeps.
    pub(crate) fn all(&self) -> Vec<(Vec<u8>, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![self.path().to_owned()];
        while let Some(directory) = open.pop() {
            for child in fs::read_dir(directory).unwrap().flatten() {
                let (path, kind) = (child.path(), child.file_type().unwrap());
                let name = path.strip_prefix(self.path()).unwrap().as_os_str().as_bytes().to_vec();
                if child.file_name() == ".git" {
                    continue;
                } else if kind.is_dir() {
                    open.push(path);
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec();
                    found.push((name, 0o120_000, target));
                } else {
                    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o100;
                    found.push((name, mode, fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

impl Tree for Directory {
    type Error = String;

    fn entries(&mut self) -> Result<Vec<TreeEntry>, String> {
        let walk = TreeRequest::Walk(Walk { paths: Vec::new() });
        let (walked, bytes): (Walked, _) = self.tree(&walk)?;
        assert_eq!(walked.bytes, bytes.len() as u64);
        tool::decode(&bytes).map_err(|error| error.to_string())
    }

    fn ids(&mut self, paths: &[WorkspacePath]) -> Result<Vec<ContentId>, String> {
        let identify = TreeRequest::Identify(Identify { paths: paths.to_vec() });
        let (found, _): (Identified, _) = self.tree(&identify)?;
        Ok(found.ids.into_iter().map(Option::unwrap).collect())
    }

    fn contents(&mut self, paths: &[WorkspacePath]) -> Result<Vec<Vec<u8>>, String> {
        let contents = TreeRequest::Contents(Contents { paths: paths.to_vec() });
        let (Sent {}, mut bytes) = self.tree(&contents)?;
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let rest = bytes.split_off(9);
            assert_eq!(bytes[0], 1);
            let length = u64::from_le_bytes(bytes[1..].try_into().unwrap());
            bytes = rest;
            let rest = bytes.split_off(usize::try_from(length).unwrap());
            found.push(std::mem::replace(&mut bytes, rest));
        }
        Ok(found)
    }
}

/// All changes between two trees, and the patch of all of them.
pub(crate) fn difference(before: &mut Directory, after: &mut Directory) -> (Vec<Change>, Vec<u8>) {
    let changes = compare(before, after).unwrap().changes;
    let mut patch = Vec::new();
    for change in &changes {
        let old = change.from.as_ref().map_or(&change.path, |origin| &origin.path);
        let content = |tree: &mut Directory, path: &WorkspacePath, is_there: bool| {
            if is_there {
                tree.contents(std::slice::from_ref(path)).unwrap_or_default().pop()
            } else {
                None
            }
        };
        let is_kept = |side: Option<tree_diff::Side>| {
            side.is_some_and(|side| {
                use guest_protocol::tools::file::Kind;
                matches!(side.kind, Kind::File | Kind::Symlink)
            })
        };
        let one = content(before, old, is_kept(change.before)).unwrap_or_default();
        let other = content(after, &change.path, is_kept(change.after)).unwrap_or_default();
        patch.extend_from_slice(&print(change, &one, &other).patch);
    }
    (changes, patch)
}

pub(crate) fn git(at: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .args(["-c", "core.autocrlf=false", "-c", "core.safecrlf=false"])
        .args(arguments)
        .current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", at.parent().unwrap())
        .output()
        .unwrap()
}
