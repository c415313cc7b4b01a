//! A set of secrets that grows while streams are being read.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::redactor::Redactor;
use crate::secrets::Secrets;

/// The secrets that are hidden at one place, for everybody there. Clones are the
/// same veil: what one of them is told to hide, all hide from then on, streams
/// included that are under way.
#[derive(Clone, Default)]
pub struct Veil(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How often the secrets were replaced; 0 while there never were any.
    generation: AtomicU64,
    secrets: RwLock<Option<Secrets>>,
}

impl Veil {
    /// Has these hidden from now on, instead of those before.
    pub fn hide(&self, secrets: Secrets) {
        // A panic elsewhere cannot have left half a set.
        *self.0.secrets.write().unwrap_or_else(PoisonError::into_inner) = Some(secrets);
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// What is hidden, if anything ever was.
    #[must_use]
    pub fn secrets(&self) -> Option<Secrets> {
        if self.generation() == 0 {
            return None;
        }
        self.0.secrets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A text with the values in it hidden.
    #[must_use]
    pub fn text(&self, text: String) -> String {
        let Some(secrets) = self.secrets() else { return text };
        let mut redactor = Redactor::new(secrets);
        let mut out = redactor.push(text.as_bytes());
        out.extend(redactor.finish());
        // Values are whole characters, so what is left of a text is one.
        String::from_utf8_lossy(&out).into_owned()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Veil").field("secrets", &self.secrets()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_under_way_hides_what_became_secret_meanwhile() {
        let veil = Veil::default();
        let mut stream = Redactor::following(veil.clone());
        assert_eq!(stream.push(b"0123456789 01234"), b"0123456789 01234");
        veil.hide(Secrets::new([("A", b"0123456789".as_slice())]).unwrap());
        assert_eq!(stream.push(b"0123456789 01234"), b"[REDACTED:A] ");
        let both = [("A", b"0123456789".as_slice()), ("B", b"01234abcdef".as_slice())];
        veil.hide(Secrets::new(both).unwrap());
        assert_eq!(stream.push(b"abcdef"), b"[REDACTED:B]");
        // The last character holds bits of what comes after, so it is not the value's alone.
        assert_eq!(veil.text("x MDEyMzQ1Njc4OQ== y".into()), "x [REDACTED:A]Q== y");
        assert_eq!(stream.finish(), b"");
    }

    #[test]
    fn what_hides_nothing_changes_nothing() {
        let veil = Veil::default();
        assert_eq!(veil.text("0123456789".into()), "0123456789");
        assert!(veil.secrets().is_none());
    }
}
