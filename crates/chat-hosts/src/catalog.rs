//! What is known of each host, as data.
//!
//! All of it was seen with the programs themselves, for those that the tests run
//! (Claude Code, Codex, OpenCode); for the others it is what their documentation
//! says.

use workspace_api::host::{ChatHost, HostScope};

use crate::edit::Format;
use crate::entry::{CommandForm, Extra, Shape};

/// A chat host.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Which one.
    pub id: ChatHost,
    /// What people call it.
    pub title: &'static str,
    /// Its program may have one of these names.
    pub programs: &'static [&'static str],
    /// How one gets it.
    pub install: &'static str,
    /// Where an entry for all sessions of a user stands.
    pub user: Location,
    /// Where one for a project stands, if projects can have one.
    pub project: Option<Location>,
    /// How an entry is written.
    pub shape: Shape,
    /// What a person should know when the host is connected.
    pub note: Option<&'static str>,
}

/// A configuration file, and how it is changed.
#[derive(Debug, Clone, Copy)]
pub struct Location {
    /// The directory that it lies in.
    pub base: Base,
    /// Its path below, the first that exists or the first at all.
    pub files: &'static [&'static str],
    /// The table of servers in it.
    pub table: &'static [&'static str],
    /// Who changes it, and how it is written.
    pub writer: Writer,
}

/// Where a configuration file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// In the user's home directory.
    Home,
    /// In the user's directory for configuration, `$XDG_CONFIG_HOME`.
    Config,
    /// In what a variable names, and otherwise in a directory of the home.
    Variable(&'static str, &'static str),
    /// In the project.
    Project,
}

/// Who changes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// We do: it is written by people, or the host's own command cannot say all
    /// that an entry needs.
    Edit(Format),
    /// The host does, by its own command: the file is the host's own record, which
    /// its running sessions write as well.
    OwnCommand(Format, OwnCommand),
    /// People do: there is no editor for its format that keeps all that is in it.
    Person,
}

/// The commands by which a host changes its configuration. `{name}` and `{entry}`
/// stand for the server's name and its entry as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnCommand {
    /// Adds an entry; refuses if there is one.
    pub add: &'static [&'static str],
    /// Removes it.
    pub remove: &'static [&'static str],
}

impl Host {
    /// What is known of a host.
    #[must_use]
    pub const fn of(host: ChatHost) -> Self {
        match host {
            ChatHost::ClaudeCode => CLAUDE_CODE,
            ChatHost::Codex => CODEX,
            ChatHost::Opencode => OPENCODE,
            ChatHost::Gemini => GEMINI,
            ChatHost::Qwen => QWEN,
            ChatHost::Copilot => COPILOT,
            ChatHost::Cursor => CURSOR,
            ChatHost::Vscode => VSCODE,
            ChatHost::Zed => ZED,
            ChatHost::Amp => AMP,
            ChatHost::Goose => GOOSE,
        }
    }

    /// Where entries of a scope stand.
    #[must_use]
    pub const fn location(&self, scope: HostScope) -> Option<Location> {
        match scope {
            HostScope::User => Some(self.user),
            HostScope::Project => self.project,
        }
    }
}

const MCP_SERVERS: &[&str] = &["mcpServers"];
const EDIT_JSON: Writer = Writer::Edit(Format::Jsonc);

/// `command` and `args`, as most hosts have it.
const PLAIN: Shape = Shape { kind: None, command: CommandForm::Split, extras: &[] };

const CLAUDE_CODE: Host = Host {
    id: ChatHost::ClaudeCode,
    title: "Claude Code",
    programs: &["claude"],
    install: "npm install -g @anthropic-ai/claude-code",
    user: Location {
        base: Base::Variable("CLAUDE_CONFIG_DIR", ""),
        files: &[".claude.json"],
        table: MCP_SERVERS,
        writer: Writer::OwnCommand(
            Format::Jsonc,
            OwnCommand {
                add: &["mcp", "add-json", "-s", "user", "{name}", "{entry}"],
                remove: &["mcp", "remove", "-s", "user", "{name}"],
            },
        ),
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".mcp.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    }),
    // A call may take as long as it wants, so no timeout is needed.
    shape: Shape {
        kind: Some(("type", "stdio")),
        command: CommandForm::Split,
        extras: &[("alwaysLoad", Extra::ShownAtOnce)],
    },
    note: Some(
        "Claude Code asks before it uses a tool; `--allowedTools mcp__NAME` allows all of a server, \
         and an entry in project scope has to be approved once, in a session",
    ),
};

const CODEX: Host = Host {
    id: ChatHost::Codex,
    title: "Codex",
    programs: &["codex"],
    install: "npm install -g @openai/codex",
    user: Location {
        base: Base::Variable("CODEX_HOME", ".codex"),
        files: &["config.toml"],
        table: &["mcp_servers"],
        // `codex mcp add` cannot say how long a call may take.
        writer: Writer::Edit(Format::Toml),
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".codex/config.toml"],
        table: &["mcp_servers"],
        writer: Writer::Edit(Format::Toml),
    }),
    // It waits a second for a server that is not required; ours answers in
    // milliseconds, and with `required` a program that moved would keep Codex
    // itself from starting.
    shape: Shape {
        kind: None,
        command: CommandForm::Split,
        extras: &[("tool_timeout_sec", Extra::TimeoutSeconds)],
    },
    note: Some(
        "without a person to ask, Codex runs the tools that destroy nothing and refuses the others; \
         `default_tools_approval_mode = \"approve\"` in the entry allows all. An entry in project \
         scope counts in projects that are trusted",
    ),
};

