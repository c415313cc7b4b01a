//! What a task is, in the words of its packet.

mod scope;
mod words;

use crate::text::word;

pub use self::scope::{NotAPattern, ScopePattern};
pub use self::words::{NotALevel, ReviewLevel, Size};

word! {
    /// An area: a directory whose sub-directories are packets. 1 to 63 letters, digits
    /// and `._-`, starting with a letter or digit.
    AreaName, 63, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    |text| text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
