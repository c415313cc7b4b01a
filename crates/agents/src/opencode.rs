//! OpenCode, by the Agent Client Protocol ([`crate::acp`]).
//!
//! A message to one at work is folded in after the tool that runs, and is in the
//! conversation from the moment it is sent: it is found there after a kill. The costs of a
//! turn are told when it is over, in money; of tokens, it tells those of the last answer.
//!
//! For a cell every tool is switched off and denied but the gateway's, and neither skills
//! nor settings of the person's are read: its home is its own. It looks for settings and
//! plug-ins in the directory that it works in and in all above, and runs what it finds,
//! even if it is told not to, with one exception: the directory of its own settings. So it
//! works there ([`directory`]). Measured with version 1.18.33.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Waiting,
};
use crate::launch::{Hands, Launch, Provider, Task, provider_and_model};

/// What OpenCode can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    steering: Steering::Folds,
    receipts: Receipts::Searchable,
    interrupted: Surviving::GoesOn,
    waiting: Waiting::Kept,
    resuming: Resuming::Continues,
    spending: Spending::MoneyAtEnd,
    isolation: Isolation::Gateway,
    habits: Habits::Plain,
};

/// Where it works, in its home, if its hands are elsewhere.
#[must_use]
pub fn directory(home: &Path) -> PathBuf {
    home.join(CONFIG).join("opencode")
}

/// Something for the same task in the directory where it works.
pub(crate) fn at_work<T>(task: &Task<'_>, then: impl FnOnce(&Task<'_>) -> T) -> T {
    match task.hands {
        Hands::Gateway => then(&Task { directory: &directory(task.home), ..task.clone() }),
        Hands::Own { .. } => then(task),
    }
}

/// Providers whose own protocols it speaks.
const OWN: [&str; 2] = ["anthropic", "openai"];

/// Where all programs have their settings, in its home.
const CONFIG: &str = "config";

/// How it is started: with its hands in the gateway alone, or with its own. Its model is
/// called `provider/model`. Another provider than its own speaks what the one of that name
/// does: OpenAI's Responses, Anthropic's Messages, or else OpenAI's Chat Completions.
#[must_use]
pub fn launch(task: &Task<'_>, provider: Option<&Provider>) -> Launch {
    let tools = format!("{}_*", task.gateway.name);
    let mut settings = json!({
        "share": "disabled",
        "autoupdate": false,
        "snapshot": false,
    });
    let (place, instructions) = (directory(task.home), task.home.join("instructions.md"));
    let mut launch = Launch::default();
    match task.hands {
        Hands::Gateway => {
            settings["permission"] = json!({"*": "deny", &*tools: "allow"});
            settings["tools"] = json!({"*": false, &*tools: true});
            settings["agent"] = json!({"build": {"prompt": task.instructions}});
        }
        Hands::Own { .. } => {
            settings["permission"] = json!({"*": "allow"});
            settings["instructions"] = json!([instructions]);
            launch.file(instructions, task.instructions);
        }
    }
    if let Some(model) = task.model {
        settings["model"] = json!(model);
        // For titles: no other model is asked than the one that was chosen.
        settings["small_model"] = json!(model);
    }
    if let (Some(Provider { url, key_variable }), Some(model)) = (provider, task.model) {
        let (name, model) = provider_and_model(model);
        settings["provider"][name] = json!({
            "options": {"baseURL": url, "apiKey": format!("{{env:{key_variable}}}")},
            "models": {model: {"name": model, "tool_call": true}},
        });
        // It has ways of its own with these two, which another client breaks.
        if !OWN.contains(&name) {
            settings["provider"][name]["npm"] = json!("@ai-sdk/openai-compatible");
        }
    }
    launch.file(place.join("opencode.json"), settings.to_string());
    at_work(task, |task| launch.words(&["acp", "--cwd", &task.directory.to_string_lossy()]));
    for (name, place) in [
        ("HOME", ""),
        ("XDG_CONFIG_HOME", CONFIG),
        ("XDG_DATA_HOME", "data"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_CACHE_HOME", "cache"),
    ] {
        launch.variable(name, task.home.join(place).to_string_lossy());
    }
    for name in [
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_CLAUDE_CODE",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS",
        "OPENCODE_DISABLE_EXTERNAL_SKILLS",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_PROJECT_CONFIG",
        "OPENCODE_PURE",
    ] {
        launch.variable(name, "1");
    }
    launch
}
