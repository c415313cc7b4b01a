//! What a person sees: data on standard output, progress and notes on standard
//! error.
//!
//! On a terminal long work is drawn as bars that vanish when it is done;
//! elsewhere each new step is a line. Writing never blocks the runtime, so a
//! slow reader slows the command down and nothing else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use operation::{OpError, Progress, ProgressState, Screen, Tell};
use rustix::termios::tcgetwinsize;
use tokio::io::AsyncWriteExt;

/// How often a bar that hears nothing moves, so that people see it lives.
const TICK: Duration = Duration::from_millis(120);

/// What is shown of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All of them.
    Everything,
    /// Only how far long work is; standard output belongs to the result.
    ProgressOnly,
    /// How far long work is, and each event that somebody follows as a line of JSON.
    Json,
}

/// Where output goes.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    mode: Mode,
    bars: Option<MultiProgress>,
    work: Arc<Mutex<HashMap<String, Work>>>,
    /// How many lines are drawn that the next picture takes the place of.
    drawn: Arc<Mutex<usize>>,
    /// Whether events were printed as lines of JSON.
    has_lines: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Work {
    bar: Option<ProgressBar>,
    note: String,
}

impl Terminal {
    pub(crate) fn new(mode: Mode) -> Self {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        Self { mode, bars, work: Arc::default(), drawn: Arc::default(), has_lines: Arc::default() }
    }

    /// Takes an event in: draws it if it is progress, and returns what there is
    /// to print otherwise.
    pub(crate) fn take(&self, told: &dyn Tell) -> Screen {
        let mut screen = Screen::default();
        if let Some(progress) = told.progress() {
            self.progress(&progress);
        } else if self.mode == Mode::Everything {
            // What is printed now would be taken for them when they are taken away.
            self.clear_bars();
            match told.picture().zip(size()) {
                Some((picture, size)) => screen.out = self.redrawn(&picture, size),
                None => told.present(&mut screen),
            }
        } else if self.mode == Mode::Json && told.is_followed() {
            self.has_lines.store(true, Ordering::Relaxed);
            screen.line(told.json().to_string());
        }
        screen
    }

    /// Whether events were printed as lines of JSON: the result is the last of them then.
    pub(crate) fn has_lines(&self) -> bool {
        self.has_lines.load(Ordering::Relaxed)
    }

    /// What draws a picture in the place of the one before: as much as the terminal
    /// holds, for what has scrolled away cannot be drawn over.
    fn redrawn(&self, picture: &Screen, (columns, rows): (usize, usize)) -> Vec<u8> {
        let text = [&*picture.out, &*picture.err].concat();
        let text = String::from_utf8_lossy(&text);
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut redrawn = erased(*drawn);
        *drawn = 0;
        for line in text.lines().take(rows.saturating_sub(1)) {
            redrawn.extend(line.chars().take(columns).collect::<String>().bytes());
            redrawn.push(b'\n');
            *drawn += 1;
        }
        redrawn
    }

    /// Prints a screen.
    pub(crate) async fn print(&self, screen: &Screen) -> io::Result<()> {
        if !screen.err.is_empty() {
            let mut err = tokio::io::stderr();
            err.write_all(&screen.err).await?;
            err.flush().await?;
        }
        if !screen.out.is_empty() {
            let mut out = tokio::io::stdout();
            out.write_all(&screen.out).await?;
            out.flush().await?;
        }
        Ok(())
    }

    fn progress(&self, progress: &Progress) {
        let mut all = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.state == ProgressState::Finished && !all.contains_key(&progress.task) {
            // There was nothing to do.
            return;
        }
        let work = all.entry(progress.task.clone()).or_insert_with(|| Work {
            bar: self.bars.as_ref().map(|bars| new_bar(bars, progress)),
            note: String::new(),
        });
        match &work.bar {
            Some(bar) => draw(bar, progress),
            None if work.note != progress.note => {
                let _ = writeln!(io::stderr(), "{}: {}", progress.task, progress.note);
            }
            None => {}
        }
        work.note.clone_from(&progress.note);
    }

    /// Takes bars and pictures away.
    pub(crate) fn end_progress(&self) {
        let drawn = std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner));
        if drawn > 0 {
            let mut out = io::stdout();
            let _ = out.write_all(&erased(drawn)).and_then(|()| out.flush());
        }
        self.clear_bars();
    }

    fn clear_bars(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }
}

/// What takes the last lines away.
fn erased(lines: usize) -> Vec<u8> {
    if lines == 0 { Vec::new() } else { format!("\x1b[{lines}A\x1b[J").into_bytes() }
}

/// Columns and rows of standard output, if it is a terminal that has any.
fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 1).then_some((size.ws_col.into(), size.ws_row.into()))
}

fn new_bar(bars: &MultiProgress, progress: &Progress) -> ProgressBar {
    let style = match progress.total {
        Some(_) => "{prefix:<12} {bar:28.cyan/dim} {elapsed:>4}  {msg}",
        None => "{prefix:<12} {spinner:<28} {elapsed:>4}  {msg}",
    };
    // It joins the others before it is drawn for the first time, or it would
    // leave a line of its own behind.
    let bar = bars.add(match progress.total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    });
    bar.set_style(
        ProgressStyle::with_template(style).expect("a template of our own").progress_chars("━━╌"),
    );
    bar.set_prefix(progress.task.clone());
    bar.enable_steady_tick(TICK);
    bar
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    if let Some(total) = progress.total {
        bar.set_length(total);
    }
    bar.set_position(progress.done);
    bar.set_message(progress.note.clone());
    if progress.state == ProgressState::Finished {
        bar.finish();
    }
}

/// An error with its headings in colour, where colour is wanted.
pub(crate) fn styled(error: &OpError) -> String {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    let mut text = String::new();
    for line in error.to_string().lines() {
        let (style, heading) = if line.starts_with("error:") {
            (red, "error:")
        } else if line.starts_with("hint:") {
            (cyan, "hint:")
        } else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let rest = &line[heading.len()..];
        writeln!(text, "{style}{heading}{style:#}{rest}").expect("writing to a string cannot fail");
    }
    text
}
