//! What a sealed value belongs to.

/// What a sealed value belongs to: a list of texts, each preceded by its length,
/// so that no two lists look the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

/// Keeps what is sealed here apart from what anything else seals with the key.
const DOMAIN: &[u8] = b"hotcell sealed 1\0";

impl Binding {
    /// What belongs to these texts in this order.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut bytes = DOMAIN.to_vec();
        for text in texts {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
