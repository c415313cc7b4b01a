//! Text values: newtypes that parse once and print what they parsed.

/// A newtype over `String` that accepts what `$accepts` says, up to a length.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $length_max:literal, $pattern:expr, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Most characters of it, all of them ASCII.
            pub const LENGTH_MAX: usize = $length_max;

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = crate::id::NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let accepts: fn(&str) -> bool = $accepts;
                if !text.is_empty() && text.len() <= Self::LENGTH_MAX && accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(crate::id::NotAnId::of(stringify!($name), text, $pattern))
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        ::operation::text_value!($name, $pattern);
    };
}

pub(crate) use word;
