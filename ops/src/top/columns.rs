//! The columns of the table of nodes: their headings and keys, their text, and the order that each gives.
//!
//! Owns which columns go first when the terminal is narrow.

use std::cmp::Ordering;

use super::row::{Row, State};
use super::text::{NONE, bytes, per_second, percent, seconds};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Role,
    State,
    Cpu,
    Memory,
    Shares,
    Used,
    Free,
    In,
    Out,
    Requests,
    Latency,
    P99,
    Trip,
    Lag,
}

/// What is fixed of a column.
struct About {
    heading: &'static str,
    key: char,
    /// Cells that it takes, its heading included.
    width: u16,
    /// The larger, the longer it stays when there is little room.
    weight: u8,
}

impl Column {
    /// From left to right.
    pub(super) const ALL: [Column; 15] = [
        Column::Name,
        Column::Role,
        Column::State,
        Column::Cpu,
        Column::Memory,
        Column::Shares,
        Column::Used,
        Column::Free,
        Column::In,
        Column::Out,
        Column::Requests,
        Column::Latency,
        Column::P99,
        Column::Trip,
        Column::Lag,
    ];

    fn about(self) -> About {
        let (heading, key, width, weight) = match self {
            Column::Name => ("NAME", 'n', 8, 15),
            Column::Role => ("ROLE", 'e', 10, 6),
            Column::State => ("STATE", 'a', 9, 14),
            Column::Cpu => ("CPU", 'c', 5, 12),
            Column::Memory => ("MEMORY", 'm', 8, 7),
            Column::Shares => ("SHARES", 'h', 7, 3),
            Column::Used => ("USED", 'u', 8, 9),
            Column::Free => ("FREE", 'f', 8, 8),
            Column::In => ("IN/S", 'i', 8, 11),
            Column::Out => ("OUT/S", 'o', 8, 10),
            Column::Requests => ("REQ/S", 'r', 5, 5),
            Column::Latency => ("LATENCY", 'l', 7, 13),
            Column::P99 => ("P99", '9', 7, 1),
            Column::Trip => ("TRIP", 't', 7, 2),
            Column::Lag => ("LAG", 'g', 7, 4),
        };
        About {
            heading,
            key,
            width,
            weight,
        }
    }

    pub(super) fn heading(self) -> &'static str {
        self.about().heading
    }

    /// The key that sorts by it; a letter of its heading.
    pub(super) fn key(self) -> char {
        self.about().key
    }

    /// Cells that it takes if the longest name takes `name_width`.
    pub(super) fn width(self, name_width: u16) -> u16 {
        let own = self.about().width;
        if self == Column::Name {
            own.max(name_width)
        } else {
            own
        }
    }

    /// Whether it holds words, which begin at the left and are sorted from A to Z.
    pub(super) fn is_words(self) -> bool {
        matches!(self, Column::Name | Column::Role | Column::State)
    }

    /// The next one to the right, and after the last the first.
    pub(super) fn next(self) -> Column {
        let at = Column::ALL.iter().position(|column| *column == self);
        Column::ALL[at.map_or(0, |at| (at + 1) % Column::ALL.len())]
    }

    fn figure(self, row: &Row) -> Option<f64> {
        match self {
            Column::Name | Column::Role | Column::State => None,
            Column::Cpu => row.cpu,
            Column::Memory => row.memory_bytes,
            Column::Shares => row.shares,
            Column::Used => row.used_bytes,
            Column::Free => row.free_bytes,
            Column::In => row.in_bytes,
            Column::Out => row.out_bytes,
            Column::Requests => row.requests,
            Column::Latency => row.latency_s,
            Column::P99 => row.latency_p99_s,
            Column::Trip => row.trip_s,
            Column::Lag => row.lag_s,
        }
    }

    /// What stands in it.
    pub(super) fn text(self, row: &Row) -> String {
        let format: fn(f64) -> String = match self {
            Column::Name => return row.node.name.clone(),
            Column::Role => return row.node.roles.clone(),
            Column::State if row.slow => return "slow".to_owned(),
            Column::State => return row.state.word().to_owned(),
            Column::Cpu if row.cpu.is_some_and(|cpu| cpu < row.cpu_step) => {
                return format!("<{}", percent(row.cpu_step));
            }
            Column::Cpu => percent,
            Column::Shares => |number| format!("{number:.0}"),
            Column::Memory | Column::Used | Column::Free | Column::In | Column::Out => bytes,
            Column::Requests => per_second,
            Column::Latency | Column::P99 | Column::Trip | Column::Lag => seconds,
        };
        self.figure(row).map_or_else(|| NONE.to_owned(), format)
    }

    /// Words from A to Z, states from the worst, figures from the largest, what is not known last.
    fn compare(self, one: &Row, other: &Row) -> Ordering {
        match self {
            Column::Name => Ordering::Equal,
            Column::Role => one.node.roles.cmp(&other.node.roles),
            Column::State => badness(one).cmp(&badness(other)),
            _ => figures(self.figure(one), self.figure(other)),
        }
    }
}

