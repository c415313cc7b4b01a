//! Connections of chat hosts.
//!
//! ```text
//! connect ──▶ judged ──Foreign──▶ refused
//!    │          ├─Ours([])─────▶ unchanged
//!    │          └─Absent, Ours([drift, …])
//!    │                └▶ server asked ──▶ remembered ──▶ written ──▶ judged again
//! repair: the same, with what is remembered instead of what is asked for
//! disconnect ──▶ the bytes of before, if putting the entry into them gives what is
//!                there now; the file without the entry otherwise
//! ```
//!
//! A server that does not answer is never registered. Where a host's own command
//! cannot change an entry, it is removed and added: a process that is killed between
//! leaves the host disconnected, and `repair` connects it again.

mod check;
mod commands;

use std::path::{Path, PathBuf};

use chat_hosts::catalog::Writer;
use chat_hosts::edit::{self, Format};
use chat_hosts::store::{Seen, StoreError};
use chat_hosts::{Host, Place, Server, Standing, Surroundings, diff, entry};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use serde_json::Value;
use workspace_api::ceiling::Source;
use workspace_api::host::{
    Change, ChatHost, Connect, Connection, ConnectionState, Disconnect, Edit, HostScope,
    HostSummary, Hosts, List, PrintConfig, Repair, ServerName, Serving, Snippet, Target,
};
use workspace_api::profile;

use super::Engine;
use crate::chat::probe;
use crate::chat::record::{Before, Connected, Key, Records};
use crate::settings::{self, find_program};

/// Profiles of more tools than models should see at once.
const LONG_PROFILE: &str = profile::WORKSPACE_FULL.name;

/// Parts of paths below which programs are built and vanish.
const PASSING: [&str; 3] = ["/target/debug/", "/target/release/", "/tmp/"];

/// A place, and what stands there.
struct Site {
    host: Host,
    place: Place,
    format: Option<Format>,
    seen: Seen,
    /// The entry of that name.
    entry: Option<Value>,
}

impl Site {
    fn open(host: ChatHost, target: &Target, around: &Surroundings) -> Result<Self, OpError> {
        let host = Host::of(host);
        let place = Place::of(&host, target.scope, around).ok_or_else(|| {
            let message = format!("{} knows no {} scope", host.title, target.scope);
            OpError::plain(ErrorKind::InvalidRequest, message).hinted("use `--scope user`")
        })?;
        let format = match place.location.writer {
            Writer::Edit(format) | Writer::OwnCommand(format, _) => Some(format),
            Writer::Person => None,
        };
        let seen = Seen::at(&place).map_err(store_error)?;
        let entry = match format {
            Some(format) => edit::read(format, seen.text(), &place.path(target.name.as_str()))
                .map_err(|refusal| unusable(&place.file, &refusal))?,
            None => None,
        };
        Ok(Self { host, place, format, seen, entry })
    }

    /// The format, if the file is one that programs change.
    fn editable(&self) -> Result<Format, OpError> {
        self.format.ok_or_else(|| {
            let message = format!(
                "{} is changed by hand: no editor for its format keeps all that is in it",
                self.place.file.display()
            );
            let hint = format!("`hotcell host print-config {}` prints what to paste", self.host.id);
            OpError::plain(ErrorKind::InvalidRequest, message).hinted(hint)
        })
    }

    fn key(&self, name: &ServerName) -> Key {
        Key::new(self.host.id, self.place.scope, name, &self.place.directory)
    }

    fn connection(&self, target: &Target, command: Vec<String>, change: Change) -> Connection {
        Connection {
            host: self.host.id,
            scope: self.place.scope,
            name: target.name.clone(),
            file: self.place.file.display().to_string(),
            command,
            change,
            dry_run: false,
            commands: Vec::new(),
            edit: None,
            notes: Vec::new(),
        }
    }

