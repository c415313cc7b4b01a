//! The program that an agent starts as its server of tools: it shows the pass, and
//! moves bytes. It understands none of them, reads no variable and no file but the one
//! with the pass, and ends when either side does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use super::pass::PASS_BYTES;

/// The hidden subcommand of the program that is the bridge. Its argument is the file
/// with the pass.
pub const BRIDGE_SUBCOMMAND: &str = "gateway-bridge";

/// Longest file with a pass, in bytes: the pass and a path.
const FILE_BYTES_MAX: u64 = 8 * 1024;

/// Runs the bridge with the arguments of this process.
#[must_use]
pub fn run_bridge() -> ExitCode {
    let Some(file) = std::env::args_os().nth(2) else { return ExitCode::from(2) };
    match bridge(Path::new(&file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "there is no way to the gateway");
            ExitCode::FAILURE
        }
    }
}

fn bridge(file: &Path) -> io::Result<()> {
    let mut content = Vec::new();
    File::open(file)?.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    let Some((pass, socket)) = content.split_at_checked(PASS_BYTES) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no pass"));
    };
    let mut gateway = connected(Path::new(OsStr::from_bytes(socket)), pass)?;
    let mut to = gateway.try_clone()?;
    // It ends with this process, at the latest.
    std::thread::spawn(move || {
        let copied = io::copy(&mut io::stdin().lock(), &mut to);
        let closed = to.shutdown(Shutdown::Write);
        copied.and(closed)
    });
    copy_at_once(&mut gateway)
}

/// Copies to standard output without keeping anything back.
fn copy_at_once(from: &mut UnixStream) -> io::Result<()> {
    let (mut piece, mut out) = ([0; 64 * 1024], io::stdout().lock());
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(piece.get(..read).unwrap_or_default())?;
        out.flush()?;
    }
}

/// A connection to the gateway that was shown the pass.
pub(super) fn connected(socket: &Path, pass: &[u8]) -> io::Result<UnixStream> {
    let name = socket.file_name().and_then(OsStr::to_str).ok_or(io::ErrorKind::InvalidData)?;
    let directory = socket.parent().ok_or(io::ErrorKind::InvalidData)?;
    let mut gateway = workspace::socket::connect(directory, name)?;
    gateway.write_all(pass)?;
    Ok(gateway)
}
