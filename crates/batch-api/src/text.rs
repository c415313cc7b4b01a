//! Text values: newtypes that parse once and print what they parsed.

/// Gives a type with `FromStr` and `Display` its other faces: JSON and schema.
macro_rules! text_value {
    ($name:ident, $pattern:expr) => {
        impl TryFrom<String> for $name {
            type Error = <$name as ::std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

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

        crate::text::text_value!($name, $pattern);
    };
}

pub(crate) use {text_value, word};
