use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{Call, Example, Handler, NoEvents, Operation, Present, Screen};

/// Make something
#[derive(Debug, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
struct Make {
    /// Its place
    place: String,
    /// How it is made
    #[command(flatten)]
    #[serde(default)]
    how: How,
    /// What to run
    #[arg(last = true)]
    command: Vec<String>,
}

/// How it is made
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema, clap::Args)]
struct How {
    /// The colour
    #[arg(long)]
    colour: Option<Colour>,
    /// How many
    #[arg(long)]
    count: Option<u32>,
}

/// A colour.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Colour {
    /// Like the sky.
    Blue,
    /// Like grass.
    Green,
}

/// What was made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Made {
    /// The request.
    request: String,
}

impl Present for Made {
    fn present(&self, screen: &mut Screen) {
        screen.line(&self.request);
    }
}

impl Operation for Make {
    type Output = Made;
    type Event = NoEvents;
    const NAME: &'static str = "thing.make";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[];
}

struct Maker;

impl Handler<Make> for Maker {
    async fn handle(&self, make: Make, _: &mut Call<NoEvents>) -> Result<Made, OpError> {
        Ok(Made { request: format!("{make:?}") })
    }
}

const TOOL: Tool = Tool {
    name: "thing_make",
    operation: "thing.make",
    about: "Make a thing.",
    fields: &[
        Field::own("place"),
        Field::own("colour"),
        Field::shell_line("command", "What to run, in bash"),
    ],
    fixed: &[("count", "3")],
    reply: Reply::Record(&["request"]),
    load: Load::OnDemand,
};

fn catalog(tools: &'static [Tool]) -> Result<Catalog, ProfileError> {
    let profile = Profile { name: "all", about: "", instructions: "", tools };
    Catalog::new(&profile, &[OpSpec::<Maker>::of::<Make>()], &[])
}

#[test]
fn a_tool_is_flat_and_its_schema_plain() {
    let catalog = catalog(&[TOOL]).unwrap();
    let entry = catalog.find("thing_make").unwrap();
    insta::assert_json_snapshot!(entry.input_schema, @r#"
    {
      "properties": {
        "colour": {
          "description": "The colour",
          "enum": [
            "blue",
            "green"
          ],
          "type": "string"
        },
        "command": {
          "description": "What to run, in bash",
          "type": "string"
        },
        "place": {
          "description": "Its place",
          "type": "string"
        }
      },
      "required": [
        "place",
        "command"
      ],
      "type": "object"
    }
    "#);
    assert!(entry.output_schema.is_some());
}

#[test]
fn arguments_find_their_groups() {
    let catalog = catalog(&[TOOL]).unwrap();
    let arguments = json!({ "place": "here", "colour": "blue", "command": "ls | wc" });
    let request = catalog.entries()[0].request(arguments.as_object().unwrap().clone()).unwrap();
    let meant = json!({
        "place": "here",
        "how": { "colour": "blue", "count": 3 },
        "command": ["bash", "-c", "ls | wc"],
    });
    assert_eq!(request, meant);
}

#[test]
fn arguments_are_taken_as_they_are_meant() {
    const LENIENT: Tool = Tool {
        fields: &[Field::own("place"), Field::own("colour"), Field::own("count"), LINE],
        fixed: &[],
        ..TOOL
    };
    const LINE: Field = Field::shell_line("command", "What to run, in bash");
    let catalog = catalog(&[LENIENT]).unwrap();
    let request = |arguments: Value| {
        catalog.entries()[0].request(arguments.as_object().unwrap().clone()).unwrap()
    };
    let written = json!({ "place": "", "colour": "", "count": "3", "command": "ls" });
    let meant = json!({ "place": "", "how": { "count": 3 }, "command": ["bash", "-c", "ls"] });
    assert_eq!(request(written), meant);
    // A program and its arguments say what to run as well as a line does.
    let written = json!({ "place": "here", "count": null, "command": ["ls", "-l"] });
    assert_eq!(request(written), json!({ "place": "here", "command": ["ls", "-l"] }));
}

#[test]
fn what_is_fixed_or_hidden_cannot_be_said() {
    let catalog = catalog(&[TOOL]).unwrap();
    for name in ["count", "how", "nonsense"] {
        let arguments = json!({ name: 1 });
        let error = catalog.entries()[0].request(arguments.as_object().unwrap().clone());
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(error.hints[0].contains("`colour`"), "{error}");
    }
}

#[test]
fn what_is_needed_has_to_be_said() {
    const NEEDED: Tool = Tool {
        fields: &[
            Field::own("place"),
            Field::needed("colour", "Which colour"),
            Field::own("command"),
        ],
        ..TOOL
    };
    let catalog = catalog(&[NEEDED]).unwrap();
    let required = json!(["place", "colour", "command"]);
    assert_eq!(catalog.entries()[0].input_schema["required"], required);
    let arguments = json!({ "place": "here", "colour": null, "command": ["ls"] });
    let error = catalog.entries()[0].request(arguments.as_object().unwrap().clone());
    assert!(error.unwrap_err().message.contains("`colour`"));
}

#[test]
fn what_the_operator_decided_is_neither_seen_nor_changed() {
    let profile = Profile { name: "all", about: "", instructions: "", tools: &[TOOL] };
    let decision =
        Decision::Fixed { operation: "thing.make", field: "colour", value: json!("green") };
    let table = [OpSpec::<Maker>::of::<Make>()];
    let catalog = Catalog::new(&profile, &table, &[decision]).unwrap();
    let entry = &catalog.entries()[0];
    assert!(entry.input_schema["properties"].get("colour").is_none());
    let arguments = |colour: Value| json!({ "place": "here", "colour": colour });
    let refused = entry.request(arguments(json!("blue")).as_object().unwrap().clone());
    assert_eq!(refused.unwrap_err().kind, ErrorKind::InvalidRequest);
    let arguments = json!({ "place": "here", "command": "true" });
    let request = entry.request(arguments.as_object().unwrap().clone()).unwrap();
    assert_eq!(request["how"]["colour"], "green");
}

#[test]
fn profiles_that_do_not_fit_are_told_apart() {
    const NOWHERE: Tool = Tool { operation: "thing.break", ..TOOL };
    const UNKNOWN: Tool = Tool { fixed: &[("size", "1")], ..TOOL };
    const HIDDEN: Tool = Tool { fields: &[Field::own("place")], ..TOOL };
    assert!(matches!(catalog(&[NOWHERE]), Err(ProfileError::Operation { .. })));
    assert!(matches!(catalog(&[UNKNOWN]), Err(ProfileError::Field { times: 0, .. })));
    assert!(matches!(catalog(&[HIDDEN]), Err(ProfileError::Hidden { .. })));
    const SILENT: Tool = Tool { reply: Reply::Record(&["made"]), ..TOOL };
    let lost = catalog(&[SILENT]).unwrap_err();
    assert_eq!(lost, ProfileError::Field { tool: "thing_make", field: "made", times: 0 });
}
