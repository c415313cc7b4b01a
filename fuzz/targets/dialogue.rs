//! Lines of agents: whatever one says, each of its messages is taken at most as often
//! as it says so, what is kept of a line has a limit, and what is written back is one
//! line of JSON each.

#![no_main]

use std::path::Path;

use agents::acp::Replay;
use agents::{Adapter, Event, Gateway, Hands, Key, Said, TEXT_CHARACTERS_MAX, Task};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway {
        name: "cell".into(),
        program: "/tools".into(),
        arguments: Vec::new(),
        variables: Vec::new(),
    };
    let task = Task {
        program: Path::new("/agent"),
        directory: Path::new("/empty"),
        home: Path::new("/home"),
        model: Some("model"),
        instructions: "Work.",
        gateway: &gateway,
        hands: Hands::Gateway,
        resume: None,
    };
    // A plain command writes what it is told as it is.
    let speaking = Adapter::ALL.into_iter().filter(|adapter| *adapter != Adapter::Command);
    for adapter in speaking {
        let mut dialogue = adapter.dialogue(&task);
        let _ = adapter.taken(&String::from_utf8_lossy(bytes));
        let said = Said { key: Key::default(), text: "Go on.".into() };
        let mut written = dialogue.open(&said);
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let heard = dialogue.hear(line);
            written.extend(heard.reply);
            for event in heard.events {
                if let Event::Said { text } | Event::Odd { line: text } = event {
                    assert!(text.chars().count() <= TEXT_CHARACTERS_MAX);
                }
            }
            written.extend(match number % 3 {
                0 => dialogue.say(&said).unwrap_or_default(),
                1 => dialogue.interrupt().unwrap_or_default(),
                _ => Vec::new(),
            });
        }
        for line in written {
            assert!(!line.contains('\n'));
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok_and(|line| line.is_object()));
        }
    }
    let mut replay = Replay::new(&Task { resume: Some("session"), ..task });
    let _ = replay.open();
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = replay.hear(line);
        if let Some(Ok(keys)) = replay.finished() {
            assert!(keys.len() <= bytes.len());
        }
    }
});
