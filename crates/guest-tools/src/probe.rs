//! The tool `probe`: whether a file, a port or an HTTP server is there.
//!
//! It tries again by itself, so that waiting for something costs the host one
//! process of the guest and no traffic.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use guest_protocol::tools::probe::{PATIENCE_MAX_MS, Probe, Probed, Target};

use crate::error::ToolError;
use crate::wire;

/// How much of an answer is read for its first line, in bytes.
const HEAD_MAX: usize = 256;

/// How long an attempt may take at least, and how long a pause lasts at least.
const STEP_MIN: Duration = Duration::from_millis(10);

/// Reads a request and answers it.
///
/// # Errors
///
/// If the request is not understood or the answer cannot be told.
pub fn serve(input: &mut impl Read, output: &mut impl Write) -> Result<(), ToolError> {
    let request: Probe = wire::request(input)?;
    wire::answer(output, Ok(probe(&request)))
}

fn probe(probe: &Probe) -> Probed {
    let begun = Instant::now();
    let patience = Duration::from_millis(probe.patience_ms.min(PATIENCE_MAX_MS));
    let timeout = Duration::from_millis(probe.timeout_ms.min(PATIENCE_MAX_MS)).max(STEP_MIN);
    let interval = Duration::from_millis(probe.interval_ms).max(STEP_MIN);
    loop {
        let missing = match attempt(&probe.target, Instant::now() + timeout) {
            Ok(()) => return Probed { missing: None },
            Err(missing) => missing,
        };
        if begun.elapsed() + interval > patience {
            return Probed { missing: Some(missing) };
        }
        sleep(interval);
    }
}

fn attempt(target: &Target, deadline: Instant) -> Result<(), String> {
    match target {
        Target::File { path } => {
            fs::metadata(path).map(drop).map_err(|error| format!("{path}: {error}"))
        }
        Target::Tcp { port } => {
            connect(*port, deadline).map(drop).map_err(|error| format!("port {port}: {error}"))
        }
        Target::Http { port, path, status } => {
            let answered = ask(*port, path, deadline)
                .map_err(|error| format!("http://localhost:{port}{path}: {error}"))?;
            let is_wanted = match status {
                Some(wanted) => answered == *wanted,
                None => (200..400).contains(&answered),
            };
            let message = || format!("http://localhost:{port}{path} answered {answered}");
            if is_wanted { Ok(()) } else { Err(message()) }
        }
    }
}

/// A connection to a port of this machine, at either of its addresses.
fn connect(port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let to = |address: SocketAddr| TcpStream::connect_timeout(&address, left(deadline)?);
    to((Ipv4Addr::LOCALHOST, port).into())
        .or_else(|first| to((Ipv6Addr::LOCALHOST, port).into()).map_err(|_| first))
}

/// The status that a server answers.
fn ask(port: u16, path: &str, deadline: Instant) -> io::Result<u16> {
    let mut connection = connect(port, deadline)?;
    connection.set_write_timeout(Some(left(deadline)?))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: hotcell-probe\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while head.len() < HEAD_MAX && !head.contains(&b'\n') {
        connection.set_read_timeout(Some(left(deadline)?))?;
        let mut bytes = [0; HEAD_MAX];
        match connection.read(&mut bytes)? {
            0 => break,
            length => head.extend_from_slice(&bytes[..length]),
        }
    }
    status(&head).ok_or_else(|| io::Error::other("its answer is no HTTP"))
}

/// The status in the first line of an answer (RFC 9112, section 4).
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let [b'0' | b'1', b' ', digits @ ..] = rest else { return None };
    let (digits, behind) = digits.split_at_checked(3)?;
    let ends = matches!(behind.first(), Some(b' ' | b'\r' | b'\n'));
    let digits = std::str::from_utf8(digits).ok().filter(|_| ends)?;
    digits.parse().ok().filter(|status| (100..600).contains(status))
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_status_is_read_from_whole_answers_only() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 200\n"), Some(200));
        for bad in ["", "HTTP/1.1 20", "HTTP/1.1 2000 ", "HTTP/2 200 ", "SSH-2.0", "HTTP/1.1 +20 "]
        {
            assert_eq!(status(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_server_is_found_and_a_silent_one_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = |target, timeout_ms| {
            let probe = Probe { target, timeout_ms, interval_ms: 10, patience_ms: 0 };
            self::probe(&probe).missing
        };
        assert_eq!(asked(Target::Tcp { port }, 5000), None);
        let http = |status| Target::Http { port, path: "/health".into(), status };
        let silent = asked(http(None), 50).unwrap();
        assert!(silent.contains("/health"), "{silent}");
        std::thread::spawn(move || {
            for connection in listener.incoming().skip(2) {
                let mut connection = connection.unwrap();
                let mut request = [0; 512];
                let length = connection.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
                connection.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
            }
        });
        let refused = asked(http(None), 5000).unwrap();
        assert!(refused.ends_with("answered 404"), "{refused}");
        assert_eq!(asked(http(Some(404)), 5000), None);
    }

    #[test]
    fn a_file_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready");
        let target = Target::File { path: path.to_str().unwrap().to_owned() };
        let probe = |patience_ms| {
            let probe =
                Probe { target: target.clone(), timeout_ms: 100, interval_ms: 10, patience_ms };
            self::probe(&probe).missing
        };
        assert!(probe(0).is_some());
        std::thread::spawn(move || {
            sleep(Duration::from_millis(50));
            fs::write(path, "").unwrap();
        });
        assert_eq!(probe(60_000), None);
    }
}
