//! The screen: panels, and how much room each gets.
//!
//! Owns the layout. Draws what the view and the keys' state say, and changes neither. What does not fit is left out from
//! the least important on; below [`WIDTH_MIN`] by [`HEIGHT_MIN`] it says so instead.

mod panels;
mod table;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Wrap};

use super::model::View;
use super::text::span;
use super::theme::Theme;
use super::ui::Ui;

/// Narrower than this, not even name, state and time of a node stand side by side with its alarms.
const WIDTH_MIN: u16 = 60;

/// Lower than this, there is no room for a table.
const HEIGHT_MIN: u16 = 14;

/// Rows of the panel of the grid: one for each fact, the state, and its frame.
const GRID_ROWS: u16 = 11;

/// Fewer rows than this of the grid's panel say too little.
const GRID_ROWS_MIN: u16 = 5;

/// Rows of the curves' panels: a curve of three, a line, the frame.
const RATES_ROWS: u16 = 6;

/// The most of them, when the table has rows to spare.
const RATES_ROWS_MAX: u16 = 10;

/// The least of them: a curve of one.
const RATES_ROWS_MIN: u16 = 4;

/// Rows around those of the nodes: frame and headings.
const TABLE_ROWS: u16 = 3;

/// Rows of nodes that the table gets before the other panels get all that they want.
const NODES_ROWS_MIN: u16 = 5;

/// What a screen shows.
pub(super) struct Screen<'a> {
    pub(super) view: &'a View,
    pub(super) ui: &'a Ui,
    pub(super) theme: Theme,
    /// How long ago the last look ended.
    pub(super) age: Duration,
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen<'_>) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let text = format!(
            "This terminal is too small: {} by {}, and {WIDTH_MIN} by {HEIGHT_MIN} are needed. Make it larger, or press q.",
            area.width, area.height
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let foot_rows = rows_of(keys(screen.ui), inside(area).width);
    let rows = Rows::of(
        (area.height + 1).saturating_sub(foot_rows),
        screen.view.rows.len(),
    );
    let [head, grid, rates, nodes, detail, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows.grid),
        Constraint::Length(rows.rates),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(foot_rows),
    ])
    .areas(area);
    header(frame, head, screen);
    let [facts, alarms] = Layout::horizontal([Constraint::Percentage(50), Constraint::Fill(1)]).areas(grid);
    panels::facts(frame, facts, screen);
    panels::alarms(frame, alarms, screen);
    if rows.rates > 0 {
        let [up, down] = Layout::horizontal([Constraint::Percentage(50), Constraint::Fill(1)]).areas(rates);
        panels::uploads(frame, up, screen);
        panels::downloads(frame, down, screen);
    }
    table::nodes(frame, nodes, screen);
    table::detail(frame, detail, screen);
    footer(frame, foot, screen);
}

/// How many rows the panels above the table get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    grid: u16,
    rates: u16,
}

impl Rows {
    /// For a screen of this height and so many nodes. The table gets what is left.
    fn of(height: u16, nodes: usize) -> Rows {
        let body = height.saturating_sub(3);
        let nodes = u16::try_from(nodes).unwrap_or(u16::MAX).max(1);
        let few = TABLE_ROWS + nodes.min(NODES_ROWS_MIN);
        let free = body.saturating_sub(few);
        let grid = free.clamp(GRID_ROWS_MIN, GRID_ROWS);
        let rest = free.saturating_sub(grid);
        let spare = body.saturating_sub(GRID_ROWS + TABLE_ROWS).saturating_sub(nodes);
        let rates = if rest < RATES_ROWS_MIN {
            0
        } else {
            rest.min(spare.clamp(RATES_ROWS, RATES_ROWS_MAX))
        };
        // A middling screen rather shows curves than the last facts.
        if rates == 0 && free >= GRID_ROWS_MIN + 2 + RATES_ROWS_MIN {
            return Rows {
                grid: free - RATES_ROWS_MIN,
                rates: RATES_ROWS_MIN,
            };
        }
        Rows { grid, rates }
    }
}

/// A frame with a title.
fn block<'a>(title: impl Into<Line<'a>>, theme: Theme) -> Block<'a> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.quiet())
        .title(title)
}

fn header(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let (ui, theme) = (screen.ui, screen.theme);
    let left = Line::from(vec![
        Span::styled(" truckee top ", theme.strong()),
        Span::styled(screen.view.source.as_str(), theme.quiet()),
    ]);
    let asked = format!("every {} s, asked {} ago ", ui.interval_s, span(screen.age));
    let right = if ui.paused {
        Line::from(vec![
            Span::styled(" paused ", theme.warning()),
            Span::raw(format!(" {asked}")),
        ])
    } else {
        Line::from(Span::styled(asked, theme.quiet()))
    };
    let width = u16::try_from(right.width()).unwrap_or(area.width);
    let [one, other] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).areas(area);
    frame.render_widget(left, one);
    frame.render_widget(right.right_aligned(), other);
}

/// The keys, short or long.
fn keys(ui: &Ui) -> &'static str {
    if ui.help {
        "q, Esc, Ctrl-C: end   ↑ ↓ k j PgUp PgDn Home End: select a node   s: sort by the next column   \
         S: the other way round   underlined letter: sort by that column   p: pause   \
         + -: look less or more often   ?: less"
    } else {
        "q end   ↑ ↓ select   s S sort   p pause   + - interval   ? more"
    }
}

fn footer(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let line = Line::styled(keys(screen.ui), screen.theme.quiet());
    frame.render_widget(Paragraph::new(line).wrap(Wrap { trim: true }), inside(area));
}

/// Without the outermost cells, so that a line begins below those in frames.
fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    }
}

/// Rows that a text takes in so many cells, broken at spaces as paragraphs are.
fn rows_of(text: &str, width: u16) -> u16 {
    let width = usize::from(width.max(1));
    let (mut rows, mut used) = (1, 0);
    for word in text.split(' ') {
        let cells = Span::raw(word).width();
        let with_space = if used == 0 { cells } else { used + 1 + cells };
        if with_space <= width {
            used = with_space;
            continue;
        }
        rows += usize::from(used > 0);
        // A word that is longer than a row is broken within.
        rows += cells.saturating_sub(1) / width;
        used = cells.saturating_sub(1) % width + 1;
    }
    u16::try_from(rows).unwrap_or(u16::MAX)
}

/// At most so many cells of a text, its end marked if it was cut.
fn cut(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if Span::raw(kept.as_str()).width() + 1 > width {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

#[cfg(test)]
mod tests;
