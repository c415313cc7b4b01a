//! `batch.init`: a configuration and an example for a repository that has none.
//!
//! Every file is written aside and linked to its name, which fails if the name is
//! taken: nothing is ever replaced, and a SIGKILL leaves whole files or none. Doing it
//! again writes what is missing.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use batch_api::init::{Init, InitialFile, InitialOutcome, Initialised};
use batch_api::plan::SourceOfSettings;
use file_tree::TreePath;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};

use crate::Batches;
use crate::configuration::{self, Configuration, OWN_FILE};
use crate::discovery::{self, Repository};

/// Where the example's area is, and what it is called.
const AREA: (&str, &str) = ("tasks", "tasks");

/// The example: a small task that every repository can use.
const EXAMPLE: (&str, &str) =
    ("tasks/EX-001-development-guide/PROMPT.md", include_str!("initial/PROMPT.md"));

impl Handler<Init> for Batches {
    async fn handle(&self, init: Init, _: &mut Call<NoEvents>) -> Result<Initialised, OpError> {
        tokio::task::spawn_blocking(move || initialised(&init)).await.map_err(|error| {
            OpError::new(ErrorKind::Internal, &error).during("writing ended early")
        })?
    }
}

fn initialised(request: &Init) -> Result<Initialised, OpError> {
    let repository = Repository::around(&discovery::directory(&request.directory))?;
    let read = repository.configuration();
    if let Some(problem) = read.problems.first() {
        let at = format!("{}:{}: {}", problem.file, problem.line, problem.message);
        return Err(OpError::plain(ErrorKind::Conflict, at)
            .during("the configuration that is there makes no sense")
            .hinted("mend it, or move it away"));
    }
    let mut configuration = read.configuration;
    let mut wanted = Vec::new();
    let has_own = configuration.source == SourceOfSettings::Own;
    if configuration.areas.is_empty() && !has_own {
        example(&mut configuration)?;
        wanted.push((EXAMPLE.0, EXAMPLE.1.to_owned()));
    }
    // The configuration comes last: where it is, the rest is.
    wanted.push((OWN_FILE, configuration::written(&configuration)));
    let mut files = Vec::new();
    for (path, content) in wanted {
        let is_there = repository.path.join(path).symlink_metadata().is_ok();
        let outcome = match (is_there, request.dry_run) {
            (true, _) => InitialOutcome::Kept,
            (false, true) => InitialOutcome::Missing,
            (false, false) => write(&repository.path, path, &content)?,
        };
        let content = (outcome == InitialOutcome::Missing).then_some(content);
        files.push(InitialFile { path: path.to_owned(), outcome, content });
    }
    let repository = repository.path.display().to_string();
    Ok(Initialised { repository, dry_run: request.dry_run, files })
}

fn example(configuration: &mut Configuration) -> Result<(), OpError> {
    let internal = |error: &dyn std::error::Error| OpError::new(ErrorKind::Internal, error);
    let name = AREA.0.parse().map_err(|error| internal(&error))?;
    let path = TreePath::parse(AREA.1.as_bytes()).map_err(|error| internal(&error))?;
    configuration.areas.insert(name, path);
    Ok(())
}

/// Writes a file that is not there, with its directories, none of which may be a link.
fn write(repository: &Path, path: &str, content: &str) -> Result<InitialOutcome, OpError> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
            _ => ErrorKind::Denied,
        };
        OpError::new(kind, &error)
            .during(format!("cannot write {path}"))
            .hinted("what was written before stays; do it again once that is mended")
    };
    let target = repository.join(path);
    let mut directory = repository.to_owned();
    for part in Path::new(path).parent().into_iter().flat_map(Path::iter) {
        directory.push(part);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        if !directory.symlink_metadata().map_err(failed)?.is_dir() {
            let message = format!("{} is no directory", directory.display());
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("links are not followed; move it away"));
        }
    }
    let mut aside = tempfile::Builder::new();
    let mut file = aside.prefix(".batch-").tempfile_in(&directory).map_err(failed)?;
    file.write_all(content.as_bytes()).map_err(failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(&target) {
        Ok(_) => Ok(InitialOutcome::Written),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(InitialOutcome::Kept)
        }
        Err(error) => Err(failed(error.error)),
    }
}
