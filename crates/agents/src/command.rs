//! A plain command as an agent: a script, a tool, a test of the engine. It is given
//! its message on standard input, its lines are what it says, and it hears nothing
//! more. Its end is the end of its process, which its owner sees.

use crate::capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Waiting,
};
use crate::dialogue::{Dialogue, Heard, NotNow, Said};
use crate::event::Event;
use crate::json::beginning;

/// What commands can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    steering: Steering::Deaf,
    receipts: Receipts::Unprovable,
    interrupted: Surviving::GoesOn,
    waiting: Waiting::Never,
    resuming: Resuming::Never,
    spending: Spending::Untold,
    isolation: Isolation::Own,
    habits: Habits::Plain,
};

/// A conversation with a command.
#[derive(Debug, Default)]
pub struct Command(());

impl Dialogue for Command {
    fn open(&mut self, first: &Said) -> Vec<String> {
        first.text.lines().map(str::to_owned).collect()
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        Heard::event(Event::Said { text: beginning(&String::from_utf8_lossy(line)) })
    }

    fn say(&mut self, _: &Said) -> Result<Vec<String>, NotNow> {
        Err(NotNow::Deaf)
    }

    fn interrupt(&mut self) -> Result<Vec<String>, NotNow> {
        Err(NotNow::Deaf)
    }
}
