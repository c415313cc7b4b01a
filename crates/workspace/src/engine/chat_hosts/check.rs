//! `host doctor`: whether a host can use workspaces, and what is in the way.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_hosts::entry;
use chat_hosts::{Drift, Standing, Surroundings};
use operation::{Call, Handler, NoEvents, OpError};
use tokio::time::timeout;
use workspace_api::ceiling::{NotASource, Source};
use workspace_api::doctor::{Doctor, Finding, Verdict};
use workspace_api::host::{Check, HostDiagnosis, HostVerdict, Target};
use workspace_api::seed::SeedFiles;
use workspace_api::spec::{EnvironmentRef, Shape};

use super::{PASSING, Site, connections, wanted_arguments};
use crate::chat::{probe, program};
use crate::engine::Engine;
use crate::engine::doctor::{failed, good, warning};
use crate::home::Home;
use crate::{seeds, settings};

/// How long a source may take to say what it is.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

impl Handler<Check> for Engine {
    async fn handle(&self, check: Check, _: &mut Call<NoEvents>) -> Result<HostDiagnosis, OpError> {
        let around = self.surroundings()?;
        let site = Site::open(check.host, &check.target, &around)?;
        site.editable()?;
        let mut diagnosis = HostDiagnosis {
            host: check.host,
            scope: check.target.scope,
            name: check.target.name.clone(),
            verdict: HostVerdict::Connected,
            findings: vec![self.program_finding(&site).await],
            answered_ms: None,
            tools: None,
        };
        let known = self.records().await?.find(&site.key(&check.target.name))?;
        let command = site.entry.as_ref().and_then(|entry| site.host.shape.command_of(entry));
        let ours = command.filter(|command| entry::is_ours(command));
        let standing = self.entry_findings(&site, &check.target, known.as_ref(), &mut diagnosis)?;
        diagnosis.findings.extend(elsewhere(&site, &check.target, &around));
        if let Some(command) = &ours {
            diagnosis.findings.push(program_of_entry(command));
            let answers = answers(command, &mut diagnosis).await;
            diagnosis.findings.push(answers);
            diagnosis.findings.extend(variables());
        }
        let arguments = ours.as_deref().map(entry::arguments_of).unwrap_or_default();
        diagnosis.findings.push(project(&self.home, arguments, &around).await);
        let machines = self.machines(said(arguments, "--environment")).await?;
        diagnosis.findings.push(machines);
        diagnosis.verdict = match standing {
            Standing::Absent | Standing::Foreign => HostVerdict::NotConnected,
            Standing::Ours(drifts) if !drifts.is_empty() => HostVerdict::Drifted,
            Standing::Ours(_) if diagnosis.has_failed() => HostVerdict::Broken,
            Standing::Ours(_) => HostVerdict::Connected,
        };
        Ok(diagnosis)
    }
}

impl Engine {
    async fn program_finding(&self, site: &Site) -> Finding {
        let host = &site.host;
        let Some(program) = self.installed_program(host) else {
            let seen = format!("{} is not in PATH", host.programs[0]);
            return failed("host", seen, format!("install {}: {}", host.title, host.install));
        };
        let at = program.display();
        match program::run(&program, &["--version".to_owned()]).await {
            Ok(version) => {
                let version = version.lines().next().unwrap_or_default().to_owned();
                good("host", format!("{} is {version}, at {at}", host.title))
            }
            Err(error) => failed(
                "host",
                format!("{at} does not say its version: {}", error.message),
                format!("install {} anew: {}", host.title, host.install),
            ),
        }
    }

