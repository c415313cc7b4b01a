//! What a ceiling means for tools: what it forbids for good is not offered, so
//! that a model neither pays for it nor tries it.

use operation::tool::Decision;
use operation::{Effect, Operation as _};
use serde_json::Value;

use super::{ApplyBackCeiling, Ceiling, NetworkCeiling, Source};
use crate::network::operations::Set as SetNetwork;
use crate::run::Run;
use crate::workspace::{ApplyBack, Create, Exec, Export};
use crate::{command, service, shell, sync};

/// Operations that a secret can be given to.
const GIVE_SECRETS: &[&str] = &[
    Run::NAME,
    Exec::NAME,
    command::Run::NAME,
    command::Start::NAME,
    shell::Open::NAME,
    service::Start::NAME,
];

/// The longest list that a description repeats, in bytes; a model pays for it in
/// every conversation.
const LIST_MAX: usize = 120;

impl Ceiling {
    /// What is decided for all tools, so that they fit.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        let mut made = Vec::new();
        self.decide_network(&mut made);
        self.decide_secrets(&mut made);
        self.decide_copies(&mut made);
        self.decide_checkout(&mut made);
        made
    }

    fn decide_network(&self, made: &mut Vec<Decision>) {
        let operations = [Create::NAME, Run::NAME, SetNetwork::NAME];
        match &self.network {
            NetworkCeiling::Off => {
                made.push(Decision::Withheld { operation: SetNetwork::NAME });
                for operation in [Create::NAME, Run::NAME] {
                    made.push(Decision::Hidden { operation, field: "network" });
                    made.push(Decision::Hidden { operation, field: "allow" });
                }
            }
            NetworkCeiling::Only(hosts) => {
                let hosts = hosts.iter().map(ToString::to_string);
                let about = format!("Hosts that it may reach, of {}", listed(hosts));
                made.extend(operations.map(|operation| Decision::Told {
                    operation,
                    field: "allow",
                    about: about.clone(),
                }));
            }
            NetworkCeiling::Egress => {}
        }
    }

    fn decide_secrets(&self, made: &mut Vec<Decision>) {
        let names = listed(self.secrets.iter().map(ToString::to_string));
        for operation in GIVE_SECRETS.iter().copied() {
            let field = "secret";
            made.push(if self.secrets.is_empty() {
                Decision::Hidden { operation, field }
            } else {
                let about = format!("Secrets to give it as variables: {names}");
                Decision::Told { operation, field, about }
            });
        }
    }

    fn decide_copies(&self, made: &mut Vec<Decision>) {
        let operation = Export::NAME;
        match (&self.folder, self.roots.as_slice()) {
            (None, []) => made.push(Decision::Withheld { operation }),
            (Some(_), []) => {
                let about = "Name for the copy, in the operator's folder".to_owned();
                made.push(Decision::Told { operation, field: "to", about });
                // Whatever is there stays, and the operator chose the place.
                made.push(Decision::Weighed { operation, effect: Effect::Changes });
            }
            (_, roots) => {
                let roots = listed(roots.iter().map(|root| root.path().display().to_string()));
                let about = format!("Where to put it on the host, below {roots}");
                made.push(Decision::Told { operation, field: "to", about });
            }
        }
    }

    fn decide_checkout(&self, made: &mut Vec<Decision>) {
        let fields = [(sync::Push::NAME, "directory"), (ApplyBack::NAME, "checkout")];
        for (operation, field) in fields {
            match &self.source {
                Source::Directory(path) => {
                    let value = Value::from(path.as_str());
                    made.push(Decision::Fixed { operation, field, value });
                }
                _ if self.roots.is_empty() => made.push(Decision::Withheld { operation }),
                _ => {}
            }
        }
        let operation = ApplyBack::NAME;
        match self.apply_back {
            ApplyBackCeiling::No => made.push(Decision::Withheld { operation }),
            ApplyBackCeiling::DryRun => {
                made.push(Decision::Hidden { operation, field: "mode" });
                made.push(Decision::Weighed { operation, effect: Effect::Reads });
            }
            ApplyBackCeiling::Yes => {}
        }
    }
}

/// A list in a sentence, cut where it would become long.
fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let mut text = String::new();
    for (position, item) in items.iter().enumerate() {
        let comma = if position == 0 { "" } else { ", " };
        if position > 0 && text.len() + item.len() > LIST_MAX {
            return format!("{text} and {} more", items.len() - position);
        }
        text.push_str(comma);
        text.push_str(item);
    }
    text
}