    fn edit(&self, after: Option<&[u8]>) -> Option<Edit> {
        let before = self.seen.bytes.as_deref();
        (before != after).then(|| Edit {
            file: self.seen.file.display().to_string(),
            diff: diff::unified(&self.seen.file, before, after),
            whole_file: before.is_none() || after.is_none(),
        })
    }
}

/// Whether something is done or only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Really,
    Dry,
}

impl From<bool> for Doing {
    fn from(dry_run: bool) -> Self {
        if dry_run { Self::Dry } else { Self::Really }
    }
}

impl Engine {
    fn surroundings(&self) -> Result<Surroundings, OpError> {
        settings::surroundings()
    }

    async fn records(&self) -> Result<Records, OpError> {
        Records::open(self.home.chat_hosts()).await
    }

    /// The server that a host shall start.
    fn server(&self, name: &ServerName, arguments: Vec<String>) -> Result<Server, OpError> {
        let program = std::path::absolute(&self.settings.program)
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        let program = program.to_str().ok_or_else(|| {
            let message = format!("{} is no path in UTF-8", program.display());
            OpError::plain(ErrorKind::InvalidRequest, message)
                .hinted("install hotcell elsewhere: configuration files are text")
        })?;
        let is_short = !arguments.iter().any(|word| word == LONG_PROFILE);
        Ok(Server { name: name.clone(), program: program.to_owned(), arguments, is_short })
    }

    /// Makes the entry what it should be.
    async fn establish(
        &self,
        site: Site,
        target: &Target,
        server: &Server,
        doing: Doing,
    ) -> Result<Connection, OpError> {
        let format = site.editable()?;
        let records = self.records().await?;
        let key = site.key(&target.name);
        let command = server.command();
        let standing = site.host.shape.judge(server, site.entry.as_ref());
        let change = match standing {
            Standing::Foreign => return Err(foreign(&site, target)),
            Standing::Ours(drifts) if drifts.is_empty() => {
                let mut done = site.connection(target, command, Change::Unchanged);
                done.dry_run = doing == Doing::Dry;
                done.notes = self.notes(&site, server);
                let known = records.find(&key)?;
                let is_news = known.as_ref().is_none_or(|it| it.arguments != server.arguments);
                if doing == Doing::Really && is_news {
                    let before = known.map_or(Before::Unknown, |known| known.before);
                    records.remember(&key, &connected(&site, server, before))?;
                }
                return Ok(done);
            }
            Standing::Absent => Change::Added,
            Standing::Ours(_) => Change::Changed,
        };
        if doing == Doing::Really {
            probe::ask(&command).await?;
        }
        let mut done = site.connection(target, command, change);
        done.dry_run = doing == Doing::Dry;
        done.notes = self.notes(&site, server);
        let fields = site.host.shape.fields(server, site.entry.as_ref());
        match site.place.location.writer {
            Writer::OwnCommand(_, own) => {
                let program = self.program_of(&site.host)?;
                done.commands = commands::adding(&site, own, &program, target, &fields);
                if doing == Doing::Really {
                    records.remember(&key, &connected(&site, server, Before::Unknown))?;
                    commands::run(&done.commands).await?;
                }
            }
            Writer::Edit(_) | Writer::Person => {
                let path = site.place.path(target.name.as_str());
                let after = edit::put(format, site.seen.text(), &path, &fields)
                    .map_err(|refusal| unusable(&site.place.file, &refusal))?;
                done.edit = site.edit(Some(&after));
                if doing == Doing::Really {
                    let before = match (change, records.find(&key)?) {
                        (Change::Changed, Some(known)) => known.before,
                        (Change::Changed, None) => Before::Unknown,
                        _ => before(&site.seen),
                    };
                    records.remember(&key, &connected(&site, server, before))?;
                    site.seen.replace(Some(&after)).map_err(store_error)?;
                }
            }
        }
        if doing == Doing::Really {
            let now = Site::open(site.host.id, target, &self.surroundings()?)?;
            if now.host.shape.judge(server, now.entry.as_ref()) != Standing::Ours(Vec::new()) {
                let message = format!("{} does not hold the entry", now.place.file.display());
                return Err(OpError::plain(ErrorKind::Conflict, message)
                    .hinted("another program may have written to it; try again"));
            }
        }
        Ok(done)
    }

