//! The files that say who a machine is.
//!
//! They lie in memory and are mounted over those on the disk, as container
//! engines do it: an epoch then begins without touching the disk, which matters
//! when a resumed machine shall answer at once. Nothing is lost with them, for
//! every epoch writes them anew.

use std::fs;
use std::path::Path;

use guest_protocol::message::Begin;
use rustix::mount::mount_bind;

use crate::machine::MachineError;

/// What Linux allows, in bytes.
const HOST_NAME: usize = 64;

const HOST_NAME_FILE: &str = "hostname";
const MACHINE_ID_FILE: &str = "machine-id";
const HOSTS_FILE: &str = "hosts";

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

/// Puts the files in `memory`, a directory that lies there, and mounts them over
/// those of the root file system.
pub(crate) fn prepare(memory: &Path) -> Result<(), MachineError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| MachineError::Write { path, source }
    };
    fs::create_dir_all(memory).map_err(failed(memory))?;
    for (name, fallback) in [(HOST_NAME_FILE, ""), (MACHINE_ID_FILE, ""), (HOSTS_FILE, LOCALHOST)] {
        let (ours, theirs) = (memory.join(name), Path::new("/etc").join(name));
        let content = fs::read_to_string(&theirs).ok().filter(|text| !text.is_empty());
        fs::write(&ours, content.as_deref().unwrap_or(fallback)).map_err(failed(&ours))?;
        // There must be something to mount it over.
        fs::File::options()
            .create(true)
            .append(true)
            .open(&theirs)
            .and_then(|_| Ok(mount_bind(&ours, &theirs)?))
            .map_err(failed(&theirs))?;
    }
    Ok(())
}

/// Writes the files in `memory`.
pub(crate) fn write(memory: &Path, begin: &Begin) -> Result<(), MachineError> {
    let hosts = fs::read_to_string(memory.join(HOSTS_FILE)).unwrap_or_else(|_| LOCALHOST.into());
    let contents = [
        (HOST_NAME_FILE, format!("{}\n", begin.host_name)),
        (MACHINE_ID_FILE, format!("{}\n", begin.machine_id)),
        (HOSTS_FILE, hosts_with(&hosts, &begin.host_name)),
    ];
    for (name, content) in contents {
        let path = memory.join(name);
        fs::write(&path, content).map_err(|source| MachineError::Write { path, source })?;
    }
    Ok(())
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
        let memory = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(memory.path().join(name)).unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        write(memory.path(), &begin("first", id)).unwrap();
        assert_eq!(read("hosts"), format!("{LOCALHOST}127.0.1.1 first\n"));
        fs::write(memory.path().join("hosts"), "10.0.0.1 db\n127.0.1.1\told older").unwrap();
        write(memory.path(), &begin("second", id)).unwrap();
        assert_eq!(read("hosts"), "10.0.0.1 db\n127.0.1.1 second\n");
        assert_eq!(read("hostname"), "second\n");
        assert_eq!(read("machine-id"), format!("{id}\n"));
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
