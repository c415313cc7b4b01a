//! Judging content that leaves a workspace byte by byte.
//!
//! What people are shown has its values hidden; a file, a patch or an archive
//! that is altered is broken. So nothing in those is altered: they leave as they
//! are, or not at all.

use std::io::{self, Read};

use operation::{ErrorKind, OpError};
use redaction::Scanner;

/// How much is looked at at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Looks for what a workspace was given in what leaves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Option<redaction::Secrets>);

impl Gate {
    /// Lets nothing pass that holds one of these.
    pub(crate) const fn new(secrets: Option<redaction::Secrets>) -> Self {
        Self(secrets)
    }

    /// Whether nothing is looked for.
    pub(crate) const fn lets_all_pass(&self) -> bool {
        self.0.is_none()
    }

    /// Refuses bytes that hold a value; `what` names them.
    pub(crate) fn judge(&self, what: &str, bytes: &[u8]) -> Result<(), OpError> {
        match self.found(bytes) {
            // Memory can be read.
            Err(_) | Ok(None) => Ok(()),
            Ok(Some(secret)) => Err(refused(what, &secret)),
        }
    }

    /// What looks at content that comes piece by piece.
    pub(crate) fn scanner(&self) -> Option<Scanner> {
        self.0.clone().map(Scanner::new)
    }

    /// The first secret whose value is in some content.
    pub(crate) fn found(&self, mut content: impl Read) -> io::Result<Option<String>> {
        let Some(mut scanner) = self.scanner() else { return Ok(None) };
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = match content.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Some(secret) = scanner.push(&buffer[..length]) {
                return Ok(Some(secret.to_owned()));
            }
        }
    }
}

/// The refusal of content that holds a value.
pub(crate) fn refused(what: &str, secret: &str) -> OpError {
    let message =
        format!("`{what}` holds the value of the secret `{secret}`, so it does not leave");
    OpError::plain(ErrorKind::Denied, message)
        .hinted("take the value out of it, or let it leave with --allow-secrets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_with_a_value_is_refused_by_name_wherever_the_value_lies() {
        let secrets = redaction::Secrets::new([("KEY", b"0123456789".as_slice())]).unwrap();
        let gate = Gate::new(Some(secrets));
        let mut content = vec![b'x'; 3 * CHUNK];
        gate.judge("a file", &content).unwrap();
        content[CHUNK - 5..CHUNK + 5].copy_from_slice(b"0123456789");
        let error = gate.judge("src/key.rs", &content).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.message.contains("src/key.rs") && error.message.contains("`KEY`"));
        assert!(!error.to_string().contains("0123456789"));
        Gate::default().judge("src/key.rs", &content).unwrap();
    }
}