    /// What a person should know of a connection.
    fn notes(&self, site: &Site, server: &Server) -> Vec<String> {
        let mut notes: Vec<String> = site
            .host
            .note
            .map(|note| note.replace("NAME", server.name.as_str()))
            .into_iter()
            .collect();
        if PASSING.iter().any(|part| server.program.contains(part)) {
            notes.push(format!(
                "{} lies where programs are built and vanish; install hotcell, then run \
                 `hotcell host repair {}`",
                server.program, site.host.id
            ));
        }
        if site.place.scope == HostScope::Project {
            notes.push(format!(
                "{} names a program of this machine: do not commit it for others",
                site.place.file.display()
            ));
        }
        notes
    }

    fn program_of(&self, host: &Host) -> Result<PathBuf, OpError> {
        self.installed_program(host).ok_or_else(|| {
            let message = format!("`{}` is not in PATH", host.programs[0]);
            OpError::plain(ErrorKind::Unavailable, message)
                .hinted(format!("install {}: {}", host.title, host.install))
        })
    }

    fn installed_program(&self, host: &Host) -> Option<PathBuf> {
        let path = &self.settings.search_path;
        host.programs.iter().find_map(|program| find_program(program, path))
    }
}

impl Handler<Connect> for Engine {
    async fn handle(
        &self,
        connect: Connect,
        _: &mut Call<NoEvents>,
    ) -> Result<Connection, OpError> {
        let server = self.server(&connect.target.name, arguments(&connect.serving)?)?;
        let site = Site::open(connect.host, &connect.target, &self.surroundings()?)?;
        self.establish(site, &connect.target, &server, connect.dry_run.into()).await
    }
}

impl Handler<Repair> for Engine {
    async fn handle(&self, repair: Repair, _: &mut Call<NoEvents>) -> Result<Connection, OpError> {
        let site = Site::open(repair.host, &repair.target, &self.surroundings()?)?;
        let known = self.records().await?.find(&site.key(&repair.target.name))?;
        let Some(arguments) = wanted_arguments(&site, known.as_ref()) else {
            let message = format!("{} was never connected", site.host.title);
            return Err(OpError::plain(ErrorKind::NotFound, message)
                .hinted(format!("connect it: `hotcell host connect {}`", site.host.id)));
        };
        let server = self.server(&repair.target.name, arguments)?;
        self.establish(site, &repair.target, &server, repair.dry_run.into()).await
    }
}

impl Handler<Disconnect> for Engine {
    async fn handle(
        &self,
        disconnect: Disconnect,
        _: &mut Call<NoEvents>,
    ) -> Result<Connection, OpError> {
        let Disconnect { host, target, dry_run } = disconnect;
        let doing = Doing::from(dry_run);
        let site = Site::open(host, &target, &self.surroundings()?)?;
        let format = site.editable()?;
        let records = self.records().await?;
        let key = site.key(&target.name);
        let Some(existing) = &site.entry else {
            if doing == Doing::Really {
                records.forget(&key)?;
            }
            let mut done = site.connection(&target, Vec::new(), Change::Unchanged);
            done.dry_run = dry_run;
            return Ok(done);
        };
        let command = site.host.shape.command_of(existing).filter(|words| entry::is_ours(words));
        let Some(command) = command else { return Err(foreign(&site, &target)) };
        let mut done = site.connection(&target, Vec::new(), Change::Removed);
        done.dry_run = dry_run;
        if let Writer::OwnCommand(_, own) = site.place.location.writer {
            let program = self.program_of(&site.host)?;
            done.commands = vec![commands::removing(own, &program, &target)];
            if doing == Doing::Really {
                commands::run(&done.commands).await?;
            }
        } else {
            let path = site.place.path(target.name.as_str());
            let server = Server {
                name: target.name.clone(),
                program: command[0].clone(),
                arguments: entry::arguments_of(&command).to_vec(),
                is_short: existing.get("alwaysLoad").is_some(),
            };
            let known = records.find(&key)?;
            let after = match before_entry(&site, format, &server, known.as_ref(), &path) {
                Some(before) => before,
                None => Some(
                    edit::take(format, site.seen.text(), &path)
                        .map_err(|refusal| unusable(&site.place.file, &refusal))?,
                ),
            };
            done.edit = site.edit(after.as_deref());
            if doing == Doing::Really {
                site.seen.replace(after.as_deref()).map_err(store_error)?;
            }
        }
        if doing == Doing::Really {
            records.forget(&key)?;
        }
        Ok(done)
    }
}