fn badness(row: &Row) -> (State, bool) {
    (row.state, !row.slow)
}

fn figures(one: Option<f64>, other: Option<f64>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// The indices of the rows in the order that the column gives. Rows that it does not tell apart stand by name; what is
/// not known stays last in either direction.
pub(super) fn order(rows: &[Row], by: Column, reverse: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|one, other| {
        let (one, other) = (&rows[*one], &rows[*other]);
        let names = || one.node.name.cmp(&other.node.name);
        let unknown = |row: &Row| !by.is_words() && by.figure(row).is_none();
        if by == Column::Name {
            return if reverse { names().reverse() } else { names() };
        }
        let compared = by.compare(one, other);
        let compared = if reverse && !unknown(one) && !unknown(other) {
            compared.reverse()
        } else {
            compared
        };
        compared.then_with(names)
    });
    order
}

/// The columns that fit into `width` cells, `gap` cells between two: the least important are left out first.
pub(super) fn fitting(width: u16, name_width: u16, gap: u16) -> Vec<Column> {
    let mut columns = Column::ALL.to_vec();
    let needed = |columns: &[Column]| -> u16 {
        let cells: u16 = columns.iter().map(|column| column.width(name_width) + gap).sum();
        cells.saturating_sub(gap)
    };
    while columns.len() > 1 && needed(&columns) > width {
        let least = columns.iter().map(|column| column.about().weight).min();
        columns.retain(|column| Some(column.about().weight) != least);
    }
    columns
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::row;
    use super::*;

    #[test]
    fn each_column_has_a_key_and_a_weight_of_its_own() {
        let keys: BTreeSet<char> = Column::ALL.iter().map(|column| column.key()).collect();
        let weights: BTreeSet<u8> = Column::ALL.iter().map(|column| column.about().weight).collect();
        assert_eq!(
            (keys.len(), weights.len()),
            (Column::ALL.len(), Column::ALL.len())
        );
        for column in Column::ALL {
            let heading = column.heading().to_lowercase();
            assert!(heading.contains(column.key()), "{heading}");
            assert!(heading.len() <= usize::from(column.width(0)), "{heading}");
        }
    }

    #[test]
    fn next_goes_round() {
        let mut column = Column::Name;
        for _ in Column::ALL {
            column = column.next();
        }
        assert_eq!(column, Column::Name);
    }

    fn names(rows: &[Row], by: Column, reverse: bool) -> Vec<&str> {
        order(rows, by, reverse)
            .into_iter()
            .map(|index| rows[index].node.name.as_str())
            .collect()
    }

    #[test]
    fn the_largest_stand_first_and_the_unknown_last() {
        let mut rows = [
            row("b", "storage"),
            row("c", "gateway"),
            row("a", "storage"),
            row("d", "vdrive"),
        ];
        rows[0].cpu = Some(0.1);
        rows[1].cpu = Some(0.9);
        rows[2].cpu = Some(0.1);
        assert_eq!(names(&rows, Column::Cpu, false), ["c", "a", "b", "d"]);
        assert_eq!(names(&rows, Column::Cpu, true), ["a", "b", "c", "d"]);
        assert_eq!(names(&rows, Column::Name, false), ["a", "b", "c", "d"]);
        assert_eq!(names(&rows, Column::Name, true), ["d", "c", "b", "a"]);
        assert_eq!(names(&rows, Column::Role, false), ["c", "a", "b", "d"]);
        rows[3].state = State::Gone;
        rows[0].slow = true;
        assert_eq!(names(&rows, Column::State, false), ["d", "b", "a", "c"]);
    }

    #[test]
    fn cells_say_what_is_known() {
        let mut row = row("storage-01", "storage");
        row.latency_s = Some(0.15);
        row.slow = true;
        assert_eq!(Column::State.text(&row), "slow");
        assert_eq!(Column::Latency.text(&row), "150 ms");
        assert_eq!(Column::Cpu.text(&row), NONE);
        (row.cpu, row.cpu_step) = (Some(0.0), 0.033);
        assert_eq!(
            Column::Cpu.text(&row),
            "<3.3%",
            "none is not known where whole seconds are counted"
        );
        row.cpu = Some(0.25);
        assert_eq!(Column::Cpu.text(&row), "25%");
    }

    #[test]
    fn the_least_important_go_first() {
        assert_eq!(fitting(200, 10, 1), Column::ALL);
        let few = fitting(80, 12, 1);
        assert!(
            few.contains(&Column::Latency) && !few.contains(&Column::P99),
            "{few:?}"
        );
        assert_eq!(fitting(10, 12, 1), [Column::Name]);
        for width in 10..200 {
            let columns = fitting(width, 10, 2);
            let cells: u16 = columns.iter().map(|column| column.width(10) + 2).sum();
            assert!(cells - 2 <= width, "{width}: {columns:?}");
        }
    }
}
