//! Names of contents, and which contents are text.

use guest_protocol::tools::tree::ContentId;
use sha1::{Digest as _, Sha1};

/// How much of a content is searched for a NUL byte, in bytes; git's measure.
const BINARY_PROBE: usize = 8000;

/// What git calls this content.
#[must_use]
pub fn content_id(content: &[u8]) -> ContentId {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    ContentId(hash.finalize().into())
}

/// Whether git takes it for data rather than text.
#[must_use]
pub fn is_binary(content: &[u8]) -> bool {
    memchr::memchr(0, &content[..content.len().min(BINARY_PROBE)]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_called_what_git_calls_them() {
        // `printf 'hello\n' | git hash-object --stdin`
        let id = content_id(b"hello\n");
        assert_eq!(id.to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
