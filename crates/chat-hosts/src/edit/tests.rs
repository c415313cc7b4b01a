//! Edits of files as people and programs write them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn entry() -> Map<String, Value> {
    fields(&json!({ "command": "/opt/hotcell", "args": ["mcp", "serve"], "timeout": 900 }))
}

fn edited(format: Format, before: &str, path: &[&str]) -> String {
    let after = put(format, before.as_bytes(), path, &entry()).unwrap();
    let read = read(format, &after, path).unwrap().unwrap();
    for (name, value) in entry() {
        assert_eq!(read[&name], value);
    }
    String::from_utf8(after).unwrap()
}

#[test]
fn json_keeps_comments_order_and_spaces() {
    let before = "{\n  // mine\n  \"theme\":   \"dark\", /* why */\n  \"mcp\": {\n    \"other\": { \"type\": \"local\" }, // keep\n  },\n}\n";
    let after = edited(Format::Jsonc, before, &["mcp", "hotcell"]);
    for line in before.lines() {
        assert!(after.contains(line), "{line}:\n{after}");
    }
    let again = take(Format::Jsonc, after.as_bytes(), &["mcp", "hotcell"]).unwrap();
    assert_eq!(
        whole(Format::Jsonc, std::str::from_utf8(&again).unwrap()),
        whole(Format::Jsonc, before)
    );
}

#[test]
fn a_missing_file_is_made_and_can_be_emptied() {
    for format in [Format::Jsonc, Format::Toml] {
        let made = edited(format, "", &["servers", "hotcell"]);
        assert!(made.ends_with('\n'), "{made:?}");
        let again = take(format, made.as_bytes(), &["servers", "hotcell"]).unwrap();
        assert_eq!(read(format, &again, &[]), Ok(Some(json!({}))));
    }
}

#[test]
fn toml_keeps_comments_order_and_spaces() {
    let before = "# mine\nmodel   = \"x\"\n\n[mcp_servers.other] # keep\ncommand = \"o\"\n\n[projects.\"/a b\"]\ntrust_level = \"trusted\"\n";
    let after = edited(Format::Toml, before, &["mcp_servers", "hotcell"]);
    for line in before.lines() {
        assert!(after.contains(line), "{line}:\n{after}");
    }
    let again = take(Format::Toml, after.as_bytes(), &["mcp_servers", "hotcell"]).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), before);
}

#[test]
fn fields_of_others_stay_and_equal_ones_are_not_written_anew() {
    let json = "{\"s\": {\"hotcell\": {\"command\": \"/opt/hotcell\", // ours\n \"env\": {\"A\": \"b\"}, \"timeout\": 5}}}";
    let after = edited(Format::Jsonc, json, &["s", "hotcell"]);
    assert!(after.contains("// ours") && after.contains("{\"A\": \"b\"}"), "{after}");
    let toml = "[s.hotcell]\ncommand = '/opt/hotcell' # ours\ntimeout = 5 # too short\nenv = { A = \"b\" }\n";
    let after = edited(Format::Toml, toml, &["s", "hotcell"]);
    assert!(
        after.contains("command = '/opt/hotcell' # ours\ntimeout = 900 # too short\n"),
        "{after}"
    );
    assert!(after.contains("env = { A = \"b\" }"), "{after}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |format, text: &[u8]| put(format, text, &["s", "hotcell"], &entry()).unwrap_err();
    assert_eq!(refused(Format::Jsonc, b"\xff"), Refusal::NotText);
    assert_eq!(refused(Format::Jsonc, b"{\"s\": 1}"), Refusal::NotATable("s".into()));
    assert_eq!(refused(Format::Toml, b"s = 1"), Refusal::NotATable("s".into()));
    assert_eq!(refused(Format::Jsonc, b"{\"s\":{},\"s\":{}}"), Refusal::Twice("s".into()));
    for text in ["{", "[]", "{s: {}}", "{\"a\": 'x'}", "{\"a\": 1 \"b\": 2}", "nonsense"] {
        assert!(put(Format::Jsonc, text.as_bytes(), &["s", "h"], &entry()).is_err(), "{text}");
    }
    assert!(matches!(refused(Format::Toml, b"a = "), Refusal::Syntax(_)));
    assert_eq!(refused(Format::Toml, &vec![b' '; FILE_MAX_BYTES + 1]), Refusal::TooLarge);
}

#[test]
fn a_byte_order_mark_stays() {
    let before = "\u{feff}{\"a\": 1}";
    let after = edited(Format::Jsonc, before, &["s", "hotcell"]);
    assert!(after.starts_with("\u{feff}{"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\"\\\\]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z. ]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A file that holds anything, the table of servers included or not.
fn file() -> impl Strategy<Value = Value> {
    let table = prop::collection::btree_map("[a-z]{1,4}", value(), 0..4);
    (prop::collection::btree_map("[a-z]{2,5}", value(), 0..5), prop::option::of(table)).prop_map(
        |(file, table)| {
            let mut file: Map<String, Value> = file.into_iter().collect();
            if let Some(table) = table {
                file.insert("s".to_owned(), Value::Object(table.into_iter().collect()));
            }
            Value::Object(file)
        },
    )
}

proptest! {
    #[test]
    fn an_entry_comes_and_goes_without_a_trace(file in file(), pretty: bool) {
        let text = if pretty { format!("{file:#}") } else { file.to_string() };
        let path = ["s", "hotcell"];
        let after = put(Format::Jsonc, text.as_bytes(), &path, &entry()).unwrap();
        let again = put(Format::Jsonc, &after, &path, &entry()).unwrap();
        prop_assert_eq!(&again, &after);
        let gone = take(Format::Jsonc, &after, &path).unwrap();
        let mut expected = file.clone();
        if expected["s"] == json!({}) {
            expected.as_object_mut().unwrap().remove("s");
        }
        prop_assert_eq!(read(Format::Jsonc, &gone, &[]).unwrap().unwrap(), expected);
        if pretty && file["s"].as_object().is_some_and(|table| !table.is_empty()) {
            prop_assert_eq!(String::from_utf8(gone).unwrap(), text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for format in [Format::Jsonc, Format::Toml] {
            let _ = put(format, &bytes, &["s", "hotcell"], &entry());
            let _ = take(format, &bytes, &["s", "hotcell"]);
        }
    }
}
