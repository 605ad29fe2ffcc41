//! What the keys do: the state of the screen that is no figure.
//!
//! Owns selection, order, pause and interval. Pure: a key and the view go in, and out comes whether to go on.

use super::columns::{Column, order};
use super::model::View;

/// The seconds between two looks that `+` and `-` choose from.
const INTERVALS_S: [u64; 7] = [1, 2, 5, 10, 20, 30, 60];

/// Rows that a page key moves by.
const PAGE: usize = 10;

/// A key, as far as it means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// Escape, or Ctrl-C.
    End,
}

/// What to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    End,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Ui {
    pub(super) by: Column,
    pub(super) reverse: bool,
    /// The name of the selected node: it stays selected wherever it moves.
    pub(super) selected: Option<String>,
    pub(super) paused: bool,
    pub(super) interval_s: u64,
    /// Whether the line of keys is the long one.
    pub(super) help: bool,
}

impl Ui {
    /// By name, nothing selected.
    pub(super) fn new(interval_s: u64) -> Ui {
        Ui {
            by: Column::Name,
            reverse: false,
            selected: None,
            paused: false,
            interval_s,
            help: false,
        }
    }

    /// The rows in the order in which they stand.
    pub(super) fn order(&self, view: &View) -> Vec<usize> {
        order(&view.rows, self.by, self.reverse)
    }

    /// Where in that order the selected node stands.
    pub(super) fn position(&self, view: &View, order: &[usize]) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        order
            .iter()
            .position(|index| view.rows[*index].node.name == selected)
    }

    /// Does what the key says.
    pub(super) fn press(&mut self, key: Key, view: &View) -> Then {
        match key {
            Key::End | Key::Char('q') => return Then::End,
            Key::Up | Key::Char('k') => self.select(view, |at| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(view, |at| at + 1),
            Key::PageUp => self.select(view, |at| at.saturating_sub(PAGE)),
            Key::PageDown => self.select(view, |at| at + PAGE),
            Key::First => self.selected = name_at(view, &self.order(view), 0),
            Key::Last => self.selected = name_at(view, &self.order(view), view.rows.len()),
            Key::Char('s') => (self.by, self.reverse) = (self.by.next(), false),
            Key::Char('S') => self.reverse = !self.reverse,
            Key::Char('p') => self.paused = !self.paused,
            Key::Char('+' | '=') => self.slower(),
            Key::Char('-') => self.faster(),
            Key::Char('?') => self.help = !self.help,
            Key::Char(other) => self.sort(other),
        }
        Then::GoOn
    }

    /// Moves the selection; without one, any key selects the first row.
    fn select(&mut self, view: &View, to: impl Fn(usize) -> usize) {
        let order = self.order(view);
        let at = self.position(view, &order).map_or(0, to);
        self.selected = name_at(view, &order, at);
    }

    /// By the column of this key; once more, the other way round.
    fn sort(&mut self, key: char) {
        if let Some(column) = Column::ALL.into_iter().find(|column| column.key() == key) {
            self.reverse = self.by == column && !self.reverse;
            self.by = column;
        }
    }

    fn slower(&mut self) {
        let next = INTERVALS_S.into_iter().find(|seconds| *seconds > self.interval_s);
        self.interval_s = next.unwrap_or(self.interval_s);
    }

    fn faster(&mut self) {
        let next = INTERVALS_S
            .into_iter()
            .rev()
            .find(|seconds| *seconds < self.interval_s);
        self.interval_s = next.unwrap_or(self.interval_s);
    }
}

/// The name of the node at a place of the order, or of the last one.
fn name_at(view: &View, order: &[usize], at: usize) -> Option<String> {
    let index = order.get(at).or(order.last())?;
    Some(view.rows[*index].node.name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cluster, view};
    use super::*;

    fn pressed(keys: &[Key]) -> Ui {
        let view = view(&cluster(&[]));
        let mut ui = Ui::new(2);
        for key in keys {
            assert_eq!(ui.press(*key, &view), Then::GoOn, "{key:?}");
        }
        ui
    }

    fn selected(keys: &[Key]) -> String {
        pressed(keys).selected.unwrap_or_default()
    }

    #[test]
    fn arrows_select() {
        assert_eq!(selected(&[]), "");
        assert_eq!(selected(&[Key::Down]), "gateway");
        assert_eq!(selected(&[Key::Down, Key::Char('j')]), "introducer");
        assert_eq!(selected(&[Key::Down, Key::Up, Key::Up]), "gateway");
        assert_eq!(selected(&[Key::Up]), "gateway");
        assert_eq!(selected(&[Key::Last]), "storage-10");
        assert_eq!(selected(&[Key::Down, Key::PageDown]), "storage-09");
        assert_eq!(selected(&[Key::Last, Key::Down, Key::PageDown]), "storage-10");
        assert_eq!(selected(&[Key::Last, Key::First]), "gateway");
    }

    #[test]
    fn the_selected_node_stays_selected() {
        let ui = pressed(&[Key::Last, Key::Char('l')]);
        let view = view(&cluster(&[]));
        let order = ui.order(&view);
        assert_eq!(view.rows[order[0]].node.name, "storage-07", "the slow one");
        let at = ui.position(&view, &order).unwrap();
        assert_eq!(view.rows[order[at]].node.name, "storage-10");
    }

    #[test]
    fn nothing_can_be_selected_of_nothing() {
        let mut ui = Ui::new(2);
        ui.press(Key::Down, &view(&[]));
        assert_eq!(ui.selected, None);
    }

    #[test]
    fn keys_sort() {
        assert_eq!(pressed(&[Key::Char('c')]).by, Column::Cpu);
        assert!(pressed(&[Key::Char('c'), Key::Char('c')]).reverse);
        assert!(!pressed(&[Key::Char('c'), Key::Char('c'), Key::Char('m')]).reverse);
        assert_eq!(pressed(&[Key::Char('s'), Key::Char('s')]).by, Column::State);
        assert!(pressed(&[Key::Char('S')]).reverse);
        assert_eq!(pressed(&[Key::Char('x')]).by, Column::Name);
    }

    #[test]
    fn no_key_of_a_column_does_something_else() {
        let others = "qkjsSp+=-?";
        assert!(Column::ALL.iter().all(|column| !others.contains(column.key())));
    }

    #[test]
    fn the_interval_is_bounded() {
        assert_eq!(pressed(&[Key::Char('+')]).interval_s, 5);
        assert_eq!(pressed(&[Key::Char('-'); 9]).interval_s, 1);
        assert_eq!(pressed(&[Key::Char('+'); 9]).interval_s, 60);
    }

    #[test]
    fn pause_help_and_the_end() {
        assert!(pressed(&[Key::Char('p')]).paused);
        assert!(!pressed(&[Key::Char('p'), Key::Char('p')]).paused);
        assert!(pressed(&[Key::Char('?')]).help);
        let view = view(&[]);
        assert_eq!(Ui::new(2).press(Key::Char('q'), &view), Then::End);
        assert_eq!(Ui::new(2).press(Key::End, &view), Then::End);
    }
}
