//! The forms in which a value leaks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

/// All forms of a value, each once.
pub(crate) fn forms(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([value.to_vec()]);
    for digits in [Digits::Upper, Digits::Lower] {
        forms.insert(hexadecimal(value, digits));
        forms.insert(percent(value, digits, is_unreserved));
        // Encoders for paths and queries leave more of the characters alone.
        forms.insert(percent(value, digits, |byte| {
            is_unreserved(byte) || b"/:@!$&'()*+,;=".contains(&byte)
        }));
    }
    let plus = |byte: u8| is_unreserved(byte) || byte == b' ';
    let spaces = percent(value, Digits::Upper, plus);
    forms.insert(spaces.into_iter().map(|byte| if byte == b' ' { b'+' } else { byte }).collect());
    if let Ok(text) = std::str::from_utf8(value) {
        forms.insert(json(text, Escapes::Needed));
        forms.insert(json(text, Escapes::Slashes));
        forms.insert(json(text, Escapes::Ascii));
    }
    for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, NO_PAD);
        forms.extend((0..3).map(|offset| aligned(value, &engine, offset)));
    }
    forms
}

#[derive(Clone, Copy)]
enum Digits {
    Upper,
    Lower,
}

impl Digits {
    fn of(self, byte: u8) -> String {
        match self {
            Self::Upper => format!("{byte:02X}"),
            Self::Lower => format!("{byte:02x}"),
        }
    }
}

fn hexadecimal(value: &[u8], digits: Digits) -> Vec<u8> {
    value.iter().flat_map(|byte| digits.of(*byte).into_bytes()).collect()
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn percent(value: &[u8], digits: Digits, is_plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 3);
    for &byte in value {
        if is_plain(byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(digits.of(byte).bytes());
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    /// What RFC 8259, section 7, demands.
    Needed,
    /// The same and `/`.
    Slashes,
    /// The same as what is needed, and everything beyond ASCII.
    Ascii,
}

fn json(text: &str, escapes: Escapes) -> Vec<u8> {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if escapes == Escapes::Slashes => out.push_str("\\/"),
            c if c < ' ' || (escapes == Escapes::Ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("writing to a string cannot fail");
                }
            }
            c => out.push(c),
        }
    }
    out.into_bytes()
}

/// What the value certainly looks like in base64 when it begins `offset` bytes
/// into a group of three: the characters that depend on nothing else.
fn aligned(value: &[u8], engine: &GeneralPurpose, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value);
    let encoded = engine.encode(&bytes).into_bytes();
    // The first characters hold bits of what comes before, the last one may
    // hold bits of what comes after.
    let first = (offset * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    encoded[first..last].to_vec()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn holds(text: &[u8], forms: &BTreeSet<Vec<u8>>) -> bool {
        forms.iter().any(|form| text.windows(form.len()).any(|window| window == form))
    }

    proptest! {
        #[test]
        fn a_value_is_found_wherever_it_lies_in_base64(
            before in prop::collection::vec(any::<u8>(), 0..20),
            value in prop::collection::vec(any::<u8>(), 8..40),
            after in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let whole = [before, value.clone(), after].concat();
            let forms = forms(&value);
            prop_assert!(holds(STANDARD.encode(&whole).as_bytes(), &forms));
            prop_assert!(holds(URL_SAFE.encode(&whole).as_bytes(), &forms));
        }
    }

    #[test]
    fn every_other_form_is_there() {
        let forms = forms("pä\"ss/w rd\n".as_bytes());
        for expected in [
            "pä\"ss/w rd\n",
            "70c3a42273732f772072640a",
            "70C3A42273732F772072640A",
            "p%C3%A4%22ss%2Fw%20rd%0A",
            "p%c3%a4%22ss%2fw%20rd%0a",
            "p%C3%A4%22ss/w%20rd%0A",
            "p%C3%A4%22ss%2Fw+rd%0A",
            "pä\\\"ss/w rd\\n",
            "pä\\\"ss\\/w rd\\n",
            "p\\u00e4\\\"ss/w rd\\n",
        ] {
            assert!(forms.contains(expected.as_bytes()), "{expected}");
        }
    }
}