    /// How the entry stands to what it should be.
    fn entry_findings(
        &self,
        site: &Site,
        target: &Target,
        known: Option<&crate::chat::record::Connected>,
        diagnosis: &mut HostDiagnosis,
    ) -> Result<Standing, OpError> {
        let file = site.place.file.display();
        let host = site.host.id;
        let arguments = wanted_arguments(site, known).unwrap_or_default();
        let server = self.server(&target.name, arguments)?;
        let standing = site.host.shape.judge(&server, site.entry.as_ref());
        let findings = &mut diagnosis.findings;
        match &standing {
            Standing::Absent => findings.push(failed(
                "entry",
                format!("{file} has no server `{}`", target.name),
                match known {
                    Some(_) => format!("it was removed; put it back: `hotcell host repair {host}`"),
                    None => format!("connect it: `hotcell host connect {host}`"),
                },
            )),
            Standing::Foreign => findings.push(failed(
                "entry",
                format!("`{}` in {file} is not hotcell's", target.name),
                "choose another name with `--name`",
            )),
            Standing::Ours(drifts) if drifts.is_empty() => {
                findings.push(good("entry", format!("`{}` in {file}", target.name)));
            }
            Standing::Ours(drifts) => {
                let repair = format!("mend it: `hotcell host repair {host}`");
                for drift in drifts {
                    findings.push(failed("entry", drifted(drift, &server.program), repair.clone()));
                }
            }
        }
        if site.entry.as_ref().is_some_and(entry::is_switched_off) {
            let remedy = format!("switch it on in {file}");
            findings.push(failed("entry", "it is switched off", remedy));
        }
        Ok(standing)
    }

    /// Whether workspaces of an environment start at once.
    async fn machines(&self, environment: Option<&str>) -> Result<Finding, OpError> {
        let named = environment.and_then(|name| name.parse::<EnvironmentRef>().ok());
        let environment = named.unwrap_or_default();
        let prepare = format!("prepare it: `hotcell prepare {environment}`");
        let is_built = self.installed(&environment)?.is_some() && self.newest_kernel()?.is_some();
        let built = format!("`{environment}` is not built: no workspace starts before it is");
        let doctor = Doctor { environment, shape: Shape::default() };
        let diagnosis = self.handle(doctor, &mut Call::quiet()).await?;
        Ok(match diagnosis.verdict {
            Verdict::Ready => good("machines", "warm: workspaces start at once"),
            Verdict::NotPrepared if !is_built => failed("machines", built, prepare),
            Verdict::NotPrepared => {
                warning("machines", "cold: the first workspace takes some seconds more", prepare)
            }
            Verdict::Unable => failed("machines", "none can run", "see `hotcell doctor`"),
        })
    }
}

/// Whether the server does what hosts want of it.
async fn answers(command: &[String], diagnosis: &mut HostDiagnosis) -> Finding {
    match probe::ask(command).await {
        Ok(answered) => {
            let milliseconds = answered.after.as_millis();
            diagnosis.answered_ms = u64::try_from(milliseconds).ok();
            diagnosis.tools = Some(answered.tools);
            good("server", format!("lists {} tools after {milliseconds} ms", answered.tools))
        }
        Err(error) => {
            let why = error.causes.first().unwrap_or(&error.message).clone();
            failed("server", format!("does not answer: {why}"), "see `hotcell mcp serve --help`")
        }
    }
}

fn drifted(drift: &Drift, program: &str) -> String {
    match drift {
        Drift::Program(registered) => {
            let is_gone = !Path::new(registered).exists();
            let gone = if is_gone { ", which is gone" } else { "" };
            format!("it starts {registered}{gone}; this is {program}")
        }
        drift => drift.to_string(),
    }
}

/// Other entries of ours that the same host has: models would see tools twice.
fn elsewhere(site: &Site, target: &Target, around: &Surroundings) -> Vec<Finding> {
    let others = connections(&site.host, around)
        .into_iter()
        .filter(|made| made.scope != target.scope || made.name != target.name.as_str());
    let finding = |made: workspace_api::host::ConnectionState| {
        warning(
            "entry",
            format!(
                "there is another one, `{}` in {} ({} scope)",
                made.name, made.file, made.scope
            ),
            format!(
                "unless you want both: `hotcell host disconnect {} --scope {} --name {}`",
                site.host.id, made.scope, made.name
            ),
        )
    };
    others.map(finding).collect()
}

