//! A command's terminal: a pair of which the agent holds the master.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use guest_protocol::message::TerminalSize;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};

/// The agent's end.
#[derive(Debug, Clone)]
pub(crate) struct Terminal(Rc<OwnedFd>);

impl Terminal {
    /// A new terminal, and the end that the command gets.
    pub(crate) fn open(size: TerminalSize) -> io::Result<(Self, OwnedFd)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::openat(CWD, name, flags, Mode::empty())?;
        let terminal = Self(Rc::new(master));
        terminal.resize(size)?;
        Ok((terminal, slave))
    }

    /// Another descriptor of the agent's end.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Tells the programs on it its size.
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.0, size)?)
    }

    /// Leader of the job that a key press would reach.
    pub(crate) fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(&self.0).ok()
    }
}
