//! Where requests of HTTP/1 begin and end, and for whom they are (RFC 9112).
//!
//! Stricter than servers are: whatever two readers could cut in two ways (bare
//! line feeds, two lengths, a length beside chunks) is refused, or the second
//! request of a connection could hide in the body of the first.

use super::inspect::Suspicion;

/// How many header fields a request may have.
const FIELDS_MAX: usize = 128;
/// The longest line that gives a chunk's size, in bytes.
const CHUNK_LINE_MAX: usize = 256;
/// The most bytes that may follow the last chunk.
const TRAILER_MAX: usize = 8 * 1024;

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its length in bytes, with the empty line.
    pub(crate) length: usize,
    /// The host that it is for, without port.
    pub(crate) host: String,
    /// What follows it.
    pub(crate) body: Body,
    /// Whether the connection shall become a web socket.
    pub(crate) wants_socket: bool,
}

/// What follows a request's head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunks(Chunks),
}

/// Whether a connection's first bytes are a request of HTTP/1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Yes,
    No,
    Unknown,
}

/// Looks at the first bytes of a connection. Lenient: what a lax server could
/// take for a request must be judged as one.
pub(crate) fn likeness(bytes: &[u8]) -> Likeness {
    // Servers skip empty lines before a request.
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let line = &bytes[start..];
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x0b | 0x0c);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let method = line.iter().take_while(|byte| is_token(byte)).count();
    match line.get(method) {
        None => return Likeness::Unknown,
        Some(byte) if method == 0 || !is_space(byte) => return Likeness::No,
        Some(_) => {}
    }
    let end = line.iter().position(|byte| *byte == b'\n');
    let text = &line[method..end.unwrap_or(line.len())];
    if text.iter().any(|byte| byte.is_ascii_control() && !is_space(byte) && *byte != b'\r') {
        return Likeness::No;
    }
    let lower = text.to_ascii_lowercase();
    let has_version = lower.windows(5).any(|word| word == b"http/");
    match (has_version, end) {
        (true, _) => Likeness::Yes,
        (false, Some(_)) => Likeness::No,
        (false, None) => Likeness::Unknown,
    }
}

/// The request at the start of `bytes`, or `None` if its head is not complete.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<Request>, Suspicion> {
    let wrong = Suspicion::Request;
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) => return Err(wrong("its version is not 1.0 or 1.1")),
        Err(_) => return Err(wrong("its head is malformed")),
    };
    if has_bare_ends(&bytes[..length]) {
        return Err(wrong("its lines do not end as they should"));
    }
    let field = |name: &str| {
        let name = name.to_owned();
        parsed.headers.iter().filter(move |f| f.name.eq_ignore_ascii_case(&name)).map(|f| f.value)
    };
    if parsed.method == Some("CONNECT") {
        return Err(Suspicion::Tunnel);
    }
    let mut hosts = field("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Suspicion::NoHost);
    };
    let host = authority_host(host).ok_or(Suspicion::NoHost)?;
    if let Some(claimed) = target_host(parsed.path.unwrap_or_default())?
        && claimed != host
    {
        return Err(Suspicion::OtherHost(claimed));
    }
    let body = body(field("transfer-encoding"), field("content-length"))?;
    let wants_socket = field("upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket"));
    Ok(Some(Request { length, host, body, wants_socket }))
}

/// Whether a line ends otherwise than with CR LF.
fn has_bare_ends(head: &[u8]) -> bool {
    let lone_feed = head.iter().enumerate().any(|(at, byte)| {
        *byte == b'\n' && at.checked_sub(1).is_none_or(|before| head[before] != b'\r')
    });
    lone_feed || head.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}

/// The host of an absolute target; the other forms have none.
fn target_host(target: &str) -> Result<Option<String>, Suspicion> {
    if target.starts_with('/') || target == "*" {
        return Ok(None);
    }
    let rest = target
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"))
        .map(|(_, rest)| rest)
        .ok_or(Suspicion::Request("its target is no path"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = authority_host(&rest.as_bytes()[..end]);
    host.map(Some).ok_or(Suspicion::Request("its target has no host"))
}

/// The host of `HOST[:PORT]`, as names are compared.
fn authority_host(authority: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(authority).ok()?.trim_matches([' ', '\t']);
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return None,
        None => text,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

fn body<'a>(
    mut encodings: impl Iterator<Item = &'a [u8]>,
    mut lengths: impl Iterator<Item = &'a [u8]>,
) -> Result<Body, Suspicion> {
    match (encodings.next(), encodings.next(), lengths.next(), lengths.next()) {
        (None, None, None, None) => Ok(Body::Length(0)),
        (None, None, Some(length), None) => {
            let digits =
                std::str::from_utf8(length).ok().map(|text| text.trim_matches([' ', '\t']));
            digits
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .map(Body::Length)
                .ok_or(Suspicion::Request("its length is no number"))
        }
        (Some(encoding), None, None, None)
            if encoding.trim_ascii().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Body::Chunks(Chunks::default()))
        }
        _ => Err(Suspicion::Request("the length of its body can be read in two ways")),
    }
}

