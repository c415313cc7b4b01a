//! What is asked for: areas and packets.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use batch_api::AreaName;
use batch_api::plan::{PacketProblem, TaskSource};
use file_tree::Root;
use operation::{ErrorKind, OpError};

use super::{Area, Folder, Found, Repository, area};
use crate::configuration::{Configuration, shown, suggestion};

/// The word that means every area of the configuration.
const ALL: &str = "all";

const PROMPT: &str = "PROMPT.md";

/// What is asked for, by areas: some folders of one, or all of it.
#[derive(Debug, Default)]
struct Wanted(BTreeMap<AreaName, Option<BTreeSet<String>>>);

impl Wanted {
    fn whole(&mut self, area: AreaName) {
        self.0.insert(area, None);
    }

    fn folder(&mut self, area: AreaName, folder: &str) {
        let folders = self.0.entry(area).or_insert_with(|| Some(BTreeSet::new()));
        if let Some(folders) = folders {
            folders.insert(folder.to_owned());
        }
    }

    fn has(&self, area: &AreaName, folder: &str) -> bool {
        match self.0.get(area) {
            None => false,
            Some(None) => true,
            Some(Some(folders)) => folders.contains(folder),
        }
    }
}

impl Found {
    /// Looks at all areas and says what was asked for. Paths are relative to `directory`.
    pub(crate) fn look(
        repository: &Repository,
        configuration: &Configuration,
        directory: &Path,
        sources: &[TaskSource],
    ) -> Result<Self, OpError> {
        let mut found = Self::default();
        let mut wanted = Wanted::default();
        // The areas of the configuration are looked at in any case: a dependency may
        // lie in one that nobody asked for.
        let mut areas: BTreeMap<AreaName, (String, Root)> = BTreeMap::new();
        for (name, path) in &configuration.areas {
            match repository.root.directory(path) {
                Ok(root) => {
                    areas.insert(name.clone(), (path.to_string(), root));
                }
                Err(errno) => {
                    let file = path.to_string();
                    let message = format!("cannot look at the area `{name}`: {errno}");
                    found.problems.push(PacketProblem { file, line: 0, message });
                }
            }
        }
        let whole = [ALL
            .parse::<TaskSource>()
            .map_err(|error| OpError::new(ErrorKind::Internal, &error))?];
        for source in if sources.is_empty() { &whole } else { sources } {
            take(source.as_str(), repository, configuration, directory, &mut areas, &mut wanted)?;
        }
        for (name, (at, root)) in &areas {
            match area::read(root, name, at) {
                Ok(area) => found.sort(name, area, &wanted),
                Err(message) => {
                    let file = at.clone();
                    found.problems.push(PacketProblem { file, line: 0, message });
                }
            }
        }
        Ok(found)
    }

    /// Puts what an area holds where it belongs.
    fn sort(&mut self, name: &AreaName, area: Area, wanted: &Wanted) {
        let is_asked_for = wanted.0.contains_key(name);
        if is_asked_for {
            self.remarks.extend(area.remarks);
            self.completed_here += u32::try_from(area.archived.len()).unwrap_or(u32::MAX);
        }
        self.completed.extend(area.archived.into_iter().map(|id| (name.clone(), id)));
        for (folder, packet) in area.folders {
            let is_wanted = wanted.has(name, &folder);
            let id = area::id(&packet);
            match packet {
                Folder::Completed(_) => {
                    self.completed_here += u32::from(is_asked_for);
                    self.completed.extend(id.map(|id| (name.clone(), id)));
                }
                Folder::Open(packet) if is_wanted => {
                    self.problems.extend(area::beyond_one_repository(&packet));
                    self.remarks.extend(area::status_remark(&packet));
                    self.wanted.push(*packet);
                }
                Folder::Broken(_, problems) if is_wanted => self.problems.extend(problems),
                Folder::Open(_) | Folder::Broken(..) => {
                    self.pending.extend(id.map(|id| (name.clone(), id)));
                }
            }
        }
    }
}

