//! Traces as people read them.

use operation::{Present, Screen};

use super::{
    TraceContent, TraceEntry, TraceKind, TraceList, TraceState, TracesPruned, TracesRedacted,
};

impl TraceState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Redacted => "redacted",
            Self::Pruned => "pruned",
        }
    }
}

impl Present for TraceEntry {
    fn present(&self, screen: &mut Screen) {
        let Self { trace, kind, attempt, bytes, state, sequence, .. } = self;
        let of = match (kind, &self.conversation) {
            (TraceKind::Transcript, Some(conversation)) => conversation.to_string(),
            (TraceKind::Transcript, None) => attempt.to_string(),
            (TraceKind::Verification, _) => format!("verification of {attempt}"),
        };
        let name = trace.get(.."sha256:".len() + 12).unwrap_or(trace);
        let state = state.as_str();
        screen.line(format!("{sequence:>6}  {name}  {bytes:>9} bytes  {state:<8}  {of}"));
    }
}

impl Present for TraceList {
    fn present(&self, screen: &mut Screen) {
        self.traces.iter().for_each(|entry| entry.present(screen));
        if self.traces.is_empty() {
            screen.note("Nothing was kept yet");
        } else {
            screen.note(format!("`hotcell batch trace TRACE {}` shows one", self.id));
        }
    }
}

impl Present for TraceContent {
    fn present(&self, screen: &mut Screen) {
        self.text.lines().for_each(|line| {
            let plain = line.chars().filter(|c| !c.is_control() || *c == '\t');
            screen.line(plain.collect::<String>());
        });
        if self.omitted_bytes > 0 {
            screen.note(format!("{} bytes before this are not shown", self.omitted_bytes));
        }
        match self.state {
            TraceState::Kept => {}
            TraceState::Redacted => screen.note("some of it is hidden"),
            TraceState::Pruned => screen.note("it was pruned: nothing of it is there"),
        }
    }
}

impl Present for TracesPruned {
    fn present(&self, screen: &mut Screen) {
        let Self { traces, bytes, .. } = self;
        screen.line(format!("removed {traces} traces, {bytes} bytes"));
    }
}

impl Present for TracesRedacted {
    fn present(&self, screen: &mut Screen) {
        let Self { traces, looked_through, .. } = self;
        screen.line(format!("hidden in {traces} of {looked_through} traces"));
    }
}
