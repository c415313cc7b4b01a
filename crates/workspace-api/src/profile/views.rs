//! What of workspaces can be read by address: by hosts that show it to people, or
//! put it before a model.

use operation::view::{Shelf, View};

/// All views.
pub const VIEWS: &[View] = &[
    View {
        name: "Summary",
        about: "What ran, changed and failed in a workspace since its last reset, for review",
        address: "hotcell://workspace/{workspace}/summary",
        operation: "workspace.summary",
        fixed: &[("format", "\"markdown\"")],
        media_type: "text/markdown",
    },
    View {
        name: "Diff",
        about: "What changed in a workspace since it was created, as a patch",
        address: "hotcell://workspace/{workspace}/diff",
        operation: "workspace.diff",
        fixed: &[("extent", r#"{"format": "patch", "max_bytes": 524288}"#)],
        media_type: "text/x-diff",
    },
    View {
        name: "Logs",
        about: "The history of a workspace: commands, edits, network decisions",
        address: "hotcell://workspace/{workspace}/logs",
        operation: "workspace.logs",
        fixed: &[("limit", "1000")],
        media_type: "text/plain",
    },
    View {
        name: "File",
        about: "A file of a workspace, for handing it out: its first MiB",
        address: "hotcell://workspace/{workspace}/file/{+path}",
        operation: "file.read",
        fixed: &[("max_bytes", "1048576")],
        media_type: "text/plain",
    },
];

/// Where workspaces are listed.
pub const SHELF: Shelf = Shelf {
    operation: "workspace.list",
    field: "workspaces",
    blank: "workspace",
    key: "id",
    title: "name",
};

/// Where files are read again that were copied into the operator's folder.
pub const COPIES: &str = "hotcell://export/{+name}";
