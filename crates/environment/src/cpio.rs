//! Writes archives in the "newc" format, which kernels unpack at boot.
//!
//! ```text
//! "070701" + 13 fields of 8 hexadecimal digits
//! name, zero byte, zeros up to a multiple of 4
//! data, zeros up to a multiple of 4
//! … and at last an empty entry "TRAILER!!!"
//! ```
//!
//! Everything belongs to root and bears the time zero, so equal contents give
//! equal archives.

use crate::error::EnvironmentError;

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
const ALIGNMENT: usize = 4;
const REGULAR_FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds an empty directory.
    pub(crate) fn directory(&mut self, name: &str, mode: u32) -> Result<(), EnvironmentError> {
        self.entry(name, DIRECTORY | mode, 2, &[])
    }

    /// Adds a file.
    pub(crate) fn file(
        &mut self,
        name: &str,
        mode: u32,
        data: &[u8],
    ) -> Result<(), EnvironmentError> {
        self.entry(name, REGULAR_FILE | mode, 1, data)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, EnvironmentError> {
        self.entry(TRAILER, 0, 1, &[])?;
        Ok(self.bytes)
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        links: u32,
        data: &[u8],
    ) -> Result<(), EnvironmentError> {
        let too_long = |_| EnvironmentError::InitrdEntry { name: name.to_owned() };
        let data_bytes = u32::try_from(data.len()).map_err(too_long)?;
        let name_bytes = u32::try_from(name.len() + 1).map_err(too_long)?;
        self.entries += 1;
        // Number, mode, owner, group, links, time, size, device of the file,
        // device that it stands for, length of the name, checksum (unused).
        let fields = [self.entries, mode, 0, 0, links, 0, data_bytes, 0, 0, 0, 0, name_bytes, 0];
        self.bytes.extend_from_slice(MAGIC.as_bytes());
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// What the reference implementation makes of an archive.
    fn listed(archive: &[u8]) -> Vec<String> {
        let mut cpio = Command::new("cpio")
            .args(["--list", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin.take().unwrap().write_all(archive).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn files_come_out_as_they_went_in() {
        let mut archive = Archive::default();
        archive.directory("modules", 0o755).unwrap();
        archive.file("init", 0o755, b"#!agent").unwrap();
        archive.file("modules/order", 0o644, b"a.ko\n").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let directory = tempfile::tempdir().unwrap();
        let mut cpio = Command::new("cpio")
            .args(["--extract", "--quiet"])
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(cpio.wait().unwrap().success());
        let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
        assert_eq!(read("init"), b"#!agent");
        assert_eq!(read("modules/order"), b"a.ko\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_reference_reads_every_archive(
            files in proptest::collection::btree_map("[a-z0-9_.-]{1,40}x", proptest::collection::vec(any::<u8>(), 0..100), 0..8)
        ) {
            let mut archive = Archive::default();
            for (name, data) in &files {
                archive.file(name, 0o644, data).unwrap();
            }
            let names: Vec<String> = files.into_keys().collect();
            prop_assert_eq!(listed(&archive.finish().unwrap()), names);
        }
    }
}