fn program_of_entry(command: &[String]) -> Finding {
    let program = &command[0];
    let path = Path::new(program);
    if !path.is_absolute() {
        return warning(
            "program",
            format!("`{program}` is looked for in the host's PATH"),
            "name it by its whole path: `hotcell host repair`",
        );
    }
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return failed(
            "program",
            format!("{program} is no program"),
            "install hotcell, then run `hotcell host repair`",
        );
    }
    if PASSING.iter().any(|part| program.contains(part)) {
        return warning(
            "program",
            format!("{program} lies where programs are built and vanish"),
            "install hotcell, then run `hotcell host repair`",
        );
    }
    good("program", program.as_str())
}

/// The value of an argument.
fn said<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|word| word == name)?;
    arguments.get(at + 1).map(String::as_str)
}

/// What workspaces start from, with these arguments of the server.
fn source(arguments: &[String], around: &Surroundings) -> Result<Source, NotASource> {
    if arguments.iter().any(|word| word == "--no-project-source") {
        return Ok(Source::Nothing);
    }
    if let Some(url) = said(arguments, "--repo-url") {
        let reference = said(arguments, "--repo-ref").map(str::to_owned);
        return Source::repository(url.to_owned(), reference);
    }
    match said(arguments, "--project-path") {
        Some(path) => Source::directory(PathBuf::from(path)),
        None if is_checkout(&around.project) => Source::directory(around.project.clone()),
        None => Ok(Source::Nothing),
    }
}

fn is_checkout(directory: &Path) -> bool {
    directory.join(".git").exists()
}

/// What somebody can do about a source that is not usable.
const OTHER_SOURCE: &str = "mend it, or connect again with another source: `--project-path DIR`, \
                            `--repo-url URL`, or `--no-project-source`";

/// Whether workspaces have something to start from, with these arguments of the server.
async fn project(home: &Home, arguments: &[String], around: &Surroundings) -> Finding {
    let source = match source(arguments, around) {
        Ok(source) => source,
        Err(error) => return failed("project", error.to_string(), OTHER_SOURCE),
    };
    let is_said = ["--no-project-source", "--repo-url", "--project-path"]
        .iter()
        .any(|option| arguments.iter().any(|word| word == option));
    if source == Source::Nothing {
        return match is_said {
            true => good("project", "none: workspaces start empty"),
            false => warning(
                "project",
                "the checkout that the host is started in; here is none, so workspaces start empty",
                "start the host in a git checkout, or connect with `--project-path`",
            ),
        };
    }
    let begins = match is_said {
        true => format!("workspaces start from {source}"),
        false => format!("the checkout that the host is started in; here {source}"),
    };
    let looked = seeds::look(home, source.seed(SeedFiles::default()));
    match timeout(LOOK_TIMEOUT, looked).await {
        Ok(Ok(what)) => good("project", format!("{begins}: {what}")),
        Ok(Err(error)) => {
            let causes = error.causes.iter().flat_map(|cause| cause.lines().next());
            let why: Vec<&str> = iter::once(error.message.as_str()).chain(causes).collect();
            let why = why.join(": ");
            failed("project", format!("{begins}, which cannot be used: {why}"), OTHER_SOURCE)
        }
        Err(_) => {
            let why = format!("{begins}, which does not answer within {LOOK_TIMEOUT:?}");
            failed("project", why, OTHER_SOURCE)
        }
    }
}

/// Variables of ours that are set here and that hosts may keep to themselves.
fn variables() -> Option<Finding> {
    let set: Vec<&str> = settings::set_variables();
    (!set.is_empty()).then(|| {
        warning(
            "variables",
            format!("set here, and not passed on by every host: {}", set.join(", ")),
            "set them where the host is started, and in Codex name them in `env_vars` of the entry",
        )
    })
}