impl Handler<PrintConfig> for Engine {
    async fn handle(&self, print: PrintConfig, _: &mut Call<NoEvents>) -> Result<Snippet, OpError> {
        let server = self.server(&print.target.name, arguments(&print.serving)?)?;
        let host = Host::of(print.host);
        let place = Place::of(&host, print.target.scope, &self.surroundings()?);
        let place = place.ok_or_else(|| {
            let message = format!("{} knows no {} scope", host.title, print.target.scope);
            OpError::plain(ErrorKind::InvalidRequest, message)
        })?;
        let fields = host.shape.entry(&server);
        let path = place.path(print.target.name.as_str());
        let format = match place.location.writer {
            Writer::Edit(format) | Writer::OwnCommand(format, _) => Some(format),
            Writer::Person => None,
        };
        let text = match format {
            Some(format) => {
                let made = edit::put(format, b"", &path, &fields)
                    .map_err(|refusal| unusable(&place.file, &refusal))?;
                String::from_utf8_lossy(&made).into_owned()
            }
            None => commands::yaml(&path, &fields),
        };
        let command = match place.location.writer {
            Writer::OwnCommand(_, own) => {
                let program = Path::new(host.programs[0]);
                Some(commands::add(own, program, &print.target, &fields))
            }
            Writer::Edit(_) | Writer::Person => None,
        };
        Ok(Snippet { host: host.id, file: place.file.display().to_string(), text, command })
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, _: List, _: &mut Call<NoEvents>) -> Result<Hosts, OpError> {
        let around = self.surroundings()?;
        let summary = |id| {
            let host = Host::of(id);
            HostSummary {
                host: id,
                title: host.title.to_owned(),
                program: self.installed_program(&host).map(|path| path.display().to_string()),
                connections: connections(&host, &around),
            }
        };
        Ok(Hosts { hosts: ChatHost::ALL.into_iter().map(summary).collect() })
    }
}

/// All entries of ours that a host has. A file that cannot be understood has none.
fn connections(host: &Host, around: &Surroundings) -> Vec<ConnectionState> {
    let mut found = Vec::new();
    for scope in [HostScope::User, HostScope::Project] {
        let Some(place) = Place::of(host, scope, around) else { continue };
        let (Writer::Edit(format) | Writer::OwnCommand(format, _)) = place.location.writer else {
            continue;
        };
        let table = Seen::at(&place)
            .ok()
            .and_then(|seen| edit::read(format, seen.text(), place.location.table).ok().flatten());
        let table = table.as_ref().and_then(Value::as_object);
        for (name, entry) in table.into_iter().flatten() {
            let command = host.shape.command_of(entry).filter(|words| entry::is_ours(words));
            found.extend(command.map(|command| ConnectionState {
                scope,
                name: name.clone(),
                file: place.file.display().to_string(),
                command,
            }));
        }
    }
    found
}

