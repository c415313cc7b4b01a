//! Configuration files of chat hosts, edited: whatever is in them, an edit is
//! refused or does what it should and nothing else.

#![no_main]

use chat_hosts::edit::{Format, put, read, take};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const PATH: [&str; 2] = ["servers", "hotcell"];

fuzz_target!(|bytes: &[u8]| {
    let fields = json!({ "command": "/opt/hotcell", "args": ["mcp", "serve"], "timeout": 900 });
    let fields = fields.as_object().expect("an object");
    for format in [Format::Jsonc, Format::Toml] {
        let before = read(format, bytes, &[]);
        let Ok(after) = put(format, bytes, &PATH, fields) else { continue };
        let entry = read(format, &after, &PATH).expect("it was understood").expect("an entry");
        for (name, value) in fields {
            assert_eq!(&entry[name], value);
        }
        assert_eq!(put(format, &after, &PATH, fields).as_ref(), Ok(&after), "once more");
        let mut expected = before.expect("it was edited").expect("a file has a root");
        without_entry(&mut expected);
        if let Ok(gone) = take(format, &after, &PATH) {
            assert_eq!(read(format, &gone, &[]), Ok(Some(expected)));
        }
    }
});

/// Removes the entry, and the table of servers if nothing is in it then.
fn without_entry(file: &mut Value) {
    let Some(file) = file.as_object_mut() else { return };
    let Some(servers) = file.get_mut(PATH[0]).and_then(Value::as_object_mut) else { return };
    servers.remove(PATH[1]);
    if servers.is_empty() {
        file.remove(PATH[0]);
    }
}
