//! Work, brought to where the operator wants it: with the operator's rights, and what git
//! finds in the environment of whoever asked.
//!
//! An engine is started without an agent of ssh, a helper for passwords or a proxy, so
//! whoever asks lends it those variables that git goes by. They are in memory only, and
//! gone with the engine; its successor gets them from whoever still waits, or pushes
//! with what it has itself.

use std::collections::BTreeMap;
use std::fmt;

use batch_api::{CommitName, RequestId};
use batch_core::effect::Outcome;
use batch_core::integration::{Course, Handover};
use batch_git::{GitError, Integrated, Note, Operator, Way};
use serde::{Deserialize, Serialize};
use workspace::settings::variable;

use super::work::{id, signature};
use super::world::{Trouble, World, told};

/// What of an environment git goes by when it reaches for a remote.
const VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GNUPGHOME",
    "HOME",
    "HTTPS_PROXY",
    "KRB5CCNAME",
    "NO_PROXY",
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "WAYLAND_DISPLAY",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Most bytes of them all. One that would be beyond it is left out.
const BYTES_MAX: usize = 32 * 1024;

/// For how many requests they are kept.
pub(super) const LENT_MAX: usize = 64;

/// What somebody lends of an environment.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Surroundings(BTreeMap<String, String>);

impl Surroundings {
    /// That of this process.
    pub(crate) fn here() -> Self {
        let mut left = BYTES_MAX;
        let fits = |(name, value): &(String, String)| {
            let bytes = name.len() + value.len();
            let fits = bytes <= left;
            left -= if fits { bytes } else { 0 };
            fits
        };
        let known = |name: &&str| Some(((*name).to_owned(), variable(name)?.into_string().ok()?));
        Self(VARIABLES.iter().filter_map(known).filter(fits).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are lent at all, whatever was said.
    fn variables(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let lent = self.0.iter().filter(|(name, _)| VARIABLES.contains(&name.as_str()));
        lent.map(|(name, value)| (name.clone(), value.clone()))
    }
}

/// Values may be credentials, so only names are told.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl World {
    fn operator(&self, request: &RequestId) -> Operator {
        let operator = Operator::at(&self.setup.operator);
        match self.lent(request) {
            Some(lent) => operator.with(lent.variables()),
            None => operator,
        }
    }

    /// Brings a commit to where it is wanted.
    pub(super) async fn integrate(
        &self,
        request: &RequestId,
        commit: &CommitName,
        handover: &Handover,
    ) -> Result<Outcome, Trouble> {
        let (store, operator) = (self.store()?, self.operator(request));
        let branch = handover.branch.as_str();
        let note = Note {
            subject: format!("Merge {branch}"),
            trailers: vec![("Hotcell-Batch", self.setup.batch.to_string())],
        };
        let (commit, way) = (id(commit)?, way(&handover.course));
        let done = store.integrate(&operator, &commit, branch, &way, &note, &signature()).await;
        match done {
            Ok(Integrated::At(commit) | Integrated::Pushed(commit)) => {
                Ok(Outcome::Integrated { commit: commit.as_str().parse()? })
            }
            Ok(Integrated::Already) => Ok(Outcome::Contained),
            Err(error @ GitError::InTheWay(_)) => Ok(Outcome::InTheWay { why: told(&error) }),
            Err(error @ GitError::Missing { .. }) => Ok(Outcome::Nowhere { what: told(&error) }),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a commit has come to where it is wanted.
    pub(super) async fn find_integrated(
        &self,
        request: &RequestId,
        commit: &CommitName,
        handover: &Handover,
    ) -> Result<Option<Outcome>, Trouble> {
        let (store, operator) = (self.store()?, self.operator(request));
        let (branch, way) = (handover.branch.as_str(), way(&handover.course));
        let found = store.has_arrived(&operator, &id(commit)?, branch, &way).await?;
        let commit = found.map(|commit| commit.as_str().parse()).transpose()?;
        Ok(commit.map(|commit| Outcome::Integrated { commit }))
    }
}

fn way(course: &Course) -> Way {
    match course {
        Course::Forward { into } => Way::FastForward { into: into.to_string() },
        Course::Merge { into } => Way::Merge { into: into.to_string() },
        Course::Push { remote } => Way::Push { remote: remote.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_does_not_go_by_is_not_lent_and_values_are_not_shown() {
        let said = r#"{"SSH_AUTH_SOCK": "/run/hidden", "LD_PRELOAD": "/tmp/evil.so"}"#;
        let said: Surroundings = serde_json::from_str(said).unwrap();
        let lent: Vec<_> = said.variables().map(|(name, _)| name).collect();
        assert_eq!(lent, ["SSH_AUTH_SOCK"]);
        assert!(!format!("{said:?}").contains("hidden"));
    }
}
