//! How things look: the sixteen colours of the terminal, or none.
//!
//! Owns that everything can be read on light and on dark backgrounds: text has the terminal's own colour, and what must
//! stand out brings its own background. Without colours (`NO_COLOR`) it is bold, underlined or reversed instead.

use ratatui::style::{Color, Modifier, Style};

use super::alarms::Severity;
use super::row::{Row, State};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    colours: bool,
}

impl Theme {
    pub(super) fn new(colours: bool) -> Theme {
        Theme { colours }
    }

    /// What is well.
    pub(super) fn good(self) -> Style {
        self.badge(Color::Black, Color::Green)
    }

    /// What needs a look today.
    pub(super) fn warning(self) -> Style {
        self.badge(Color::Black, Color::Yellow)
    }

    /// What needs a hand now.
    pub(super) fn critical(self) -> Style {
        self.badge(Color::White, Color::Red)
    }

    fn info(self) -> Style {
        self.badge(Color::Black, Color::Cyan)
    }

    fn badge(self, text: Color, ground: Color) -> Style {
        if self.colours {
            Style::new().fg(text).bg(ground).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)
        }
    }

    /// Of an alarm.
    pub(super) fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.critical(),
            Severity::Warning => self.warning(),
            Severity::Info => self.info(),
        }
    }

    /// Of a node's state; none for what needs no eye.
    pub(super) fn state(self, row: &Row) -> Style {
        match row.state {
            State::Gone => self.critical(),
            State::NotReady => self.warning(),
            State::Up if row.slow => self.warning(),
            State::Up | State::Unknown => Style::new(),
        }
    }

    /// Names of figures, frames, what can be read over.
    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Figures, headings.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The letter of a heading that is its key.
    pub(super) fn key(self) -> Style {
        self.strong().add_modifier(Modifier::UNDERLINED)
    }

    /// The selected row.
    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Curves and bars.
    pub(super) fn curve(self, colour: Color) -> Style {
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }
}
