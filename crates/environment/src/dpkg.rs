//! Reads which packages a system has from its `dpkg` status file.
//!
//! The file comes out of a tree that foreign programs have written, so it is
//! bounded and nothing in it is trusted: it only ever becomes text in a
//! manifest.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The largest status file, in bytes. A full desktop has 5 MiB.
pub(crate) const MAX_STATUS_BYTES: u64 = 64 * 1024 * 1024;

/// The most packages.
pub(crate) const MAX_PACKAGES: usize = 100_000;

/// The longest name or version, in bytes.
pub(crate) const MAX_FIELD_BYTES: usize = 256;

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Why a status file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// It cannot be read at all.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is too large.
    #[error("it is larger than {MAX_STATUS_BYTES} bytes")]
    TooLarge,
    /// It has too many packages.
    #[error("it has more than {MAX_PACKAGES} packages")]
    TooMany,
    /// A field is too long.
    #[error("it has a field of more than {MAX_FIELD_BYTES} bytes")]
    FieldTooLong,
    /// It is no UTF-8.
    #[error("it is no UTF-8")]
    Text(#[source] std::str::Utf8Error),
    /// A package that is installed has no name or no version.
    #[error("a package has no name or no version")]
    Incomplete,
}

/// Reads the file at `path`, which must not be a symbolic link.
pub(crate) fn read(path: &Path) -> Result<Vec<Package>, StatusError> {
    let flags =
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .map_err(|error| StatusError::Read(error.into()))?;
    let mut bytes = Vec::new();
    File::from(descriptor)
        .take(MAX_STATUS_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(StatusError::Read)?;
    parse(&bytes)
}

/// The installed packages, sorted.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, StatusError> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_STATUS_BYTES) {
        return Err(StatusError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(StatusError::Text)?;
    let mut packages = Vec::new();
    let mut paragraph = Paragraph::default();
    // The empty line that is added ends the last paragraph.
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            packages.extend(std::mem::take(&mut paragraph).finish()?);
            if packages.len() > MAX_PACKAGES {
                return Err(StatusError::TooMany);
            }
        } else {
            paragraph.feed(line)?;
        }
    }
    packages.sort();
    Ok(packages)
}

#[derive(Default)]
struct Paragraph<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    status: Option<&'a str>,
}

impl<'a> Paragraph<'a> {
    fn feed(&mut self, line: &'a str) -> Result<(), StatusError> {
        // A line that begins with white space continues the field before it.
        let Some((key, value)) = line.split_once(':') else { return Ok(()) };
        let field = match key {
            "Package" => &mut self.name,
            "Version" => &mut self.version,
            "Status" => &mut self.status,
            _ => return Ok(()),
        };
        let value = value.trim();
        if value.len() > MAX_FIELD_BYTES {
            return Err(StatusError::FieldTooLong);
        }
        *field = Some(value);
        Ok(())
    }

    fn finish(self) -> Result<Option<Package>, StatusError> {
        if self.status.and_then(|status| status.split(' ').nth(2)) != Some("installed") {
            return Ok(None);
        }
        match (self.name, self.version) {
            (Some(name), Some(version)) if !name.is_empty() && !version.is_empty() => {
                Ok(Some(Package { name: name.to_owned(), version: version.to_owned() }))
            }
            _ => Err(StatusError::Incomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let text = "Package: b\nStatus: install ok installed\nVersion: 1:2-3\nDescription: x\n Version: no\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                    Package: a\nStatus: install ok installed\nVersion: 9";
        let packages = parse(text.as_bytes()).unwrap();
        let seen: Vec<_> = packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(seen, [("a", "9"), ("b", "1:2-3")]);
    }

    #[test]
    fn a_package_without_version_is_refused() {
        let text = b"Package: a\nStatus: install ok installed\n";
        assert!(matches!(parse(text), Err(StatusError::Incomplete)));
        let long = format!("Package: {}\n", "a".repeat(MAX_FIELD_BYTES + 1));
        assert!(matches!(parse(long.as_bytes()), Err(StatusError::FieldTooLong)));
        assert!(matches!(parse(b"\xff"), Err(StatusError::Text(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _result = parse(&bytes);
        }

        #[test]
        fn what_was_written_is_read(
            packages in proptest::collection::btree_map("[a-z][a-z0-9+.-]{1,20}", "[0-9][a-z0-9:.~+-]{0,20}", 0..20)
        ) {
            let text: String = packages
                .iter()
                .map(|(name, version)| format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n"))
                .collect();
            let read = parse(text.as_bytes()).unwrap();
            let read: std::collections::BTreeMap<_, _> = read.into_iter().map(|p| (p.name, p.version)).collect();
            prop_assert_eq!(read, packages);
        }
    }
}
