//! How outputs and events show themselves to people.

/// Text and bytes on their way to standard output and standard error.
///
/// Presenting fills buffers instead of writing, so that a face decides when and
/// where they go, and a slow terminal never blocks the handler.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Screen {
    /// For standard output: data.
    pub out: Vec<u8>,
    /// For standard error: everything else.
    pub err: Vec<u8>,
}

impl Screen {
    /// Adds a line to standard output.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.out.extend_from_slice(line.as_ref().as_bytes());
        self.out.push(b'\n');
    }

    /// Adds a line to standard error.
    pub fn note(&mut self, line: impl AsRef<str>) {
        self.err.extend_from_slice(line.as_ref().as_bytes());
        self.err.push(b'\n');
    }
}

/// What people see of an output or an event.
pub trait Present {
    /// Puts the human form on the screen.
    fn present(&self, screen: &mut Screen);

    /// The exit code of a command line that ends with this output.
    fn exit_code(&self) -> u8 {
        0
    }

    /// Whether this is an event that somebody follows for its own sake: a face that
    /// prints JSON prints it too, in a line of its own.
    fn is_followed(&self) -> bool {
        false
    }

    /// All that is followed as it is with this event, if that can be told at once. On a
    /// terminal it may be drawn in the place of what was drawn with the event before.
    fn picture(&self) -> Option<Screen> {
        None
    }

    /// How far long work is, if this is an event that says so. A face may draw
    /// it instead of presenting the event.
    fn progress(&self) -> Option<Progress> {
        None
    }
}

/// How far a piece of long work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Names the piece of work; one bar each.
    pub task: String,
    /// What is being done right now.
    pub note: String,
    /// How much is done.
    pub done: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
    /// Whether it goes on.
    pub state: ProgressState,
}

/// What a [`Progress`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Steps, packages or files.
    Items,
}

/// Whether a piece of work goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressState {
    /// It does.
    Running,
    /// It is done.
    Finished,
}
