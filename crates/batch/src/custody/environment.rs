//! The environment of a process, made from nothing.

use std::collections::BTreeMap;

/// The variables that a process gets; it inherits none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

/// A variable that no process can be given.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{name}` cannot be set: names are not empty, and neither they nor values hold NUL or names `=`"
)]
pub struct NotAVariable {
    /// Its name.
    pub name: String,
}

impl Environment {
    /// No variable at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Sets one.
    ///
    /// # Errors
    ///
    /// If the kernel would understand something else.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), NotAVariable> {
        let fits = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        if !fits {
            return Err(NotAVariable { name: name.to_owned() });
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Takes over those of `source` that `allowed` names.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn take_over(
        &mut self,
        source: impl IntoIterator<Item = (String, String)>,
        allowed: &[&str],
    ) -> Result<(), NotAVariable> {
        source
            .into_iter()
            .filter(|(name, _)| allowed.contains(&name.as_str()))
            .try_for_each(|(name, value)| self.set(&name, &value))
    }

    /// The names of those that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Values may be credentials, so only names are told.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_is_taken_over_and_values_are_not_told() {
        let source = [("PATH", "/bin"), ("CLAUDECODE", "1"), ("TOKEN", "hidden")];
        let source = source.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut environment = Environment::empty();
        environment.take_over(source, &["PATH", "TOKEN", "LANG"]).unwrap();
        assert_eq!(environment.pairs().len(), 2);
        assert_eq!(format!("{environment:?}"), r#"{"PATH", "TOKEN"}"#);
        assert!(environment.set("A=B", "").is_err() && environment.set("A", "\0").is_err());
    }
}
