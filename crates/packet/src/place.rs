//! Where in a file something stands.

/// A value and the line that it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Located<T> {
    /// What stands there.
    pub value: T,
    /// Counted from one; 0 for what the file does not say and its folder's name does.
    pub line: u32,
}

impl<T> Located<T> {
    /// `value`, which stands on `line`.
    pub const fn new(value: T, line: u32) -> Self {
        Self { value, line }
    }
}