/// What the server is started with, from what was asked for.
fn arguments(serving: &Serving) -> Result<Vec<String>, OpError> {
    let mut arguments = Vec::new();
    let profile = serving.profile.to_string();
    if profile != profile::DEFAULT {
        arguments.extend(["--profile".to_owned(), profile]);
    }
    if let Some(project) = &serving.project_path {
        let project = Path::new(project).canonicalize().map_err(|error| {
            OpError::new(ErrorKind::InvalidRequest, &error)
                .during(format!("cannot find the project {project}"))
        })?;
        let project = project.to_str().ok_or_else(|| {
            let message = format!("{} is no path in UTF-8", project.display());
            OpError::plain(ErrorKind::InvalidRequest, message)
        })?;
        arguments.extend(["--project-path".to_owned(), project.to_owned()]);
    }
    if let Some(url) = &serving.repo_url {
        // Whoever reads the entry would read a password as well.
        Source::repository(url.clone(), serving.repo_ref.clone())
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        arguments.extend(["--repo-url".to_owned(), url.clone()]);
    }
    if let Some(reference) = &serving.repo_ref {
        arguments.extend(["--repo-ref".to_owned(), reference.clone()]);
    }
    if serving.no_project_source {
        arguments.push("--no-project-source".to_owned());
    }
    if let Some(environment) = &serving.environment {
        arguments.extend(["--environment".to_owned(), environment.to_string()]);
    }
    arguments.extend(serving.arguments.iter().cloned());
    Ok(arguments)
}

/// What the entry should pass to the server: what is remembered, and otherwise what
/// it passes.
fn wanted_arguments(site: &Site, known: Option<&Connected>) -> Option<Vec<String>> {
    if let Some(known) = known {
        return Some(known.arguments.clone());
    }
    let command = site.host.shape.command_of(site.entry.as_ref()?)?;
    entry::is_ours(&command).then(|| entry::arguments_of(&command).to_vec())
}

fn connected(site: &Site, server: &Server, before: Before) -> Connected {
    Connected { file: site.place.file.clone(), arguments: server.arguments.clone(), before }
}

/// What a file holds that has no entry of ours.
fn before(seen: &Seen) -> Before {
    match &seen.bytes {
        None => Before::Missing,
        Some(bytes) => String::from_utf8(bytes.clone()).map_or(Before::Unknown, Before::Held),
    }
}

/// The file before it had the entry, if nothing but the entry was added since.
fn before_entry(
    site: &Site,
    format: Format,
    server: &Server,
    known: Option<&Connected>,
    path: &[&str],
) -> Option<Option<Vec<u8>>> {
    let known = known.filter(|known| known.file == site.place.file)?;
    let before = match &known.before {
        Before::Missing => None,
        Before::Held(text) => Some(text.clone().into_bytes()),
        Before::Unknown => return None,
    };
    let fields = site.host.shape.entry(server);
    let again = edit::put(format, before.as_deref().unwrap_or_default(), path, &fields).ok()?;
    (again == site.seen.text()).then_some(before)
}

fn foreign(site: &Site, target: &Target) -> OpError {
    let message = format!(
        "{} has a server named `{}` that is not hotcell's",
        site.place.file.display(),
        target.name
    );
    OpError::plain(ErrorKind::Conflict, message).hinted("choose another name with `--name`")
}

fn unusable(file: &Path, refusal: &edit::Refusal) -> OpError {
    OpError::new(ErrorKind::Conflict, refusal)
        .during(format!("{} cannot be edited", file.display()))
        .hinted("mend the file, or paste what `hotcell host print-config` prints")
}

fn store_error(error: StoreError) -> OpError {
    let kind = match &error {
        StoreError::LeadsOut(_) => ErrorKind::Denied,
        StoreError::NoFile(_) | StoreError::Changed(_) => ErrorKind::Conflict,
        StoreError::Step { source, .. } => match source.kind() {
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            std::io::ErrorKind::StorageFull => ErrorKind::Exhausted,
            _ => ErrorKind::Unavailable,
        },
    };
    let hint = match &error {
        StoreError::LeadsOut(_) => "put a file of the project there",
        StoreError::NoFile(_) => "remove what is there",
        StoreError::Changed(_) => "try again",
        StoreError::Step { .. } => "see whether you may write to its directory",
    };
    OpError::new(kind, &error).hinted(hint)
}
