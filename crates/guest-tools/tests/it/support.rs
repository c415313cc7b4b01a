//! A workspace in a temporary directory, and requests to the tools.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::FileRequest;
use guest_protocol::tools::patch::{Applied, Apply, Intent};
use guest_protocol::tools::{self, Answer, Failure};
use guest_tools::Root;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

pub(crate) struct Workspace(TempDir);

impl Workspace {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.at(path)).unwrap()).unwrap()
    }

    /// Asks the tool `file`; the answer and the bytes behind it.
    pub(crate) fn file<T: DeserializeOwned>(
        &self,
        request: &FileRequest,
        bulk: &[u8],
    ) -> (Result<T, Failure>, Vec<u8>) {
        self.ask(request, bulk, |r, i, o| guest_tools::file::serve(r, i, o))
    }

    pub(crate) fn ask<M: Serialize, T: DeserializeOwned>(
        &self,
        request: &M,
        bulk: &[u8],
        serve: impl FnOnce(
            Result<Root, guest_tools::ToolError>,
            &mut &[u8],
            &mut Vec<u8>,
        ) -> Result<(), guest_tools::ToolError>,
    ) -> (Result<T, Failure>, Vec<u8>) {
        let input = [&tools::header(request).unwrap(), bulk].concat();
        let mut output = Vec::new();
        serve(Root::open(self.path()), &mut input.as_slice(), &mut output).unwrap();
        let length = tools::header_length(output[..4].try_into().unwrap()).unwrap();
        let answer = match tools::parse(&output[4..4 + length]).unwrap() {
            Answer::Done(done) => Ok(done),
            Answer::Failed(failure) => Err(failure),
        };
        (answer, output.split_off(4 + length))
    }

    pub(crate) fn patch(&self, patch: &[u8], intent: Intent) -> Result<Applied, Failure> {
        let request = Apply { directory: WorkspacePath::root(), intent };
        self.ask(&request, &chunked(patch), |r, i, o| guest_tools::patch::serve(r, i, o)).0
    }

    /// Every entry below, with what git would know of it.
    pub(crate) fn tree(&self) -> Vec<(Vec<u8>, u32, Vec<u8>)> {
        tree(self.path())
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> Output {
        git(self.path(), arguments)
    }
}

pub(crate) fn git(at: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["-c", "core.autocrlf=false", "-c", "core.safecrlf=false"])
        .args(arguments)
        .current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", at.parent().unwrap())
        .output()
        .unwrap()
}

pub(crate) fn tree(at: &Path) -> Vec<(Vec<u8>, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![at.to_owned()];
    while let Some(directory) = open.pop() {
        for child in fs::read_dir(directory).unwrap().flatten() {
            let (path, kind) = (child.path(), child.file_type().unwrap());
            if child.file_name() == ".git" {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(at).unwrap().as_os_str().as_bytes().to_vec();
            if kind.is_symlink() {
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

/// Bytes as chunks.
pub(crate) fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in bytes.chunks(1000) {
        chunks.extend_from_slice(&tools::chunk_prefix(chunk.len()).unwrap());
        chunks.extend_from_slice(chunk);
    }
    chunks.extend_from_slice(&[0; 4]);
    chunks
}

pub(crate) fn place(text: &str) -> WorkspacePath {
    text.parse().unwrap()
}
