//! What an area holds: its immediate sub-directories, and those of its archive.

use batch_api::plan::{PacketProblem, Remark};
use batch_api::{AreaName, TaskId};
use file_tree::{Kind, Root, TreePath, walk};
use packet::done::Done;
use packet::limits::{NOTE_MAX_BYTES, PROMPT_MAX_BYTES, STATUS_MAX_BYTES};
use packet::status::Status;
use packet::{Problem, Prompt, folder_id};

use super::repository::bytes;
use super::{Area, Folder, Packet};
use crate::configuration::shown;

/// Most files and directories of an area that are looked at.
const ENTRIES_MAX: usize = 20_000;

/// Where the packets of tasks lie that are done and put away.
const ARCHIVE: &str = "archive";

const PROMPT: &str = "PROMPT.md";
const STATUS: &str = "STATUS.md";
const DONE: &str = ".DONE";

/// Looks at an area that is called `name` and told as `at`.
///
/// # Errors
///
/// If it cannot be read, or holds too much.
pub(super) fn read(root: &Root, name: &AreaName, at: &str) -> Result<Area, String> {
    let mut area = Area::default();
    let mut remarks = Vec::new();
    let found = walk(root, ENTRIES_MAX, &mut |entry| {
        let path = entry.path.to_string();
        let parts: Vec<&str> = path.split('/').collect();
        let hidden = parts.iter().any(|part| part.starts_with('.') && *part != DONE);
        let wanted = match parts[..] {
            [_] | [ARCHIVE, _] => true,
            [ARCHIVE, _, file] => file == DONE,
            _ => false,
        };
        if entry.kind == Kind::Symlink && wanted && !hidden {
            let file = format!("{at}/{}", shown(&path));
            remarks.push(Remark { file, message: "a link, which is not followed".to_owned() });
        }
        wanted && !hidden && entry.kind != Kind::Symlink
    })
    .map_err(|error| error.to_string())?;
    area.remarks = remarks;
    for directory in &found.unreadable {
        let file = format!("{at}/{}", shown(&directory.to_string()));
        area.remarks.push(Remark { file, message: "cannot be read".to_owned() });
    }
    for entry in &found.entries {
        let path = entry.path.to_string();
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            [ARCHIVE, name_of_folder, DONE] => {
                let file = format!("{at}/{}", shown(&format!("{ARCHIVE}/{name_of_folder}")));
                let inside = format!("{ARCHIVE}/{name_of_folder}");
                match self::folder(root, &inside, name, &file) {
                    Some(Folder::Completed(Some(id))) => area.archived.push(id),
                    _ => area.remarks.push(unnamed(file)),
                }
            }
            [ARCHIVE, ..] => {}
            // What lies beside packets, such as CONTEXT.md, is none.
            [folder] if entry.kind == Kind::Directory && !entry.path.is_root() => {
                let file = format!("{at}/{}", shown(folder));
                match self::folder(root, folder, name, &file) {
                    Some(packet) => {
                        if matches!(packet, Folder::Completed(None)) {
                            area.remarks.push(unnamed(file));
                        }
                        area.folders.insert(folder.to_owned(), packet);
                    }
                    None => {
                        let message = format!("no packet: it has no {PROMPT}");
                        area.remarks.push(Remark { file, message });
                    }
                }
            }
            _ => {}
        }
    }
    Ok(area)
}

fn unnamed(file: String) -> Remark {
    Remark { file, message: "done, but neither its name nor its files say which task".to_owned() }
}

/// What a folder of an area, or of its archive, is; nothing if it has no PROMPT.md.
fn folder(root: &Root, folder: &str, area: &AreaName, at: &str) -> Option<Folder> {
    let name = folder.rsplit('/').next().unwrap_or(folder);
    let id = folder_id(name);
    let broken = |file: &str, problems: Vec<Problem>| {
        let told = |problem: Problem| PacketProblem {
            file: format!("{at}/{file}"),
            line: problem.line,
            message: problem.fault.to_string(),
        };
        Folder::Broken(id.clone(), problems.into_iter().map(told).collect())
    };
    let unreadable = |file: &str, message: String| {
        let problem = PacketProblem { file: format!("{at}/{file}"), line: 0, message };
        Folder::Broken(id.clone(), vec![problem])
    };
    let read = |file: &str, most| match TreePath::parse(format!("{folder}/{file}").as_bytes()) {
        Ok(path) => bytes(root, &path, most),
        Err(error) => Err(error.to_string()),
    };
    match read(DONE, NOTE_MAX_BYTES) {
        Ok(None) => {}
        Ok(Some(bytes)) => {
            // The file counts by being there; a name in it helps where the folder's
            // name says none.
            let said = || Done::parse(&bytes).ok().and_then(|done| done.task);
            let titled = || {
                let prompt = read(PROMPT, PROMPT_MAX_BYTES).ok()??;
                Prompt::parse(&prompt, name).ok().map(|prompt| prompt.id.value)
            };
            return Some(Folder::Completed(id.or_else(titled).or_else(said)));
        }
        Err(message) => return Some(unreadable(DONE, message)),
    }
    let prompt = match read(PROMPT, PROMPT_MAX_BYTES) {
        Ok(None) => return None,
        Ok(Some(bytes)) => Prompt::parse(&bytes, name),
        Err(message) => return Some(unreadable(PROMPT, message)),
    };
    let prompt = match prompt {
        Ok(prompt) => prompt,
        Err(problems) => return Some(broken(PROMPT, problems)),
    };
    let status = read(STATUS, STATUS_MAX_BYTES).and_then(|bytes| {
        let parsed = bytes.map(|bytes| Status::parse(&bytes)).transpose();
        parsed.map_err(|problem| problem.to_string())
    });
    let file = format!("{at}/{PROMPT}");
    Some(Folder::Open(Box::new(Packet { area: area.clone(), file, prompt, status })))
}

/// A task's id, whatever became of its folder.
pub(super) fn id(folder: &Folder) -> Option<TaskId> {
    match folder {
        Folder::Completed(id) | Folder::Broken(id, _) => id.clone(),
        Folder::Open(packet) => Some(packet.prompt.id.value.clone()),
    }
}

/// What is said of a task that is worked in several repositories.
pub(super) fn beyond_one_repository(packet: &Packet) -> Option<PacketProblem> {
    let target = packet.prompt.target.as_ref();
    let target = target.and_then(|target| {
        let repository = target.repository.as_ref().map(|it| it.line);
        repository.or_else(|| target.workspace.as_ref().map(|it| it.line))
    });
    let line = packet.prompt.several_repositories().or(target)?;
    let message = "found a task that names the repositories it is worked in, which is not \
                   supported yet; expected one that is worked where its packet lies";
    Some(PacketProblem { file: packet.file.clone(), line, message: message.to_owned() })
}

/// Whether what an agent says of its steps fits the packet.
pub(super) fn status_remark(packet: &Packet) -> Option<Remark> {
    let file = packet.file.replace(PROMPT, STATUS);
    let status = match &packet.status {
        Ok(status) => status.as_ref()?,
        Err(message) => return Some(Remark { file, message: message.clone() }),
    };
    let numbers = |steps: &mut dyn Iterator<Item = u32>| steps.collect::<Vec<u32>>();
    let said = numbers(&mut status.steps.iter().map(|step| step.number.value));
    let wanted = numbers(&mut packet.prompt.steps.iter().map(|step| step.number.value));
    (said != wanted).then(|| Remark {
        file,
        message: format!("its steps are not those of {PROMPT}, which count"),
    })
}
