//! The directory that holds everything, and what is found in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::durable;
use crate::error::EnvironmentError;
use crate::manifest::{self, EnvironmentManifest, FORMAT_VERSION, KernelRecord};
use crate::name::{Digest, EnvironmentName};
use crate::staging::{Lock, Staging};

/// The fewest digits of a digest that select an environment.
pub(crate) const MIN_PREFIX_DIGITS: usize = 6;

/// The root image in an environment's directory.
pub(crate) const ROOT_IMAGE: &str = "root.ext4";

/// What machines boot from, in one directory. Cheap to open; several processes
/// and threads may use one directory at once.
#[derive(Debug, Clone)]
pub struct Library {
    root: PathBuf,
}

/// An environment that is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRecord {
    /// What is known of it.
    pub manifest: EnvironmentManifest,
    /// The names that mean it now; none if it was superseded.
    pub names: Vec<EnvironmentName>,
    /// Where it lies.
    pub directory: PathBuf,
    /// What it occupies on disk.
    pub disk_bytes: u64,
}

impl EnvironmentRecord {
    /// The root image, a raw ext4 file system. Must not be written to.
    #[must_use]
    pub fn root_image(&self) -> PathBuf {
        self.directory.join(ROOT_IMAGE)
    }
}

/// What an environment is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The environment that a name means now.
    Name(EnvironmentName),
    /// The only environment whose digest begins with these digits, which may
    /// be preceded by `sha256:`.
    Digest(String),
}

impl Selector {
    /// Understands what a user typed: digits are a digest, all else a name.
    ///
    /// # Errors
    ///
    /// The text is neither.
    pub fn parse(text: &str) -> Result<Self, crate::name::InvalidName> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hexadecimal && digits.len() >= MIN_PREFIX_DIGITS {
            Ok(Self::Digest(digits.to_owned()))
        } else {
            text.parse().map(Self::Name)
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct NameRecord {
    format_version: u32,
    name: EnvironmentName,
    digest: Digest,
}

impl Library {
    /// Opens the directory and creates what is missing of it.
    ///
    /// # Errors
    ///
    /// A directory cannot be created.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, EnvironmentError> {
        let library = Self { root: root.into() };
        let parts = [
            library.names(),
            library.kernels(),
            library.initrds(),
            library.stagings(),
            library.locks(),
        ];
        for part in parts {
            durable::create_directory(&part)?;
        }
        Ok(library)
    }

    /// Every environment that is present, the newest first.
    ///
    /// # Errors
    ///
    /// The directory or a manifest cannot be read.
    pub fn list(&self) -> Result<Vec<EnvironmentRecord>, EnvironmentError> {
        let names = self.read_names()?;
        let mut records = Vec::new();
        for digest in digests_in(&self.environments())? {
            let directory = self.environment(&digest);
            // Somebody may have pruned it since it was listed.
            let Some(manifest) = manifest::read(&directory.join(manifest::FILE_NAME))? else {
                continue;
            };
            let names = names
                .iter()
                .filter(|record| record.digest == digest)
                .map(|record| record.name.clone())
                .collect();
            let disk_bytes = durable::disk_bytes(&directory);
            records.push(EnvironmentRecord { manifest, names, directory, disk_bytes });
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.manifest.created_at));
        Ok(records)
    }

    /// The environment that is asked for.
    ///
    /// # Errors
    ///
    /// There is none, or a digest's first digits fit several.
    pub fn inspect(&self, selector: &Selector) -> Result<EnvironmentRecord, EnvironmentError> {
        let fits = |record: &EnvironmentRecord| match selector {
            Selector::Name(name) => record.names.contains(name),
            Selector::Digest(prefix) => {
                let prefix = prefix.strip_prefix("sha256:").unwrap_or(prefix);
                record.manifest.digest.digits().starts_with(prefix)
            }
        };
        let mut found: Vec<_> = self.list()?.into_iter().filter(fits).collect();
        let wanted = || match selector {
            Selector::Name(name) => name.to_string(),
            Selector::Digest(prefix) => prefix.clone(),
        };
        match (found.pop(), found.len()) {
            (Some(record), 0) => Ok(record),
            (None, _) => Err(EnvironmentError::NotPresent { wanted: wanted() }),
            (Some(_), others) => {
                Err(EnvironmentError::Ambiguous { wanted: wanted(), count: others + 1 })
            }
        }
    }

