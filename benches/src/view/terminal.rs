//! The terminal while the view is on it: its other screen, in raw mode. It is restored however the program ends, a
//! SIGKILL apart.

use std::{
    io::{self, BufWriter, IsTerminal, Stderr, stderr},
    panic,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use ratatui::{
    Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    buffer::Buffer,
    crossterm::{
        cursor, execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::Rect,
};
use shared::shutdown;

/// Name of the thread that draws.
pub const THREAD: &str = "view";

/// Whether the terminal is in our state, so that it has to be restored.
static IS_ON: AtomicBool = AtomicBool::new(false);
/// Held while something is drawn, so that nothing is drawn after the terminal was restored.
static DRAWING: Mutex<()> = Mutex::new(());

/// The screen of the terminal that stderr is. Stdout stays free for the result.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    area: Rect,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it can't be set.
    pub fn enter() -> anyhow::Result<Self> {
        restore_on_panic_and_exit();
        let area = area();
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let backend = CrosstermBackend::new(BufWriter::new(stderr()));
        enable_raw_mode().context("the terminal can't be set to raw mode")?;
        IS_ON.store(true, Ordering::SeqCst);
        let entered = execute!(stderr(), EnterAlternateScreen, cursor::Hide);
        let terminal = entered.and_then(|()| Terminal::with_options(backend, options));
        terminal.map(|terminal| Self { terminal, area }).inspect_err(|_| restore()).context("the view can't be drawn")
    }

    /// Draws what changed since the last time, or everything when the size of the terminal changed.
    ///
    /// # Errors
    /// When the terminal went away.
    pub fn draw(&mut self, fill: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_on() {
            return Ok(());
        }
        let area = area();
        if area != self.area {
            self.area = area;
            self.terminal.resize(area)?;
        }
        self.terminal.draw(|frame| fill(frame.buffer_mut()))?;
        Ok(())
    }

    /// Draws everything again, after something else wrote to the terminal.
    pub fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// False after a panic, and when the terminal went away.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::SeqCst) && stderr().is_terminal()
}

/// Gives the terminal back as it was. Does nothing when it was given back already.
fn restore() {
    if !IS_ON.swap(false, Ordering::SeqCst) {
        return;
    }
    // The thread that draws may call this, as in a panic.
    let is_drawing_thread = std::thread::current().name() == Some(THREAD);
    let _drawing = (!is_drawing_thread).then(|| DRAWING.lock().unwrap_or_else(PoisonError::into_inner));
    // Where the terminal went away, there is nothing to restore.
    let _ = execute!(stderr(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

fn restore_on_panic_and_exit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
        shutdown::before_exit_at_once(restore);
    });
}

/// The size of the terminal. It is read before each drawing rather than after SIGWINCH: that signal goes to the
/// foreground process group, which may be a script that started this program.
fn area() -> Rect {
    match rustix::termios::tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Rect::new(0, 0, size.ws_col, size.ws_row),
        _ => Rect::new(0, 0, 80, 24),
    }
}
