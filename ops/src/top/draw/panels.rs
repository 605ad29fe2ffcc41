//! The panels above the table: the grid, what to do, and the curves.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Color;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};

use super::super::alarms::{Alarm, Severity};
use super::super::grid::{Flow, Ready};
use super::super::model::Point;
use super::super::text::{bytes, count, span};
use super::super::words;
use super::{Screen, block, cut, rows_of};

/// Cells of the labels in the panel of the grid.
const LABEL_WIDTH: usize = 7;

/// Cells before the words of an alarm, with its badge.
const MARK_WIDTH: u16 = 8;

/// Cells of the bar that shows how full the grid is.
const BAR_WIDTH: usize = 10;

/// The grid in figures.
pub(super) fn facts(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let (view, theme) = (screen.view, screen.theme);
    let style = match view.grid.ready {
        Ready::Yes => theme.good(),
        Ready::No(_) => theme.critical(),
        Ready::NoGateway => theme.warning(),
    };
    let label = |label: &str| Span::styled(format!(" {label:<LABEL_WIDTH$} "), theme.quiet());
    let mut lines = vec![Line::from(vec![
        Span::styled(format!(" {:<LABEL_WIDTH$}", "grid"), theme.quiet()),
        Span::styled(format!(" {} ", words::ready(&view.grid)), style),
    ])];
    // Frame, label, and the cells around it.
    let width = area.width.saturating_sub(LABEL_WIDTH as u16 + 4);
    let spare = view.grid.spare().unwrap_or(i64::MAX);
    for (name, words) in words::facts(view) {
        let words = cut(&words, width);
        let used = Span::raw(words.as_str()).width() + BAR_WIDTH + 2;
        let mut line = vec![label(name)];
        line.push(match name {
            "safety" if spare < 1 => Span::styled(words, theme.critical()),
            "safety" if spare < 2 && view.grid.storage > 4 => Span::styled(words, theme.warning()),
            "nodes" if view.grid.nodes_up < view.grid.nodes => Span::styled(words, theme.strong()),
            _ => Span::raw(words),
        });
        if name == "space"
            && used <= usize::from(width)
            && let Some(part) = view.grid.filled()
        {
            line.push(Span::styled(format!("  {}", bar(part)), theme.curve(Color::Cyan)));
        }
        lines.push(Line::from(line));
    }
    let title = Line::from(Span::styled(" Grid ", theme.strong()));
    frame.render_widget(Paragraph::new(lines).block(block(title, theme)), area);
}

/// A bar that is filled to this part.
fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * BAR_WIDTH as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR_WIDTH - full))
}

/// What to do now.
pub(super) fn alarms(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let (alarms, theme) = (&screen.view.alarms, screen.theme);
    let urgent = alarms
        .iter()
        .filter(|alarm| alarm.severity != Severity::Info)
        .count();
    let mut title = vec![Span::styled(" What should I do now? ", theme.strong())];
    if urgent > 0 {
        let worst = alarms.first().map_or(Severity::Info, |alarm| alarm.severity);
        title.push(Span::styled(
            format!(" {} ", count(urgent, "alarm")),
            theme.severity(worst),
        ));
        title.push(Span::raw(" "));
    }
    let block = block(Line::from(title), theme);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if alarms.is_empty() {
        frame.render_widget(
            Line::from(Span::styled(" Nothing: all is well.", theme.quiet())),
            inner,
        );
        return;
    }
    let words_width = inner.width.saturating_sub(MARK_WIDTH);
    let full = with_advice(alarms, words_width, inner.height);
    let mut rest = inner;
    for (index, alarm) in alarms.iter().enumerate() {
        let advice = if index < full { alarm.advice.as_str() } else { "" };
        let needed = lines_of(&alarm.what, advice, words_width);
        // The last line is kept for how many more there are, unless this is the last.
        let is_last = index + 1 == alarms.len();
        let free = rest.height.saturating_sub(u16::from(!is_last));
        if free == 0 || (needed > free && index > 0) {
            let more = Span::styled(format!("and {} more", alarms.len() - index), theme.quiet());
            frame.render_widget(
                Line::from(vec![Span::raw(" ".repeat(usize::from(MARK_WIDTH))), more]),
                rest,
            );
            return;
        }
        let height = needed.min(free);
        let [mark, words] = Layout::horizontal([Constraint::Length(MARK_WIDTH), Constraint::Fill(1)])
            .areas(Rect { height, ..rest });
        let badge = Span::styled(when(alarm.severity), theme.severity(alarm.severity));
        frame.render_widget(Line::from(vec![Span::raw(" "), badge]), mark);
        let mut text = vec![Span::styled(alarm.what.as_str(), theme.strong())];
        if !advice.is_empty() {
            text.extend([Span::raw(": "), Span::raw(advice)]);
        }
        frame.render_widget(Paragraph::new(Line::from(text)).wrap(Wrap { trim: true }), words);
        rest.y += height;
        rest.height -= height;
    }
}