    /// Takes a name away. The environment itself stays until it is pruned.
    ///
    /// # Errors
    ///
    /// Nothing has that name.
    pub fn forget(&self, name: &EnvironmentName) -> Result<(), EnvironmentError> {
        let path = self.name(name);
        match fs::remove_file(&path) {
            Ok(()) => durable::sync(&self.names()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EnvironmentError::NotPresent { wanted: name.to_string() })
            }
            Err(error) => Err(EnvironmentError::io("remove", &path)(error)),
        }
    }

    /// Every kernel that is present, the newest first.
    ///
    /// # Errors
    ///
    /// The directory or a manifest cannot be read.
    pub fn kernels_present(&self) -> Result<Vec<KernelRecord>, EnvironmentError> {
        let mut records = Vec::new();
        for digest in digests_in(&self.kernels())? {
            let directory = self.kernels().join(digest.digits());
            let found = manifest::read::<KernelRecord>(&directory.join(manifest::FILE_NAME))?;
            records.extend(found.map(|record| KernelRecord { directory, ..record }));
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.created_at));
        Ok(records)
    }

    /// Makes a name mean a digest, durably.
    pub(crate) fn set_name(
        &self,
        staging: &Staging,
        name: &EnvironmentName,
        digest: &Digest,
    ) -> Result<(), EnvironmentError> {
        let record = NameRecord {
            format_version: FORMAT_VERSION,
            name: name.clone(),
            digest: digest.clone(),
        };
        let temporary = staging.work().join("name.json");
        manifest::write(&temporary, &record)?;
        durable::publish(&temporary, &self.name(name))
    }

    pub(crate) fn staging(&self, cancel: &Cancel) -> Result<Staging, EnvironmentError> {
        Staging::create(&self.stagings(), &self.staging_guard(), cancel)
    }

    /// Excludes publishing and pruning from each other: what was published and
    /// is not yet named must not look superseded.
    pub(crate) fn publish_lock(&self, cancel: &Cancel) -> Result<Lock, EnvironmentError> {
        Lock::take(&self.locks().join("publish"), cancel, &mut || {})
    }

    fn read_names(&self) -> Result<Vec<NameRecord>, EnvironmentError> {
        let directory = self.names();
        let mut records = Vec::new();
        let entries = fs::read_dir(&directory).map_err(EnvironmentError::io("list", &directory))?;
        for entry in entries {
            let path = entry.map_err(EnvironmentError::io("list", &directory))?.path();
            records.extend(manifest::read::<NameRecord>(&path)?);
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    pub(crate) fn environments(&self) -> PathBuf {
        self.root.join("environments")
    }

    pub(crate) fn environment(&self, digest: &Digest) -> PathBuf {
        self.environments().join(digest.digits())
    }

    fn names(&self) -> PathBuf {
        self.environments().join("names")
    }

    fn name(&self, name: &EnvironmentName) -> PathBuf {
        self.names().join(name.encoded()).with_added_extension("json")
    }

    pub(crate) fn kernels(&self) -> PathBuf {
        self.root.join("kernels")
    }

    pub(crate) fn initrds(&self) -> PathBuf {
        self.root.join("initrds")
    }

    pub(crate) fn stagings(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn staging_guard(&self) -> PathBuf {
        self.locks().join("staging")
    }
}

/// The entries of a directory whose names, without what follows a dot, are
/// digests. Anything else is not ours and is left alone.
pub(crate) fn digests_in(directory: &Path) -> Result<Vec<Digest>, EnvironmentError> {
    let mut digests = Vec::new();
    let entries = fs::read_dir(directory).map_err(EnvironmentError::io("list", directory))?;
    for entry in entries {
        let name = entry.map_err(EnvironmentError::io("list", directory))?.file_name();
        let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str());
        digests.extend(stem.and_then(|stem| stem.parse::<Digest>().ok()));
    }
    Ok(digests)
}
