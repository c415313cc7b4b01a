//! The face for models: a selection of the table, as flat tools.
//!
//! A model pays for each word of a tool's definition in every conversation, and
//! chooses worse from long lists. So a [`Tool`] shows some fields of one
//! operation's request, flat, whatever groups they are in, and a [`Profile`] is
//! a short list of tools. Both are data, declared by the crate that declares the
//! table:
//!
//! ```text
//! arguments ──▶ Catalog::request ──▶ request of the operation ──▶ OpSpec::call
//!   {"workspace": "demo",              {"workspace": "demo",
//!    "timeout": "5m"}                   "options": {"timeout": "5m"}, …fixed}
//! ```
//!
//! Schemas are written so that every host takes them: no references, no
//! alternatives with null, no boolean schemas, an object at the root.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::error::{ErrorKind, OpError};
use crate::table::{Effect, OpSpec};

mod lenient;
mod portable;
mod record;

pub use portable::portable;

use lenient::Spoken;

/// How many references a schema may follow, one behind the other.
const REFERENCES_MAX: usize = 16;

/// A list of tools for one purpose.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// What it is chosen by.
    pub name: &'static str,
    /// What it is for, for people.
    pub about: &'static str,
    /// What a model is told of the whole list: which tool first, and what the
    /// rule of handles is.
    pub instructions: &'static str,
    /// Its tools, in the order in which they are listed.
    pub tools: &'static [Tool],
}

/// One operation, as a model sees it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name: lower-case words joined by `_`.
    pub name: &'static str,
    /// The operation that it carries out.
    pub operation: &'static str,
    /// What it does and when to use it; its first sentence carries the words by
    /// which hosts find it.
    pub about: &'static str,
    /// The fields of the request that a model may fill.
    pub fields: &'static [Field],
    /// What is always said instead: the name of a field, and its value as JSON.
    pub fixed: &'static [(&'static str, &'static str)],
    /// How it answers.
    pub reply: Reply,
    /// When hosts should show it to a model.
    pub load: Load,
}

/// When hosts that defer tools should show one to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// From the beginning: hardly any work is done without it.
    Always,
    /// When the model looks for it.
    OnDemand,
}

/// A field of a request, as a model sees it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in the request or in one of the request's groups.
    pub name: &'static str,
    /// What is said of it; `None` for what the request says.
    pub about: Option<&'static str>,
    /// How its value is written.
    pub form: Form,
    /// Whether it has to be said.
    pub need: Need,
}

/// Whether a field has to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// If the request says so.
    AsRequest,
    /// Always: what the request falls back on, such as standard input, is not
    /// there.
    Always,
}

/// How the value of a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As in the request.
    Same,
    /// As one line for a shell, which is how models write commands; the request
    /// has a program and its arguments.
    ShellLine,
}

/// How a tool answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// With text only: hosts that know structure would show nothing but the record,
    /// escaped.
    Text,
    /// With these fields of the answer as a record, which scripts read, and with
    /// everything as text. A field of a field is named by a path: `seed.commit`.
    Record(&'static [&'static str]),
}

impl Field {
    /// A field as the request describes it.
    #[must_use]
    pub const fn own(name: &'static str) -> Self {
        Self { name, about: None, form: Form::Same, need: Need::AsRequest }
    }

    /// A field, described for this tool.
    #[must_use]
    pub const fn told(name: &'static str, about: &'static str) -> Self {
        Self { name, about: Some(about), form: Form::Same, need: Need::AsRequest }
    }

    /// A field that has to be said, whatever the request falls back on.
    #[must_use]
    pub const fn needed(name: &'static str, about: &'static str) -> Self {
        Self { name, about: Some(about), form: Form::Same, need: Need::Always }
    }

    /// A command, written as a line for a shell.
    #[must_use]
    pub const fn shell_line(name: &'static str, about: &'static str) -> Self {
        Self { name, about: Some(about), form: Form::ShellLine, need: Need::AsRequest }
    }
}

/// What an operator has decided for all tools of an operation.
#[derive(Debug, Clone)]
pub enum Decision {
    /// A field always has this value: models neither see nor change it.
    Fixed {
        /// The operation.
        operation: &'static str,
        /// The field of its request.
        field: &'static str,
        /// What is always said.
        value: Value,
    },
    /// Models do not see a field; it has its default.
    Hidden {
        /// The operation.
        operation: &'static str,
        /// The field of its request.
        field: &'static str,
    },
    /// Something else is said of a field, wherever it is shown.
    Told {
        /// The operation.
        operation: &'static str,
        /// The field of its request.
        field: &'static str,
        /// What is said of it.
        about: String,
    },
    /// What the operation does to the world, given everything else that was decided.
    Weighed {
        /// The operation.
        operation: &'static str,
        /// What it does.
        effect: Effect,
    },
    /// No tool carries the operation out.
    Withheld {
        /// The operation.
        operation: &'static str,
    },
}

