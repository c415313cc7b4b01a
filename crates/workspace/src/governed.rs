//! An engine under an operator's ceiling: what models and other strangers are
//! given instead of the [`Engine`] itself.
//!
//! ```text
//! request ─▶ claims ─▶ facts ─▶ judged ─▶ bound ─▶ carried out ─▶ concealed ─▶ answer
//!                       (store)  (pure)    (paths, ids)  (Engine)    (scope)
//! ```
//!
//! Every operation passes through here or does not compile: a handler exists for
//! each operation that says what it claims, and for no other. What was judged is
//! bound before it is used, so that nothing can be exchanged in between: a name
//! becomes an id, and a path of the host becomes a directory that was opened
//! beneath its root without following any link.
//!
//! **How many.** What would be too many is refused before anything is done. The last
//! word is spoken where a workspace is written down, so the number is exact however
//! many servers share a scope; two that fork at the same moment may both be refused.
//!
//! A ceiling is kept in memory and nothing is written down: SIGKILL leaves here
//! what it leaves in the engine.

mod copies;
mod scope;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use file_tree::{Root, TreePath};
use operation::{Call, ErrorKind, Handler, OpError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use workspace_api::ceiling::{Ceiling, Claim, Claims, Place, Refusal, Verdict};

pub use self::copies::CopiedFile;
use crate::Engine;
use crate::files::FileError;
use crate::seeds;
use crate::store::{Quota, StoreError};

/// Up to how many templates one is made for a shape that somebody asks for: a model
/// cannot run `prepare`, and each takes space on the host's disk.
const TEMPLATES_MAX: usize = 16;

/// Carries out every operation of the contract, up to a ceiling.
#[derive(Debug, Clone)]
pub struct Governed {
    engine: Engine,
    ceiling: Arc<Ceiling>,
}

/// What one request holds while it is carried out.
#[derive(Debug, Default)]
struct Held {
    /// What was opened on the host.
    opened: Vec<OwnedFd>,
    /// Whether it starts from what the operator chose.
    from_source: bool,
}

impl Governed {
    /// Puts an engine under a ceiling.
    #[must_use]
    pub fn new(engine: Engine, ceiling: Ceiling) -> Self {
        let quota = Quota { scope: ceiling.scope.clone(), most: ceiling.workspaces };
        let engine = engine.with_quota(quota).with_templates(TEMPLATES_MAX);
        Self { engine, ceiling: Arc::new(ceiling) }
    }

    /// Judges a request, and binds what it names.
    fn judge<O: Claims>(&self, operation: &mut O) -> Result<Held, OpError> {
        let mut held = Held::default();
        for mut claim in operation.claims() {
            let facts = self.known(&mut claim)?;
            match self.ceiling.judge(&mut claim, &facts) {
                Verdict::Allowed => {}
                Verdict::Narrowed => tracing::debug!(operation = O::NAME, ?claim, "narrowed"),
                Verdict::Unseen => {
                    let Claim::Workspace(meant) = claim else { continue };
                    return Err(StoreError::NotFound(meant.clone()).into());
                }
                Verdict::Refused(refusal) => {
                    tracing::info!(operation = O::NAME, %refusal, "refused");
                    return Err(refusal.into());
                }
            }
            self.bind(claim, &mut held)?;
        }
        Ok(held)
    }

    /// Opens what a claim names on the host, and has the request use that.
    fn bind(&self, claim: Claim<'_>, held: &mut Held) -> Result<(), OpError> {
        match claim {
            Claim::Source(seed) => {
                let own = self.ceiling.source.seed(seed.files);
                held.from_source = *seed == own;
                match &mut seed.path {
                    Some(path) if !held.from_source => self.bind_read(path, held),
                    _ => Ok(()),
                }
            }
            Claim::Reading(path) => self.bind_read(path, held),
            Claim::Returning(returning) => self.bind_read(returning.checkout, held),
            Claim::Leaving(leaving) => {
                let refused = || OpError::from(Refusal::Path { path: leaving.to.clone() });
                let place = self.ceiling.place_to_write(leaving.to).ok_or_else(refused)?;
                let name = place.below.file_name().ok_or_else(refused)?.to_owned();
                let name = name.to_str().ok_or_else(refused)?.to_owned();
                let parent = place.below.parent().unwrap_or_else(|| Path::new(""));
                let path = below(parent)?;
                let directory = root(&place)?.directory(&path).map_err(unopened(&place))?;
                *leaving.to = format!("{}/{name}", held.hold(directory.as_fd(), &place)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn bind_read(&self, path: &mut String, held: &mut Held) -> Result<(), OpError> {
        if self.ceiling.source.is_directory(path) {
            return Ok(());
        }
        let refused = || OpError::from(Refusal::Path { path: path.clone() });
        let place = self.ceiling.place_to_read(path).ok_or_else(refused)?;
        // A pipe must not hold us up, nor a terminal become ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = root(&place)?
            .open_file(&below(&place.below)?, flags, Mode::empty())
            .map_err(unopened(&place))?;
        *path = held.hold(opened.as_fd(), &place)?;
        Ok(())
    }
}

impl Held {
    /// Keeps something open; the path that means it as long as this lives.
    fn hold(
        &mut self,
        opened: std::os::fd::BorrowedFd<'_>,
        place: &Place<'_>,
    ) -> Result<String, OpError> {
        let own = opened.try_clone_to_owned().map_err(|source| FileError {
            action: "open",
            path: place.root.path().join(&place.below),
            source,
        })?;
        let path = format!("/proc/self/fd/{}", own.as_raw_fd());
        self.opened.push(own);
        Ok(path)
    }
}

fn root(place: &Place<'_>) -> Result<Root, OpError> {
    Root::open(place.root.path()).map_err(crate::trouble::tree_error)
}

fn below(path: &Path) -> Result<TreePath, OpError> {
    TreePath::parse(path.as_os_str().as_encoded_bytes())
        .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))
}

fn unopened(place: &Place<'_>) -> impl FnOnce(Errno) -> OpError {
    let path = place.root.path().join(&place.below);
    move |errno| {
        let kind = match errno {
            Errno::NOENT | Errno::NOTDIR => ErrorKind::NotFound,
            Errno::LOOP | Errno::ACCESS | Errno::PERM => ErrorKind::Denied,
            _ => ErrorKind::Internal,
        };
        let error = OpError::new(kind, &FileError { action: "open", path, source: errno.into() });
        match errno {
            Errno::LOOP => error.hinted("links are not followed below the operator's directories"),
            _ => error,
        }
    }
}

impl<O: Claims> Handler<O> for Governed
where
    Engine: Handler<O>,
{
    async fn handle(
        &self,
        mut operation: O,
        call: &mut Call<O::Event>,
    ) -> Result<O::Output, OpError> {
        let held = self.judge(&mut operation)?;
        match self.engine.handle(operation, call).await {
            Ok(mut output) => {
                O::conceal(&mut output, &self.ceiling.scope);
                Ok(output)
            }
            Err(error) if held.from_source && seeds::is_to_blame(&error) => {
                Err(error.hinted(self.ceiling.source.remedy()))
            }
            Err(error) => Err(error),
        }
    }
}

// Every operation of the contract says what it claims, or this does not compile.
const _: fn() = || {
    fn carries_out_all<T: workspace_api::WorkspaceOperations>() {}
    carries_out_all::<Governed>();
};