/// Follows a body in chunks to its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    step: ChunkStep,
    line: Vec<u8>,
    trailer: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ChunkStep {
    /// The line with the size.
    #[default]
    Size,
    /// This much data.
    Data(u64),
    /// The end of line behind the data.
    DataEnd,
    /// Lines behind the last chunk.
    Trailer,
    /// The body is over.
    Over,
}

impl Chunks {
    /// How many of `bytes` belong to the body, and whether it is over.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), Suspicion> {
        let mut at = 0;
        while at < bytes.len() && self.step != ChunkStep::Over {
            if let ChunkStep::Data(left) = self.step {
                let present = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += present;
                let left = left - present as u64;
                self.step = if left == 0 { ChunkStep::DataEnd } else { ChunkStep::Data(left) };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            self.line.push(byte);
            if byte == b'\n' {
                self.step = self.after_line()?;
                self.line.clear();
            } else if self.line.len() > self.longest_line() {
                return Err(Suspicion::Request("a chunk's line is too long"));
            }
        }
        Ok((at, self.step == ChunkStep::Over))
    }

    const fn longest_line(&self) -> usize {
        match self.step {
            ChunkStep::Trailer => TRAILER_MAX,
            _ => CHUNK_LINE_MAX,
        }
    }

    fn after_line(&mut self) -> Result<ChunkStep, Suspicion> {
        let wrong = Suspicion::Request("its chunks are malformed");
        let line = self.line.strip_suffix(b"\r\n").ok_or_else(|| wrong.clone())?;
        if line.contains(&b'\r') {
            return Err(wrong);
        }
        match self.step {
            ChunkStep::Size => match chunk_size(line).ok_or(wrong)? {
                0 => Ok(ChunkStep::Trailer),
                size => Ok(ChunkStep::Data(size)),
            },
            ChunkStep::DataEnd if line.is_empty() => Ok(ChunkStep::Size),
            ChunkStep::Trailer if line.is_empty() => Ok(ChunkStep::Over),
            ChunkStep::Trailer => {
                self.trailer += line.len();
                if self.trailer > TRAILER_MAX { Err(wrong) } else { Ok(ChunkStep::Trailer) }
            }
            _ => Err(wrong),
        }
    }
}

/// The number at the start of a chunk's line; extensions may follow it.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let digits = &line[..end.unwrap_or(line.len())];
    let is_number = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Request>, Suspicion> {
        request(text.as_bytes())
    }

    #[test]
    fn a_head_says_for_whom_and_how_long() {
        let text = "POST /x HTTP/1.1\r\nHost: Example.ORG.:8080\r\nContent-Length: 12\r\n\r\nrest";
        let request = head(text).unwrap().unwrap();
        assert_eq!(request.host, "example.org");
        assert_eq!(request.body, Body::Length(12));
        assert_eq!(request.length, text.len() - 4);
        assert_eq!(head("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        let same = "GET http://a.example:80/x HTTP/1.1\r\nHost: a.example\r\n\r\n";
        assert_eq!(head(same).unwrap().unwrap().host, "a.example");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for wrong in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a.example HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        ] {
            assert!(head(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn likeness_is_judged_as_soon_as_it_can_be() {
        for (bytes, likeness_expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Likeness::Yes),
            (b"\r\n\r\nget /\thttp/1.0", Likeness::Yes),
            (b"PRI * HTTP/2.0\r\n", Likeness::Yes),
            (b"GET /very/long", Likeness::Unknown),
            (b"\r\n", Likeness::Unknown),
            (b"", Likeness::Unknown),
            (b"EHLO example.org\r\n", Likeness::No),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Likeness::No),
            (b"0032git-upload-pack /x\0host=a\0", Likeness::No),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Likeness::No),
        ] {
            assert_eq!(likeness(bytes), likeness_expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn chunks_end_where_servers_say_they_end() {
        let body = b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        let stream = [&body[..], b"GET /"].concat();
        for cut in [1, 3, 1000] {
            let mut chunks = Chunks::default();
            let mut consumed = 0;
            for piece in stream.chunks(cut) {
                let (taken, over) = chunks.follow(piece).unwrap();
                consumed += taken;
                if over {
                    break;
                }
            }
            assert_eq!(consumed, body.len());
        }
        for wrong in
            [&b"5\nhello\r\n"[..], b"-1\r\n", b"\r\n", b"5\r\nhelloX\r\n", b"fffffffffffffffff\r\n"]
        {
            assert!(Chunks::default().follow(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