impl Decision {
    /// The operation that it is about.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Fixed { operation, .. }
            | Self::Hidden { operation, .. }
            | Self::Told { operation, .. }
            | Self::Weighed { operation, .. }
            | Self::Withheld { operation } => operation,
        }
    }

    /// Whether it takes a field away from models.
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::Fixed { field, .. } | Self::Hidden { field, .. } => *field == name,
            Self::Told { .. } | Self::Weighed { .. } | Self::Withheld { .. } => false,
        }
    }
}

/// A profile's tools, joined with the table.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Entry>,
}

/// A tool that is ready to be listed and called.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The tool.
    pub tool: Tool,
    /// What its operation does to the world.
    pub effect: Effect,
    /// Where its operation stands in the table.
    pub row: usize,
    /// Schema of its arguments.
    pub input_schema: Map<String, Value>,
    /// Schema of its record, if it answers with one.
    pub output_schema: Option<Map<String, Value>>,
    places: Vec<Place>,
    fixed: Vec<(Place, Value)>,
}

/// Where a field stands in a request.
#[derive(Debug, Clone)]
struct Place {
    field: Field,
    group: Option<String>,
    /// The schema of its value in the request.
    schema: Value,
    spoken: Spoken,
}

/// Why a profile does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A tool carries out what is not in the table.
    #[error("the tool `{tool}` carries out `{operation}`, which is no operation")]
    Operation {
        /// The tool.
        tool: &'static str,
        /// What it names.
        operation: &'static str,
    },
    /// A tool shows or fixes a field that the request has not, or has twice; or
    /// answers with a field that the answer has not.
    #[error("the tool `{tool}` names the field `{field}`, which its operation has {times} times")]
    Field {
        /// The tool.
        tool: &'static str,
        /// The field.
        field: &'static str,
        /// How often.
        times: usize,
    },
    /// A fixed value is no JSON.
    #[error("the tool `{tool}` fixes `{field}` to what is no JSON")]
    Fixed {
        /// The tool.
        tool: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field that has to be said is neither shown nor fixed.
    #[error("the tool `{tool}` hides `{field}`, which has to be said")]
    Hidden {
        /// The tool.
        tool: &'static str,
        /// The field.
        field: String,
    },
}

impl Catalog {
    /// Joins the tools of `profile` with the table and with what was decided.
    ///
    /// # Errors
    ///
    /// If they do not fit.
    pub fn new<H>(
        profile: &Profile,
        table: &[OpSpec<H>],
        decisions: &[Decision],
    ) -> Result<Self, ProfileError> {
        let withheld = |tool: &&Tool| {
            let mut about = decisions.iter().filter(|made| made.operation() == tool.operation);
            about.any(|made| matches!(made, Decision::Withheld { .. }))
        };
        let tools = profile.tools.iter().filter(|tool| !withheld(tool));
        let entries = tools.map(|tool| Entry::new(*tool, table, decisions));
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// The tools, in their order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A text in which commands of the command line are called by the names of the
    /// tools that do the same, as far as there are such tools.
    #[must_use]
    pub fn spoken(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for Entry { tool, .. } in &self.entries {
            let words = format!("hotcell {}", tool.operation.replace('.', " "));
            if text.contains(&words) {
                text = text.replace(&words, tool.name);
            }
        }
        text
    }

    /// The tool of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tool.name == name)
    }
}

impl Entry {
    fn new<H>(
        tool: Tool,
        table: &[OpSpec<H>],
        decisions: &[Decision],
    ) -> Result<Self, ProfileError> {
        let Tool { name, operation, .. } = tool;
        let row = table
            .iter()
            .position(|row| row.name == operation)
            .ok_or(ProfileError::Operation { tool: name, operation })?;
        let schema = (table[row].input_schema)();
        let schema = portable(&schema, REFERENCES_MAX);
        let mut places = Vec::new();
        let mut properties = Map::new();
        let mut required = Vec::new();
        let decided: Vec<&Decision> =
            decisions.iter().filter(|made| made.operation() == operation).collect();
        let is_taken = |field: &&Field| decided.iter().any(|made| made.takes(field.name));
        for field in tool.fields.iter().filter(|field| !is_taken(field)) {
            let place = find(&schema, tool, *field)?;
            if place.spoken == Spoken::Always {
                required.push(Value::from(field.name));
            }
            let told = decided.iter().find_map(|made| match made {
                Decision::Told { field: told, about, .. } if *told == field.name => {
                    Some(about.as_str())
                }
                _ => None,
            });
            let about = told.or(field.about);
            let property = shown(place.schema.clone(), field.form, about);
            properties.insert(field.name.to_owned(), property);
            places.push(place);
        }
        let mut fixed = Vec::new();
        for (field, value) in tool.fixed {
            let place = find(&schema, tool, Field::own(field))?;
            let value = serde_json::from_str(value)
                .map_err(|_| ProfileError::Fixed { tool: name, field })?;
            fixed.push((place, value));
        }
        let mut effect = table[row].effect;
        for made in decided {
            match made {
                Decision::Fixed { field, value, .. } => {
                    let place = find(&schema, tool, Field::own(field))?;
                    fixed.push((place, value.clone()));
                }
                Decision::Weighed { effect: weighed, .. } => effect = *weighed,
                Decision::Hidden { .. } | Decision::Told { .. } | Decision::Withheld { .. } => {}
            }
        }
        for hidden in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
        {
            let is_said = places.iter().chain(fixed.iter().map(|(place, _)| place));
            if !is_said.into_iter().any(|p| p.group.is_none() && p.field.name == hidden) {
                return Err(ProfileError::Hidden { tool: name, field: hidden.to_owned() });
            }
        }
        let mut input_schema = Map::new();
        input_schema.insert("type".into(), "object".into());
        input_schema.insert("properties".into(), Value::Object(properties));
        if !required.is_empty() {
            input_schema.insert("required".into(), Value::Array(required));
        }
        let output_schema = match tool.reply {
            Reply::Text => None,
            Reply::Record(part) => {
                let whole = portable(&(table[row].output_schema)(), REFERENCES_MAX);
                let schema = record::schema(&whole, part);
                Some(schema.map_err(|field| ProfileError::Field { tool: name, field, times: 0 })?)
            }
        };
        Ok(Self { tool, effect, row, input_schema, output_schema, places, fixed })
    }