/// How many of the alarms, the most urgent first, can have their advice so that all still fit.
fn with_advice(alarms: &[Alarm], width: u16, height: u16) -> usize {
    let lines = |full: usize| -> usize {
        let advice = |index: usize| {
            if index < full {
                alarms[index].advice.as_str()
            } else {
                ""
            }
        };
        let all = alarms.iter().enumerate();
        all.map(|(index, alarm)| usize::from(lines_of(&alarm.what, advice(index), width)))
            .sum()
    };
    (0..=alarms.len())
        .rev()
        .find(|full| lines(*full) <= usize::from(height))
        .unwrap_or(0)
}

/// When something is to be done, for those who see no colours too.
fn when(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => " now  ",
        Severity::Warning => " soon ",
        Severity::Info => " info ",
    }
}

/// Rows that the words of an alarm take in so many cells.
fn lines_of(what: &str, advice: &str, width: u16) -> u16 {
    if advice.is_empty() {
        rows_of(what, width)
    } else {
        rows_of(&format!("{what}: {advice}"), width)
    }
}

/// A curve of the last minutes and what belongs to it.
struct Curve<'a> {
    name: &'static str,
    colour: Color,
    flow: &'a Flow,
    rest: Vec<String>,
    of: fn(&Point) -> f64,
}

/// Uploads over the last minutes.
pub(super) fn uploads(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let flow = &screen.view.rates.uploads;
    let curve = Curve {
        name: "Uploads",
        colour: Color::Blue,
        flow,
        rest: words::flow(flow),
        of: |point| point.uploads,
    };
    curve.draw(frame, area, screen);
}

/// Downloads over the last minutes.
pub(super) fn downloads(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let flow = &screen.view.rates.downloads;
    let mut rest = words::flow(flow);
    rest.push(words::hedges(screen.view));
    let curve = Curve {
        name: "Downloads",
        colour: Color::Magenta,
        flow,
        rest,
        of: |point| point.downloads,
    };
    curve.draw(frame, area, screen);
}

impl Curve<'_> {
    fn draw(&self, frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
        let (points, theme) = (&screen.view.points, screen.theme);
        let width = usize::from(area.width.saturating_sub(2));
        let shown: Vec<&Point> = points.iter().skip(points.len().saturating_sub(width)).collect();
        let highest = shown.iter().map(|point| (self.of)(point)).fold(0.0, f64::max);
        let title = Line::styled(
            format!(" {} {} ", self.name, words::speed(self.flow)),
            theme.strong(),
        );
        let title_width = title.width();
        let mut block = block(title, theme);
        if let Some(first) = shown.first().filter(|_| highest > 0.0) {
            let time = span(screen.view.at.saturating_sub(first.at));
            let text = format!(" highest {}/s in {time} ", bytes(highest));
            let text = Line::styled(text, theme.quiet());
            if title_width + text.width() <= width {
                block = block.title(text.right_aligned());
            }
        }
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let [bars, words] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(inner);
        // The newest at the right edge, also while there are few.
        let missing = width.saturating_sub(shown.len());
        let values = shown.iter().map(|point| Some((self.of)(point).round() as u64));
        let data: Vec<Option<u64>> = std::iter::repeat_n(None, missing).chain(values).collect();
        let line = Sparkline::default()
            .data(data)
            .max((highest as u64).max(1))
            .style(theme.curve(self.colour))
            .absent_value_symbol(" ");
        frame.render_widget(line, bars);
        frame.render_widget(Line::from(format!(" {}", self.rest.join(" · "))), words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill() {
        assert_eq!(bar(0.0), "░".repeat(BAR_WIDTH));
        assert_eq!(bar(0.5), format!("{}{}", "█".repeat(5), "░".repeat(5)));
        assert_eq!(bar(7.0), "█".repeat(BAR_WIDTH));
    }

    #[test]
    fn the_most_urgent_keep_their_advice() {
        let alarm = Alarm {
            severity: Severity::Warning,
            what: "what".to_owned(),
            advice: "do this and that".to_owned(),
            heading: None,
        };
        let alarms = vec![alarm; 3];
        assert_eq!(with_advice(&alarms, 10, 9), 3);
        assert_eq!(with_advice(&alarms, 10, 6), 1);
        assert_eq!(with_advice(&alarms, 10, 1), 0);
    }
}
