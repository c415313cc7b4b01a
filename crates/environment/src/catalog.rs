//! The environments that ship with the product.

use std::collections::BTreeSet;

use crate::name::EnvironmentName;

/// The Debian release that every curated environment is made from.
pub(crate) const SUITE: &str = "bookworm";

/// The smallest set of packages that `apt` can add to.
pub(crate) const VARIANT: &str = "minbase";

/// The time that nothing in an image is younger than, in seconds since 1970:
/// the day of the release. It makes two builds from the same packages equal.
pub(crate) const SOURCE_DATE_EPOCH: &str = "1686355200";

/// What `debian:12` adds to [`BASE`]. Each is something that agents call
/// without asking first and whose absence costs them a turn:
///
/// * `git`, `patch` — the work itself;
/// * `curl`, `wget` — fetching;
/// * `ripgrep`, `jq`, `file`, `less`, `procps` — looking at files and processes;
/// * `make`, `unzip`, `xz-utils` — the least that building and unpacking need.
///
/// `bash`, `coreutils`, `sed`, `grep`, `findutils` and `tar` are part of every
/// Debian. Compilers and Python are left to `debian:12-build`: they would
/// triple the size for those who bring their own.
const COMMON: &[&str] = &[
    "curl", "file", "git", "jq", "less", "make", "patch", "procps", "ripgrep", "unzip", "wget",
    "xz-utils",
];

/// What `debian:12-base` adds: without certificates nothing can be fetched, and
/// with `usr-is-merged` the merging of `/usr` is declared done instead of being
/// done by a Perl program, which would come along with 50 MB.
const BASE: &[&str] = &["ca-certificates", "usr-is-merged"];

/// What `debian:12-build` adds to [`COMMON`].
const TOOLCHAIN: &[&str] =
    &["build-essential", "cmake", "pkg-config", "python3", "python3-pip", "python3-venv"];

/// An environment that this crate knows how to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CuratedEnvironment {
    /// What it is called.
    pub name: &'static str,
    /// What it is for, in one line.
    pub description: &'static str,
    groups: &'static [&'static [&'static str]],
}

impl CuratedEnvironment {
    /// The packages that are asked for, sorted; what they depend on comes too.
    #[must_use]
    pub fn packages(&self) -> Vec<&'static str> {
        let set: BTreeSet<_> = self.groups.iter().flat_map(|group| group.iter().copied()).collect();
        set.into_iter().collect()
    }
}

/// All curated environments.
#[must_use]
pub fn catalog() -> &'static [CuratedEnvironment] {
    const CATALOG: &[CuratedEnvironment] = &[
        CuratedEnvironment {
            name: "debian:12",
            description: "Debian 12 with git and the tools that coding agents reach for",
            groups: &[BASE, COMMON],
        },
        CuratedEnvironment {
            name: "debian:12-base",
            description: "The smallest Debian 12 that can fetch over TLS and install more",
            groups: &[BASE],
        },
        CuratedEnvironment {
            name: "debian:12-build",
            description: "debian:12 with C and C++ compilers, cmake and Python 3",
            groups: &[BASE, COMMON, TOOLCHAIN],
        },
    ];
    CATALOG
}

pub(crate) fn find(name: &EnvironmentName) -> Option<&'static CuratedEnvironment> {
    catalog().iter().find(|curated| curated.name == name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curated_name_is_a_name() {
        for curated in catalog() {
            let name: EnvironmentName = curated.name.parse().unwrap();
            assert_eq!(find(&name), Some(curated));
            assert!(curated.packages().contains(&"ca-certificates"));
        }
    }
}
