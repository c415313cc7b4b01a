//! Secrets: values that commands get and nobody else sees.

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::WorkspaceId;
use operation::text_value;

/// Shortest value of a secret, in bytes: a shorter one cannot be told from other
/// text, so it could not be hidden.
pub const VALUE_MIN: usize = 8;

/// Longest value of a secret, in bytes: with its command it fits into a frame.
pub const VALUE_MAX: usize = 32 * 1024;

/// The name of a secret: a letter or `_`, then at most 63 letters, digits and `_`,
/// so that it is also the name of a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

impl SecretName {
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 64;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let is_valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // What is no name may well be a value: it is not repeated.
        if is_valid { Ok(Self(text.to_owned())) } else { Err(NotASecret) }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(SecretName, "^[A-Za-z_][A-Za-z0-9_]{0,63}$");

/// A text that names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("that names no secret: write NAME or NAME=VARIABLE, each of letters, digits and `_`")]
pub struct NotASecret;

/// A secret that a command is given, and the variable that holds its value there:
/// `NAME`, or `NAME=VARIABLE` if the variable is called otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretUse {
    /// Which secret.
    pub secret: SecretName,
    /// Name of the variable.
    pub variable: SecretName,
}

impl From<SecretName> for SecretUse {
    fn from(secret: SecretName) -> Self {
        Self { variable: secret.clone(), secret }
    }
}

impl FromStr for SecretUse {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        match text.split_once('=') {
            None => Ok(SecretName::from_str(text)?.into()),
            Some((secret, variable)) => {
                Ok(Self { secret: secret.parse()?, variable: variable.parse()? })
            }
        }
    }
}

impl fmt::Display for SecretUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret == self.variable {
            self.secret.fmt(f)
        } else {
            write!(f, "{}={}", self.secret, self.variable)
        }
    }
}

text_value!(SecretUse, "^[A-Za-z_][A-Za-z0-9_]{0,63}(=[A-Za-z_][A-Za-z0-9_]{0,63})?$");

/// Keep a secret for commands, or give it another value
///
/// Reads the value from standard input unless a file or a variable is named;
/// there is no option for the value itself, because every user of the host sees
/// the arguments of every process. One line end at the value's end is taken off.
/// It must be text of 8 to 32768 bytes without NUL. The value is stored sealed
/// with a key of this user and is never shown again. Commands that run keep what
/// they were given; the next one that is started gets the new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Name of the secret
    pub name: SecretName,
    /// Read the value from this file of the host
    #[arg(long, value_name = "PATH", conflicts_with = "from_env")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_file: Option<String>,
    /// Read the value from this variable of hotcell's own environment
    #[arg(long, value_name = "VARIABLE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_env: Option<String>,
}

impl Set {
    /// Sets the secret of this name to what comes as input.
    #[must_use]
    pub const fn new(name: SecretName) -> Self {
        Self { name, from_file: None, from_env: None }
    }
}

impl Operation for Set {
    type Output = Secret;
    type Event = NoEvents;
    const NAME: &'static str = "secret.set";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "DEPLOY_TOKEN", json: r#"{"name": "DEPLOY_TOKEN"}"# },
        Example {
            argv: "DEPLOY_TOKEN --from-env CI_TOKEN",
            json: r#"{"name": "DEPLOY_TOKEN", "from_env": "CI_TOKEN"}"#,
        },
    ];
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// Length of its value, in bytes.
    pub bytes: u64,
    /// When it was first set, RFC 3339 in UTC.
    pub created_at: String,
    /// When it got its present value, RFC 3339 in UTC.
    pub changed_at: String,
    /// Whether its value can be read: not if the key that it was sealed with is
    /// gone.
    pub readable: bool,
    /// The workspaces that were given it, whatever its value was then.
    pub workspaces: Vec<WorkspaceId>,
}

impl Secret {
    fn line(&self) -> String {
        let Self { name, bytes, changed_at, readable, workspaces, .. } = self;
        let state = if *readable { "" } else { "  UNREADABLE: set it again" };
        let workspaces = workspaces.len();
        format!("{name:<24} {bytes:>6} bytes  {changed_at}  in {workspaces} workspaces{state}")
    }
}

impl Present for Secret {
    fn present(&self, screen: &mut Screen) {
        screen.line(self.line());
    }
}

/// List the secrets that commands can be given; never their values
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {}

impl Operation for List {
    type Output = Secrets;
    type Event = NoEvents;
    const NAME: &'static str = "secret.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example { argv: "", json: "{}" }];
}

/// The secrets of this user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Secrets {
    /// By name.
    pub secrets: Vec<Secret>,
}

impl Present for Secrets {
    fn present(&self, screen: &mut Screen) {
        for secret in &self.secrets {
            screen.line(secret.line());
        }
        if self.secrets.is_empty() {
            screen.note("No secrets: `hotcell secret set` keeps one");
        }
    }
}

/// Forget a secret
///
/// No command can be given it any more. Workspaces that were given it go on
/// hiding its value in all that they show, until they are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Name of the secret
    pub name: SecretName,
}

impl Operation for Delete {
    type Output = Deleted;
    type Event = NoEvents;
    const NAME: &'static str = "secret.delete";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "DEPLOY_TOKEN", json: r#"{"name": "DEPLOY_TOKEN"}"# }];
}

/// A secret that no longer exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The name that it had.
    pub name: SecretName,
}

impl Present for Deleted {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Deleted {}", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_variables_and_what_is_none_is_not_repeated() {
        let given: SecretUse = "TOKEN".parse().unwrap();
        assert_eq!((given.variable.as_str(), given.to_string()), ("TOKEN", "TOKEN".into()));
        let given: SecretUse = "TOKEN=GH_TOKEN".parse().unwrap();
        assert_eq!((given.secret.as_str(), given.variable.as_str()), ("TOKEN", "GH_TOKEN"));
        assert_eq!(given.to_string().parse::<SecretUse>().unwrap(), given);
        let long = "x".repeat(65);
        for bad in ["", "1A", "A B", "A=", "=A", "A=B=C", "ghp_secret-value!", long.as_str()] {
            let error = bad.parse::<SecretUse>().unwrap_err().to_string();
            assert!(bad.len() < 3 || !error.contains(bad), "{error}");
        }
    }
}
