//! What programs read: the name server, and the authorities that they trust.
//!
//! The name server's file lies in memory and is mounted over the one on the
//! disk, as the files of the machine's identity are. Authorities are installed
//! the way the distribution does it, because its own updates rename the bundle,
//! which a mount would forbid.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::NetworkError;

/// Where in memory our files lie.
pub(crate) const MEMORY: &str = "/run/hotcell";

const RESOLVER: &str = "/etc/resolv.conf";
const RESOLVER_IN_MEMORY: &str = "resolv.conf";

/// An address whose questions are redirected like everybody's; nothing has it.
const NAME_SERVER: &str = "nameserver 198.18.0.2\noptions timeout:10 attempts:2\n";

/// Where distributions keep the bundle that their programs read; the first is
/// made if there is none.
const BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Where the bundle is made from.
const SOURCES: &str = "/usr/local/share/ca-certificates";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Has programs ask the daemon.
pub(crate) fn name_server() -> Result<(), NetworkError> {
    let ours = Path::new(MEMORY).join(RESOLVER_IN_MEMORY);
    let is_mounted = fs::read(&ours).is_ok_and(|text| fs::read(RESOLVER).ok() == Some(text));
    fs::write(&ours, NAME_SERVER).map_err(failed(&ours))?;
    if is_mounted && fs::read_to_string(RESOLVER).is_ok_and(|text| text == NAME_SERVER) {
        return Ok(());
    }
    mount_over(&ours).map_err(failed(Path::new(RESOLVER)))
}

fn mount_over(ours: &Path) -> io::Result<()> {
    let open = || File::options().create(true).append(true).open(RESOLVER);
    // A link to a file that a service would make is of no use here.
    if open().is_err() {
        fs::remove_file(RESOLVER)?;
        open()?;
    }
    Ok(mount_bind(ours, RESOLVER)?)
}

/// Undoes [`name_server`].
pub(crate) fn no_name_server() {
    // Nothing is mounted there if it never came so far.
    let _ = unmount(RESOLVER, UnmountFlags::DETACH);
}

/// Has programs trust these certificates as well. Returns the bundle that they
/// are in.
pub(crate) fn authorities(pem: &str) -> Result<String, NetworkError> {
    let present: Vec<PathBuf> =
        BUNDLES.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    let targets = if present.is_empty() { vec![PathBuf::from(BUNDLES[0])] } else { present };
    let mut installed = false;
    for path in &targets {
        let old = fs::read_to_string(path).unwrap_or_default();
        let known: HashSet<String> = certificates(&old).map(bare).collect();
        let missing: Vec<&str> =
            certificates(pem).filter(|one| !known.contains(&bare(one))).collect();
        if missing.is_empty() {
            continue;
        }
        append(path, &missing).map_err(failed(path))?;
        if !installed {
            install(&missing).map_err(failed(Path::new(SOURCES)))?;
            installed = true;
        }
    }
    Ok(targets[0].display().to_string())
}

fn append(path: &Path, missing: &[&str]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    for one in missing {
        writeln!(file, "{one}")?;
    }
    Ok(())
}

/// So that the distribution's own update of the bundle keeps them.
fn install(missing: &[&str]) -> io::Result<()> {
    fs::create_dir_all(SOURCES)?;
    for (number, one) in (0..).zip(missing) {
        let number: u32 = number;
        fs::write(Path::new(SOURCES).join(format!("hotcell-{number}.crt")), format!("{one}\n"))?;
    }
    Ok(())
}

/// The certificates of a bundle, each with its marks.
fn certificates(pem: &str) -> impl Iterator<Item = &str> {
    pem.split(BEGIN).skip(1).filter_map(|rest| {
        let end = rest.find(END)? + END.len();
        let start = rest.as_ptr() as usize - pem.as_ptr() as usize - BEGIN.len();
        pem.get(start..start + BEGIN.len() + end)
    })
}

fn bare(certificate: &str) -> String {
    certificate.split_whitespace().collect()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> NetworkError + use<> {
    let path = path.to_owned();
    move |source| NetworkError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_told_apart_whatever_lies_between() {
        let one = format!("{BEGIN}\nAAA\n{END}");
        let two = format!("{BEGIN}\nBBB\n{END}");
        let pem = format!("# a comment\n{one}\n\n{two}\n{BEGIN}\ncut off");
        assert_eq!(certificates(&pem).collect::<Vec<_>>(), [&one, &two]);
        assert_eq!(bare(&one), bare(&one.replace('\n', "\r\n")));
    }
}
