//! Hiding values in a stream.

use crate::secrets::Secrets;
use crate::veil::Veil;

/// Hides secret values in one stream of bytes, whatever pieces it comes in.
///
/// It holds back only what may be the beginning of a value, so what a command
/// writes is seen at once; [`Redactor::finish`] gives the rest out at the end.
pub struct Redactor {
    /// `None` while there is nothing to hide.
    secrets: Option<Secrets>,
    held: Vec<u8>,
    /// Whose secrets these are, as of which generation.
    follows: Option<(Veil, u64)>,
}

impl Redactor {
    /// A redactor at the beginning of a stream.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets: Some(secrets), held: Vec::new(), follows: None }
    }

    /// The same for whatever is behind a veil at each moment. A value whose first
    /// bytes were given out before it got there is not found.
    #[must_use]
    pub fn following(veil: Veil) -> Self {
        Self { secrets: None, held: Vec::new(), follows: Some((veil, 0)) }
    }

    /// Whether bytes would go through as they are, so that nobody has to copy them.
    #[must_use]
    pub fn hides_nothing(&mut self) -> bool {
        self.follow();
        self.secrets.is_none()
    }

    fn follow(&mut self) {
        if let Some((veil, seen)) = &mut self.follows {
            let now = veil.generation();
            if now != *seen {
                *seen = now;
                self.secrets = veil.secrets();
            }
        }
    }

    /// Takes the next bytes of the stream and gives out what is known to be no
    /// part of a value, with values hidden.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.follow();
        let Some(secrets) = &self.secrets else { return bytes.to_vec() };
        self.held.extend_from_slice(bytes);
        let settled = secrets.undecided(&self.held);
        self.give_out(settled)
    }

    /// Gives out the rest, at the end of the stream.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.give_out(self.held.len())
    }

    /// Gives out everything that begins before `settled`.
    fn give_out(&mut self, settled: usize) -> Vec<u8> {
        let Some(secrets) = &self.secrets else { return std::mem::take(&mut self.held) };
        let mut out = Vec::with_capacity(settled);
        let mut at = 0;
        while at < settled {
            match secrets.find(&self.held[at..]) {
                Some((begin, end, name)) if at + begin < settled => {
                    out.extend_from_slice(&self.held[at..at + begin]);
                    out.extend_from_slice(b"[REDACTED:");
                    out.extend_from_slice(name.as_bytes());
                    out.push(b']');
                    at += end;
                }
                _ => {
                    out.extend_from_slice(&self.held[at..settled]);
                    at = settled;
                }
            }
        }
        self.held.drain(..at);
        out
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forms::forms;

    /// The same by trying every form at every place of the whole.
    fn naive(text: &[u8], forms: &[Vec<u8>]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let fitting = forms.iter().filter(|form| text[at..].starts_with(form));
            if let Some(longest) = fitting.map(Vec::len).max() {
                out.extend_from_slice(b"[REDACTED:S]");
                at += longest;
            } else {
                out.push(text[at]);
                at += 1;
            }
        }
        out
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        // Few different bytes, so that values overlap and contain each other.
        prop::collection::vec(prop::sample::select(b"ab/".to_vec()), 8..14)
    }

    proptest! {
        #[test]
        fn pieces_are_redacted_like_the_whole(
            values in prop::collection::btree_set(value(), 1..4),
            filling in prop::collection::vec(
                (prop::collection::vec(prop::sample::select(b"ab/%6".to_vec()), 0..6), 0..64_usize),
                0..8,
            ),
            pieces in prop::collection::vec(1..9_usize, 1..200),
        ) {
            let all: Vec<Vec<u8>> = values.iter().flat_map(|value| forms(value)).collect();
            let mut text = Vec::new();
            for (noise, index) in filling {
                text.extend(noise);
                text.extend(&all[index % all.len()]);
            }
            // All have one name: which of two equal forms it is makes no difference.
            let known = values.iter().map(|value| ("S", value.as_slice()));
            let mut redactor = Redactor::new(Secrets::new(known).unwrap());
            let (mut out, mut rest) = (Vec::new(), text.as_slice());
            for length in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*length).min(rest.len()));
                out.extend(redactor.push(piece));
                rest = after;
            }
            out.extend(redactor.finish());
            prop_assert_eq!(out, naive(&text, &all));
        }
    }

    #[test]
    fn only_what_may_be_a_beginning_is_held_back() {
        let secrets = Secrets::new([("KEY", b"0123456789".as_slice())]).unwrap();
        let mut redactor = Redactor::new(secrets);
        assert_eq!(redactor.push(b"$ "), b"$ ");
        assert_eq!(redactor.push(b"01234"), b"");
        assert_eq!(redactor.push(b"x 012345678"), b"01234x ");
        assert_eq!(redactor.push(b"9"), b"[REDACTED:KEY]");
        assert_eq!(redactor.push(b"012"), b"");
        assert_eq!(redactor.finish(), b"012");
    }

    #[test]
    fn without_secrets_nothing_is_held_back() {
        let mut redactor = Redactor::new(Secrets::new([]).unwrap());
        assert_eq!(redactor.push(b"abc"), b"abc");
        assert_eq!(redactor.finish(), b"");
    }

    #[test]
    fn values_that_cannot_be_hidden_are_refused_without_being_shown() {
        let error = Secrets::new([("KEY", b"1234567".as_slice())]).unwrap_err().to_string();
        assert!(error.contains("KEY") && !error.contains("1234567"), "{error}");
        let long = vec![b'x'; Secrets::VALUE_MAX + 1];
        assert!(Secrets::new([("KEY", long.as_slice())]).is_err());
        let longest = &long[1..];
        let secrets = Secrets::new([("KEY", longest)]).unwrap();
        assert!(!format!("{secrets:?}").contains("xxx"));
        let mut redactor = Redactor::new(secrets);
        let mut out = redactor.push(longest);
        out.extend(redactor.finish());
        assert_eq!(out, b"[REDACTED:KEY]");
    }
}
