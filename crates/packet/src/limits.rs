//! How much of a packet is read.

/// A PROMPT.md larger than this is refused, in bytes.
pub const PROMPT_MAX_BYTES: usize = 256 << 10;

/// A STATUS.md larger than this is refused, in bytes. It grows while an agent works.
pub const STATUS_MAX_BYTES: usize = 1 << 20;

/// A .DONE or a review larger than this is refused, in bytes.
pub const NOTE_MAX_BYTES: usize = 256 << 10;

/// A letter larger than this is refused, in bytes: its first line, and as much text as
/// a message may have.
pub const LETTER_MAX_BYTES: usize = 4096 + 256;

/// Most reviews of one task that are looked at.
pub const REVIEWS_MAX: usize = 1000;

/// Most steps of a task.
pub const STEPS_MAX: usize = 64;

/// Most boxes to check in one step, or in the criteria of a task.
pub const BOXES_MAX: usize = 256;

/// Most dependencies of a task.
pub const DEPENDENCIES_MAX: usize = 64;

/// Most entries of a file scope, and of a list of documents to read first.
pub const SCOPE_MAX: usize = 256;

/// Most repositories that one task works in.
pub const REPOSITORIES_MAX: usize = 16;

/// Most problems that are told of one file.
pub const PROBLEMS_MAX: usize = 50;

/// Most rows of one table that are kept; the rest is counted.
pub const ROWS_MAX: usize = 2000;

/// Most characters of foreign text that an error repeats.
pub const QUOTE_MAX_CHARS: usize = 120;
