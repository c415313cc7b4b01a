//! STATUS.md and .DONE: an agent may write anything, and what is read of it stays
//! within bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::done::Done;
use packet::limits::{BOXES_MAX, ROWS_MAX, STEPS_MAX};
use packet::status::{Progress, Status};

fuzz_target!(|bytes: &[u8]| {
    let is_text = std::str::from_utf8(bytes).is_ok();
    assert_eq!(Done::parse(bytes).is_ok(), is_text);
    let status = Status::parse(bytes);
    assert_eq!(status.is_ok(), is_text);
    let Ok(status) = status else { return };
    assert!(status.steps.len() <= STEPS_MAX);
    for step in &status.steps {
        assert!(step.outcomes.len() <= BOXES_MAX);
        let open = step.outcomes.iter().any(|outcome| !outcome.is_checked);
        // Nobody is done who says nothing and has a box left.
        assert!(!(open && step.said.is_none() && step.progress() == Progress::Complete));
    }
    for table in [&status.reviews, &status.discoveries, &status.log] {
        assert!(table.rows.len() <= ROWS_MAX);
        let cells = table.rows.iter().flat_map(|row| &row.value);
        assert!(cells.chain(&table.heads).all(|cell| !cell.contains(char::is_control)));
    }
});
