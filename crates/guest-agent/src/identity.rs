//! The files that say who a machine is.
//!
//! Each is replaced as a whole, so a command sees the old or the new one and
//! never half of it. Nothing is synced: a machine that loses power gets its
//! identity again when it begins its next epoch.

use std::fs;
use std::io;
use std::path::Path;

use guest_protocol::message::Begin;

use crate::machine::MachineError;

/// What Linux allows, in bytes.
const HOST_NAME: usize = 64;

const LOCALHOST: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/// Refuses names that would break a file's format.
pub(crate) fn check(begin: &Begin) -> Result<(), MachineError> {
    let name = &begin.host_name;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.len() > HOST_NAME || !name.bytes().all(legal) {
        return Err(MachineError::HostName(name.clone()));
    }
    let id = &begin.machine_id;
    if id.len() != 32 || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(MachineError::MachineId(id.clone()));
    }
    Ok(())
}

/// Writes the files of a system whose root directory is `root`.
pub(crate) fn write(root: &Path, begin: &Begin) -> Result<(), MachineError> {
    replace(&root.join("etc/hostname"), &format!("{}\n", begin.host_name))?;
    let hosts = root.join("etc/hosts");
    let old = fs::read_to_string(&hosts).unwrap_or_else(|_| LOCALHOST.into());
    replace(&hosts, &hosts_with(&old, &begin.host_name))?;
    let id = format!("{}\n", begin.machine_id);
    replace(&root.join("etc/machine-id"), &id)?;
    // Where it is a link it leads to the file above.
    let dbus = root.join("var/lib/dbus/machine-id");
    if fs::symlink_metadata(&dbus).is_ok_and(|file| file.is_file()) {
        replace(&dbus, &id)?;
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> Result<(), MachineError> {
    let new = path.with_extension("hotcell-new");
    let write = || -> io::Result<()> {
        fs::write(&new, text)?;
        fs::rename(&new, path)
    };
    write().map_err(|source| MachineError::Write { path: path.to_owned(), source })
}

/// The same table, in which this machine has this name and no other.
fn hosts_with(old: &str, name: &str) -> String {
    let foreign = |line: &&str| line.split_whitespace().next() != Some("127.0.1.1");
    let mut text = String::new();
    for line in old.lines().filter(foreign) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("127.0.1.1 ");
    text.push_str(name);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(host_name: &str, machine_id: &str) -> Begin {
        Begin {
            generation: 1,
            unix_time_ns: 0,
            host_name: host_name.into(),
            machine_id: machine_id.into(),
            entropy: [0; 32],
            next_token: [0; 32],
        }
    }

    #[test]
    fn a_machine_changes_its_name_and_keeps_its_other_hosts() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        write(root.path(), &begin("first", id)).unwrap();
        assert_eq!(read("etc/hosts"), format!("{LOCALHOST}127.0.1.1 first\n"));
        fs::write(root.path().join("etc/hosts"), "10.0.0.1 db\n127.0.1.1\told older").unwrap();
        write(root.path(), &begin("second", id)).unwrap();
        assert_eq!(read("etc/hosts"), "10.0.0.1 db\n127.0.1.1 second\n");
        assert_eq!(read("etc/hostname"), "second\n");
        assert_eq!(read("etc/machine-id"), format!("{id}\n"));
        assert_eq!(fs::read_dir(root.path().join("etc")).unwrap().count(), 3);
    }

    #[test]
    fn names_that_would_break_a_file_are_refused() {
        let id = "0".repeat(32);
        assert!(check(&begin("demo-1.local", &id)).is_ok());
        for name in ["", "a b", "a\nb", &"x".repeat(65)] {
            assert!(check(&begin(name, &id)).is_err(), "{name:?}");
        }
        for id in ["", "xyz", &"A".repeat(32), &"0".repeat(33)] {
            assert!(check(&begin("demo", id)).is_err(), "{id:?}");
        }
    }
}