/// Understands one thing that is asked for.
fn take(
    source: &str,
    repository: &Repository,
    configuration: &Configuration,
    directory: &Path,
    areas: &mut BTreeMap<AreaName, (String, Root)>,
    wanted: &mut Wanted,
) -> Result<(), OpError> {
    if source == ALL {
        if configuration.areas.is_empty() {
            let error =
                OpError::plain(ErrorKind::NotFound, "this repository has no areas of tasks");
            return Err(error
                .hinted("`hotcell batch init` writes a configuration and an example")
                .hinted("or name a directory of packets, or a PROMPT.md"));
        }
        configuration.areas.keys().for_each(|name| wanted.whole(name.clone()));
        return Ok(());
    }
    if let Some(name) = source.parse().ok().filter(|name| configuration.areas.contains_key(name)) {
        wanted.whole(name);
        return Ok(());
    }
    let path = [directory.join(source), repository.path.join(source)]
        .into_iter()
        .find_map(|path| path.canonicalize().ok())
        .ok_or_else(|| unknown(source, configuration))?;
    let folder = match (path.is_dir(), path.file_name()) {
        (false, Some(name)) if name == PROMPT => path.parent().map(Path::to_owned),
        (false, _) => {
            let message = format!("`{}` is neither a directory nor a {PROMPT}", shown(source));
            let error = OpError::plain(ErrorKind::InvalidRequest, message);
            return Err(error.hinted("name an area, its directory, or the PROMPT.md of one task"));
        }
        (true, _) => path.join(PROMPT).symlink_metadata().is_ok().then(|| path.clone()),
    };
    match folder {
        None => {
            let name = opened(&path, repository, configuration, areas)?;
            wanted.whole(name);
        }
        Some(folder) => {
            let parts = folder.parent().zip(folder.file_name().and_then(OsStr::to_str));
            let (parent, name) = parts.ok_or_else(|| {
                OpError::plain(ErrorKind::InvalidRequest, "a packet is a folder in a directory")
                    .hinted("put PROMPT.md into a folder of its own")
            })?;
            let area = opened(parent, repository, configuration, areas)?;
            wanted.folder(area, name);
        }
    }
    Ok(())
}

/// The area that a directory is: one of the configuration, or one that is called after
/// it.
fn opened(
    path: &Path,
    repository: &Repository,
    configuration: &Configuration,
    areas: &mut BTreeMap<AreaName, (String, Root)>,
) -> Result<AreaName, OpError> {
    let configured = configuration.areas.iter().find(|(_, at)| {
        repository.path.join(at.as_path()).canonicalize().is_ok_and(|at| at == path)
    });
    if let Some((name, _)) = configured {
        return Ok(name.clone());
    }
    let at = repository.told(path);
    let called = path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
    let Some(name) = called else {
        let message = format!("the directory {at} cannot be an area: of its name");
        return Err(OpError::plain(ErrorKind::InvalidRequest, message)
            .hinted("give it a name under [areas] of the configuration"));
    };
    let is_another = areas.get(&name).is_some_and(|(other, _)| *other != at);
    if is_another || configuration.areas.contains_key(&name) {
        let message = format!("there are two areas called `{name}`");
        return Err(OpError::plain(ErrorKind::Conflict, message)
            .hinted("give them names under [areas] of the configuration"));
    }
    let root = Root::open(path).map_err(|error| {
        OpError::new(ErrorKind::Denied, &error).hinted("give a directory that can be read")
    })?;
    areas.insert(name.clone(), (at, root));
    Ok(name)
}

fn unknown(source: &str, configuration: &Configuration) -> OpError {
    let names = || configuration.areas.keys().map(AreaName::as_str);
    let message = format!("there is neither an area nor a path `{}`", shown(source));
    let error = OpError::plain(ErrorKind::NotFound, message);
    match suggestion(source, names()) {
        Some(near) => error.hinted(format!("there is an area `{near}`")),
        None if configuration.areas.is_empty() => {
            error.hinted("`hotcell batch init` writes a configuration and an example")
        }
        None => {
            let all: Vec<&str> = names().collect();
            error
                .hinted(format!("the areas are {}", all.join(", ")))
                .hinted("a task is named by its directory, or its PROMPT.md")
        }
    }
}

/// The directory that a request means.
pub(crate) fn directory(text: &str) -> PathBuf {
    PathBuf::from(if text.is_empty() { "." } else { text })
}