    /// The operation's request that these arguments mean.
    ///
    /// # Errors
    ///
    /// If an argument is none of the tool's fields, or one is missing that the
    /// request itself could do without. What can be meant in one way only is taken,
    /// see `lenient`.
    pub fn request(&self, arguments: Map<String, Value>) -> Result<Value, OpError> {
        let is_missing = |field: &&Field| {
            field.need == Need::Always && arguments.get(field.name).is_none_or(Value::is_null)
        };
        if let Some(missing) = self.places.iter().map(|place| &place.field).find(is_missing) {
            let message = format!("`{}` needs `{}`", self.tool.name, missing.name);
            return Err(OpError::plain(ErrorKind::InvalidRequest, message));
        }
        let mut request = json!({});
        for (name, value) in arguments {
            let Some(place) = self.places.iter().find(|place| place.field.name == name) else {
                return Err(self.unknown(&name));
            };
            let value = match (place.field.form, value) {
                (Form::ShellLine, Value::String(line)) => Some(json!(["bash", "-c", line])),
                (Form::ShellLine, value) => Some(value).filter(|value| !value.is_null()),
                (Form::Same, value) => lenient::meant(value, &place.schema, place.spoken),
            };
            if let Some(value) = value {
                place.put(&mut request, value);
            }
        }
        for (place, value) in &self.fixed {
            place.put(&mut request, value.clone());
        }
        Ok(request)
    }

    /// What of the operation's answer is told as a record, if anything is: at most
    /// so many bytes, lists cut.
    #[must_use]
    pub fn record(&self, answer: Value, bytes_max: usize) -> Option<Value> {
        let Reply::Record(part) = self.tool.reply else { return None };
        let mut record = record::part(answer, part);
        record::cut(&mut record, bytes_max);
        Some(record)
    }

    fn unknown(&self, name: &str) -> OpError {
        let mut known = String::from("its arguments are ");
        for (index, place) in self.places.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(known, "{comma}`{}`", place.field.name);
        }
        let name: String = name.chars().take(100).collect();
        let message = format!("`{}` has no argument `{name}`", self.tool.name);
        OpError::plain(ErrorKind::InvalidRequest, message).hinted(known)
    }
}

impl Place {
    fn put(&self, request: &mut Value, value: Value) {
        let name = self.field.name;
        match &self.group {
            None => request[name] = value,
            Some(group) => {
                if request.get(group).is_none() {
                    request[group] = json!({});
                }
                request[group][name] = value;
            }
        }
    }
}

/// Where a field stands in a request of `schema`. A field of the request itself hides
/// those of its groups.
fn find(schema: &Value, tool: Tool, field: Field) -> Result<Place, ProfileError> {
    let place = |group: Option<&String>, schema: &Value, property: &Value| {
        let mut names = schema["required"].as_array().into_iter().flatten();
        let is_required = names.any(|name| name == field.name) || field.need == Need::Always;
        let spoken = if is_required { Spoken::Always } else { Spoken::IfWanted };
        Place { field, group: group.cloned(), schema: property.clone(), spoken }
    };
    if let Some(property) = schema["properties"].get(field.name) {
        return Ok(place(None, schema, property));
    }
    let mut found = Vec::new();
    for (group, inner) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(property) = inner["properties"].get(field.name) {
            found.push(place(Some(group), inner, property));
        }
    }
    let times = found.len();
    match (found.pop(), times) {
        (Some(place), 1) => Ok(place),
        _ => Err(ProfileError::Field { tool: tool.name, field: field.name, times }),
    }
}

/// The schema of a field, as a model sees it.
fn shown(mut property: Value, form: Form, about: Option<&str>) -> Value {
    if form == Form::ShellLine {
        property = json!({ "type": "string" });
    }
    if let (Some(about), Some(property)) = (about, property.as_object_mut()) {
        property.insert("description".into(), about.into());
    }
    property
}

#[cfg(test)]
mod tests;