const OPENCODE: Host = Host {
    id: ChatHost::Opencode,
    title: "OpenCode",
    programs: &["opencode"],
    install: "npm install -g opencode-ai",
    user: Location {
        base: Base::Config,
        files: &["opencode/opencode.jsonc", "opencode/opencode.json", "opencode/config.json"],
        table: &["mcp"],
        // `opencode mcp` can add and not remove.
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &["opencode.json", "opencode.jsonc", ".opencode/opencode.json"],
        table: &["mcp"],
        writer: EDIT_JSON,
    }),
    shape: Shape {
        kind: Some(("type", "local")),
        command: CommandForm::Joined,
        extras: &[("enabled", Extra::On), ("timeout", Extra::TimeoutMilliseconds)],
    },
    note: None,
};

const GEMINI: Host = Host {
    id: ChatHost::Gemini,
    title: "Gemini CLI",
    programs: &["gemini"],
    install: "npm install -g @google/gemini-cli",
    user: Location {
        base: Base::Home,
        files: &[".gemini/settings.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".gemini/settings.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    }),
    shape: Shape { extras: &[("timeout", Extra::TimeoutMilliseconds)], ..PLAIN },
    note: Some("Gemini CLI starts servers in folders that are trusted"),
};

const QWEN: Host = Host {
    id: ChatHost::Qwen,
    title: "Qwen Code",
    programs: &["qwen"],
    install: "npm install -g @qwen-code/qwen-code",
    user: Location {
        base: Base::Home,
        files: &[".qwen/settings.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".qwen/settings.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    }),
    shape: Shape { extras: &[("timeout", Extra::TimeoutMilliseconds)], ..PLAIN },
    note: Some("an entry in project scope has to be approved: `qwen mcp approve NAME`"),
};

const COPILOT: Host = Host {
    id: ChatHost::Copilot,
    title: "Copilot CLI",
    programs: &["copilot"],
    install: "npm install -g @github/copilot",
    user: Location {
        base: Base::Variable("COPILOT_HOME", ".copilot"),
        files: &["mcp-config.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".github/mcp.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    }),
    shape: Shape {
        kind: Some(("type", "local")),
        command: CommandForm::Split,
        extras: &[("tools", Extra::EveryTool), ("timeout", Extra::TimeoutMilliseconds)],
    },
    note: Some("an entry in project scope counts in folders that are trusted"),
};

const CURSOR: Host = Host {
    id: ChatHost::Cursor,
    title: "Cursor",
    programs: &["cursor", "cursor-agent"],
    install: "see cursor.com",
    user: Location {
        base: Base::Home,
        files: &[".cursor/mcp.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".cursor/mcp.json"],
        table: MCP_SERVERS,
        writer: EDIT_JSON,
    }),
    shape: Shape { kind: Some(("type", "stdio")), ..PLAIN },
    note: None,
};

const VSCODE: Host = Host {
    id: ChatHost::Vscode,
    title: "Visual Studio Code",
    programs: &["code"],
    install: "see code.visualstudio.com",
    user: Location {
        base: Base::Config,
        files: &["Code/User/mcp.json"],
        table: &["servers"],
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".vscode/mcp.json"],
        table: &["servers"],
        writer: EDIT_JSON,
    }),
    shape: Shape { kind: Some(("type", "stdio")), ..PLAIN },
    note: None,
};

const ZED: Host = Host {
    id: ChatHost::Zed,
    title: "Zed",
    programs: &["zed", "zeditor"],
    install: "see zed.dev",
    user: Location {
        base: Base::Config,
        files: &["zed/settings.json"],
        table: &["context_servers"],
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".zed/settings.json"],
        table: &["context_servers"],
        writer: EDIT_JSON,
    }),
    shape: PLAIN,
    note: None,
};

const AMP: Host = Host {
    id: ChatHost::Amp,
    title: "Amp",
    programs: &["amp"],
    install: "npm install -g @sourcegraph/amp",
    user: Location {
        base: Base::Config,
        files: &["amp/settings.json"],
        table: &["amp.mcpServers"],
        writer: EDIT_JSON,
    },
    project: Some(Location {
        base: Base::Project,
        files: &[".amp/settings.json"],
        table: &["amp.mcpServers"],
        writer: EDIT_JSON,
    }),
    shape: PLAIN,
    note: Some("an entry in project scope has to be approved: `amp mcp approve NAME`"),
};

const GOOSE: Host = Host {
    id: ChatHost::Goose,
    title: "goose",
    programs: &["goose"],
    install: "npm install -g @aaif/goose",
    user: Location {
        base: Base::Config,
        files: &["goose/config.yaml"],
        table: &["extensions"],
        writer: Writer::Person,
    },
    project: None,
    shape: Shape {
        kind: Some(("type", "stdio")),
        command: CommandForm::Named("cmd", "args"),
        extras: &[
            ("enabled", Extra::On),
            ("name", Extra::Name),
            ("timeout", Extra::TimeoutSeconds),
        ],
    },
    note: None,
};
