//! The table of nodes, and the line about the one that is selected.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Flex, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, HighlightSpacing, Row as Cells, Table, TableState};

use super::super::columns::{Column, fitting};
use super::super::row::{Row, State};
use super::super::text::{count, span};
use super::super::theme::Theme;
use super::{Screen, block, cut};

/// Cells between two columns.
const GAP: u16 = 1;

/// What stands before the selected row, and its cells.
const MARK: &str = "▸ ";
const MARK_WIDTH: u16 = 2;

/// Longest name in the table, in cells; the line about the selected node has all of it.
const NAME_WIDTH_MAX: u16 = 24;

/// The table.
pub(super) fn nodes(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let (view, ui, theme) = (screen.view, screen.ui, screen.theme);
    let name_width = view
        .rows
        .iter()
        .map(|row| Span::raw(row.node.name.as_str()).width())
        .max();
    let name_width = u16::try_from(name_width.unwrap_or_default())
        .unwrap_or(u16::MAX)
        .min(NAME_WIDTH_MAX);
    let block = block(title(screen), theme);
    // A cell at the right stays free; at the left stands the mark of the selection.
    let inner = block.inner(area);
    let inner = Rect {
        width: inner.width.saturating_sub(1),
        ..inner
    };
    frame.render_widget(block, area);
    let columns = fitting(inner.width.saturating_sub(MARK_WIDTH), name_width, GAP);
    let order = ui.order(view);
    let headings = columns.iter().map(|column| heading(*column, screen));
    let widths: Vec<Constraint> = columns
        .iter()
        .map(|column| Constraint::Length(column.width(name_width)))
        .collect();
    let rows = order
        .iter()
        .map(|index| cells(&view.rows[*index], &columns, name_width, theme));
    let table = Table::new(rows, widths)
        .header(Cells::new(headings))
        .column_spacing(GAP)
        .flex(Flex::SpaceBetween)
        .row_highlight_style(theme.selected())
        .highlight_spacing(HighlightSpacing::Always)
        .highlight_symbol(MARK);
    let mut state = TableState::new().with_selected(ui.position(view, &order));
    frame.render_stateful_widget(table, inner, &mut state);
}

fn title<'a>(screen: &Screen<'_>) -> Line<'a> {
    let (rows, ui, theme) = (&screen.view.rows, screen.ui, screen.theme);
    let direction = if ui.reverse { ", reversed" } else { "" };
    let mut title = vec![
        Span::styled(" Nodes ", theme.strong()),
        Span::styled(
            format!("{}, by {}{direction} ", rows.len(), ui.by.heading()),
            theme.quiet(),
        ),
    ];
    let gone = rows.iter().filter(|row| row.state == State::Gone).count();
    if gone > 0 {
        title.push(Span::styled(
            format!(" {} gone ", count(gone, "node")),
            theme.critical(),
        ));
        title.push(Span::raw(" "));
    }
    Line::from(title)
}

/// A heading: its key underlined, the column that gives the order marked.
fn heading<'a>(column: Column, screen: &Screen<'_>) -> Cell<'a> {
    let theme = screen.theme;
    let sorted = screen.ui.by == column;
    let plain = if sorted {
        theme.selected().patch(theme.strong())
    } else {
        theme.strong()
    };
    let mut found = false;
    let letters = column.heading().chars().map(|letter| {
        let is_key = !found && letter.to_ascii_lowercase() == column.key();
        found |= is_key;
        Span::styled(
            letter.to_string(),
            if is_key { plain.patch(theme.key()) } else { plain },
        )
    });
    Cell::from(Text::from(Line::from(letters.collect::<Vec<Span<'a>>>())).alignment(alignment(column)))
}

fn alignment(column: Column) -> Alignment {
    if column.is_words() {
        Alignment::Left
    } else {
        Alignment::Right
    }
}

fn cells<'a>(row: &Row, columns: &[Column], name_width: u16, theme: Theme) -> Cells<'a> {
    let cell = |column: &Column| {
        let mut text = column.text(row);
        if *column == Column::Name {
            text = cut(&text, name_width);
        }
        let style = match column {
            Column::State => theme.state(row),
            Column::Latency | Column::P99 if row.slow => theme.warning(),
            Column::Name => theme.strong(),
            _ => Style::new(),
        };
        Cell::from(Text::from(Line::from(Span::styled(text, style))).alignment(alignment(*column)))
    };
    let cells = Cells::new(columns.iter().map(cell).collect::<Vec<_>>());
    if row.state == State::Gone {
        cells.style(theme.quiet())
    } else {
        cells
    }
}

/// What the table has no column for, of the node that is selected.
pub(super) fn detail(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let Some(selected) = screen.ui.selected.as_deref() else {
        return;
    };
    let Some(row) = screen.view.rows.iter().find(|row| row.node.name == selected) else {
        return;
    };
    let mut parts = vec![row.node.roles.clone(), row.node.address.clone()];
    if !row.node.zone.is_empty() && row.node.zone != "none" {
        parts.push(format!("zone {}", row.node.zone));
    }
    parts.push(row.version.clone());
    if let Some(uptime) = row.uptime_s {
        parts.push(format!(
            "up for {}",
            span(Duration::from_secs_f64(uptime.clamp(0.0, 1e12)))
        ));
    }
    parts.extend(row.reason.clone());
    parts.retain(|part| !part.is_empty());
    let line = Line::from(vec![
        Span::styled(format!(" {} ", row.node.name), screen.theme.strong()),
        Span::raw(parts.join(" · ")),
    ]);
    frame.render_widget(line, area);
}
