//! Finding out whether a stream holds a value.

use crate::secrets::Secrets;

/// Looks for secret values in one stream of bytes, whatever pieces it comes in,
/// for those who must not alter what they pass on: a diff, an export.
#[derive(Debug)]
pub struct Scanner {
    secrets: Secrets,
    tail: Vec<u8>,
}

impl Scanner {
    /// A scanner at the beginning of a stream.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, tail: Vec::new() }
    }

    /// Takes the next bytes of the stream. The name of a secret whose value, in
    /// whatever form, is complete by now; a value is told at the latest with the
    /// piece that holds its last byte.
    pub fn push(&mut self, bytes: &[u8]) -> Option<&str> {
        self.tail.extend_from_slice(bytes);
        let Some((_, _, name)) = self.secrets.find(&self.tail) else {
            self.tail.drain(..self.secrets.undecided(&self.tail));
            return None;
        };
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_across_pieces() {
        let secrets = Secrets::new([("KEY", b"0123456789".as_slice())]).unwrap();
        for form in ["0123456789", "30313233343536373839", "MDEyMzQ1Njc4OQ"] {
            let text = format!("{}{form}", "before ".repeat(50));
            let mut scanner = Scanner::new(secrets.clone());
            let (last, first) = text.as_bytes().split_last().unwrap();
            for byte in first.chunks(3) {
                let found = scanner.push(byte);
                assert!(found.is_none() || form.starts_with("MDEy"), "{form}");
            }
            assert_eq!(scanner.push(&[*last]), Some("KEY"));
        }
        assert_eq!(Scanner::new(secrets).push(b"012345678x"), None);
    }
}
