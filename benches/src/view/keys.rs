//! Keys of the view. In raw mode the terminal sends no signal for Ctrl-C.
//!
//! They are read here and not by crossterm, whose reader never returns when the terminal goes away while it waits.

use std::{
    fs::File,
    io::{self, Stdin},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio_util::sync::CancellationToken;

const CTRL_C: u8 = 3;
const CTRL_L: u8 = 12;
/// A key that is held down is repeated, at first after up to some 0.7 s. A second press before this counts as the first.
const REPEATED: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Stop,
    Redraw,
}

/// The terminal that keys come from: stdin, or the controlling terminal where stdin is something else.
pub enum Keyboard {
    Stdin(Stdin),
    Terminal(File),
}

impl Keyboard {
    /// # Errors
    /// When stdin is no terminal and there is no controlling one.
    pub fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if io::IsTerminal::is_terminal(&stdin) {
            Ok(Self::Stdin(stdin))
        } else {
            File::open("/dev/tty").map(Self::Terminal)
        }
    }

    /// Waits for a key. `None` when there was none in time, or one without a function.
    ///
    /// # Errors
    /// When the terminal went away.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Option<Key>> {
        let mut ready = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            result => result?,
        };
        let mut bytes = [0; 64];
        // Not through `Stdin`, which has a buffer.
        match rustix::io::read(self.fd(), &mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => Ok(key(&bytes[..length])),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdin(stdin) => stdin.as_fd(),
            Self::Terminal(file) => file.as_fd(),
        }
    }
}

/// What was typed at once is one key, maybe repeated. Text that was pasted, and the several bytes of a key such as an
/// arrow, have no function.
fn key(bytes: &[u8]) -> Option<Key> {
    let (first, others) = bytes.split_first()?;
    let is_one_key = others.iter().all(|byte| byte == first);
    match first {
        b'q' | b'Q' | &CTRL_C if is_one_key => Some(Key::Stop),
        &CTRL_L if is_one_key => Some(Key::Redraw),
        _ => None,
    }
}

/// What the stop key does: the first one stops the run as SIGTERM does, a second one exits at once.
#[derive(Debug, Default)]
pub struct StopKey {
    first: Option<Instant>,
}

impl StopKey {
    /// Returns whether to exit at once.
    pub fn pressed(&mut self, stop: &CancellationToken, now: Instant) -> bool {
        let was_stopping = stop.is_cancelled();
        let first = *self.first.get_or_insert(now);
        if !was_stopping {
            stop.cancel();
            tracing::info!("stopping; a second key exits at once");
        }
        was_stopping && (first == now || now - first >= REPEATED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_ctrl_c_stop_and_pasted_text_and_other_keys_do_not() {
        let stopping: [&[u8]; 4] = [b"q", b"Q", &[CTRL_C], b"qqq"];
        assert!(stopping.iter().all(|bytes| key(bytes) == Some(Key::Stop)));
        assert_eq!(key(&[CTRL_L]), Some(Key::Redraw));
        let others: [&[u8]; 5] = [b"", b"x", b"quit", b"\x1b[Aq", b"aq"];
        assert!(others.iter().all(|bytes| key(bytes).is_none()));
    }

    #[test]
    fn the_first_stop_key_stops_and_the_second_exits_unless_the_first_is_held_down() {
        let (stop, start) = (CancellationToken::new(), Instant::now());
        let mut key = StopKey::default();
        assert!(!key.pressed(&stop, start) && stop.is_cancelled());
        assert!(!key.pressed(&stop, start + Duration::from_millis(700)));
        assert!(key.pressed(&stop, start + REPEATED));
    }

    #[test]
    fn the_first_stop_key_after_a_signal_exits_at_once() {
        let stop = CancellationToken::new();
        stop.cancel();
        assert!(StopKey::default().pressed(&stop, Instant::now()));
    }
}
