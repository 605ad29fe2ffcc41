//! The terminal: taken over at the start, given back at the end, whatever the end is.
//!
//! Owns the loop. Keys, answers and time come in here; what they mean stands in `ui` and `model`. One thread asks the
//! nodes, one look at a time and only when told to, so that a slow look delays no key. The terminal is given back after a
//! key, a signal, an error and a panic.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;

use super::draw::{Screen, draw};
use super::model::Model;
use super::poll::Poller;
use super::seen::Round;
use super::theme::Theme;
use super::ui::{Key, Then, Ui};
use crate::error::CliError;
use crate::interrupt;

/// How long a key is waited for before it is seen whether an answer came. A person does not notice it.
const WAIT: Duration = Duration::from_millis(50);

/// The screen is drawn at least this often: it tells how old the figures are.
const DRAWN_EVERY: Duration = Duration::from_secs(1);

/// Held while the terminal is written to, so that whoever gives it back writes last.
static WRITING: Mutex<()> = Mutex::new(());

fn writing() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> CliError {
    move |source| CliError::System { action, source }
}

/// Whether there is a screen to draw on and somebody at its keys.
pub(super) fn is_there() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// Shows the grid until somebody ends it.
///
/// # Errors
/// When the terminal cannot be used, or the thread that asks has ended.
pub(super) fn run(poller: Poller, interval_s: u64) -> Result<(), CliError> {
    let began = poller.began();
    let model = Model::new(poller.source_words());
    let asker = Asker::start(poller)?;
    interrupt::before_end(give_back_for_good);
    let terminal = ratatui::try_init().map_err(|source| {
        // It may have been taken over in part.
        ratatui::restore();
        failed("use this terminal")(source)
    })?;
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut watch = Watch {
        terminal,
        model,
        asker,
        ui: Ui::new(interval_s),
        theme: Theme::new(colours),
        began,
    };
    let outcome = watch.run();
    let _writing = writing();
    drop(watch);
    let restored = ratatui::try_restore().map_err(failed("give this terminal back"));
    outcome.and(restored)
}

/// For the end of the process: nothing is drawn after this.
fn give_back_for_good() {
    // Kept for ever: a screen that was drawn later would stay behind.
    std::mem::forget(writing());
    // Best effort: the process ends, and there is nobody left to tell.
    let _ = ratatui::try_restore();
    let _ = execute!(io::stdout(), Show);
}

/// The thread that asks the nodes.
struct Asker {
    ask: SyncSender<()>,
    rounds: Receiver<Round>,
    /// When the last look was asked for; none while none was or while its answer is to come.
    asked_at: Option<Instant>,
    waiting: bool,
}

impl Asker {
    fn start(mut poller: Poller) -> Result<Asker, CliError> {
        // One question and one answer at a time.
        let (ask, asked) = mpsc::sync_channel(1);
        let (send, rounds) = mpsc::sync_channel(1);
        let work = move || {
            while asked.recv().is_ok() {
                if send.send(poller.round()).is_err() {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("asker".into()).spawn(work);
        spawned.map_err(failed("start a thread"))?;
        Ok(Asker {
            ask,
            rounds,
            asked_at: None,
            waiting: false,
        })
    }

    /// Asks if it is time and nothing is waited for.
    fn ask_when_due(&mut self, interval: Duration) -> Result<(), CliError> {
        if self.waiting || self.asked_at.is_some_and(|at| at.elapsed() < interval) {
            return Ok(());
        }
        self.ask.send(()).map_err(|_| ended())?;
        (self.asked_at, self.waiting) = (Some(Instant::now()), true);
        Ok(())
    }

    /// What came, if something did.
    fn answer(&mut self) -> Result<Option<Round>, CliError> {
        match self.rounds.try_recv() {
            Ok(round) => {
                self.waiting = false;
                Ok(Some(round))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }
}

fn ended() -> CliError {
    CliError::System {
        action: "go on: the part that asks the nodes has ended; please report it",
        source: io::ErrorKind::BrokenPipe.into(),
    }
}

struct Watch {
    terminal: DefaultTerminal,
    model: Model,
    asker: Asker,
    ui: Ui,
    theme: Theme,
    began: Instant,
}

impl Watch {
    fn run(&mut self) -> Result<(), CliError> {
        let mut drawn_at: Option<Instant> = None;
        let mut changed = true;
        loop {
            if !self.ui.paused {
                self.asker.ask_when_due(Duration::from_secs(self.ui.interval_s))?;
            }
            if let Some(round) = self.asker.answer()? {
                self.model.apply(round);
                changed = true;
            }
            if changed || drawn_at.is_none_or(|at| at.elapsed() >= DRAWN_EVERY) {
                self.draw()?;
                drawn_at = Some(Instant::now());
                changed = false;
            }
            // All keys that are there are done before the next drawing: a pasted text costs one.
            let mut wait = WAIT;
            while event::poll(wait).map_err(failed("read keys"))? {
                wait = Duration::ZERO;
                changed = true;
                if let Event::Key(key) = event::read().map_err(failed("read keys"))?
                    && let Some(key) = meaning(key)
                    && self.ui.press(key, self.model.view()) == Then::End
                {
                    return Ok(());
                }
            }
        }
    }

    fn draw(&mut self) -> Result<(), CliError> {
        let _writing = writing();
        let view = self.model.view();
        let screen = Screen {
            view,
            ui: &self.ui,
            theme: self.theme,
            age: self.began.elapsed().saturating_sub(view.at),
        };
        let drawn = self.terminal.draw(|frame| draw(frame, &screen));
        drawn.map(drop).map_err(failed("draw on this terminal"))
    }
}

/// What a key means here, if anything.
fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Key::End);
    }
    match key.code {
        KeyCode::Char(letter) => Some(Key::Char(letter)),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Home => Some(Key::First),
        KeyCode::End => Some(Key::Last),
        KeyCode::Esc => Some(Key::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let plain = |code| meaning(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Some(Key::Char('q')));
        assert_eq!(plain(KeyCode::Esc), Some(Key::End));
        assert_eq!(plain(KeyCode::End), Some(Key::Last));
        assert_eq!(plain(KeyCode::F(1)), None);
        let control = |letter| meaning(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
        assert_eq!((control('c'), control('q')), (Some(Key::End), None));
        let capital = meaning(KeyEvent::new(KeyCode::Char('S'), KeyModifiers::SHIFT));
        assert_eq!(capital, Some(Key::Char('S')));
        let released = KeyEvent::new_with_kind(KeyCode::Esc, KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(meaning(released), None);
    }
}
