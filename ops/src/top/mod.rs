//! `truckee top`: the state of a grid at a glance, live on a terminal, or once as text or JSON.
//!
//! Owns the command. What is read and judged is pure and takes the time as an argument: `exposition` and `series` read
//! pages, `seen` the lists of nodes, `history` compares samples, `row`, `grid` and `alarms` judge, `model` puts it
//! together. `poll` asks, `screen` has the terminal, `draw` draws, `plain` prints. It changes nothing in the grid.

mod alarms;
mod columns;
mod draw;
pub(crate) mod exposition;
mod grid;
mod history;
mod model;
mod plain;
mod poll;
mod row;
mod screen;
mod seen;
mod series;
#[cfg(test)]
mod testing;
mod text;
mod theme;
mod ui;
mod words;

use std::time::Duration;

use crate::cli::TopArgs;
use crate::error::CliError;
use crate::output::{print_json, print_line};
use model::{Model, View};
use poll::{Poller, Source};
use row::State;

/// How long a node may take to answer on the screen: no longer than the time between two looks by default.
const WITHIN: Duration = Duration::from_secs(2);

/// How long it may take when the answer is printed: a busy machine is not yet a gone node.
const WITHIN_ONCE: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) fn run(args: &TopArgs) -> Result<(), CliError> {
    let once = args.once || args.json || !screen::is_there();
    let source = Source::of(args)?;
    let mut poller = Poller::new(source, if once { WITHIN_ONCE } else { WITHIN })?;
    if !once {
        return screen::run(poller, args.interval);
    }
    let mut model = Model::new(poller.source_words());
    model.apply(poller.round());
    // There is no rate without a second look.
    std::thread::sleep(Duration::from_secs(args.interval));
    model.apply(poller.round());
    print(model.view(), args.json)
}

fn print(view: &View, json: bool) -> Result<(), CliError> {
    if json {
        print_json(&plain::json(view))?;
    } else {
        for line in plain::lines(view) {
            print_line(&line)?;
        }
    }
    somebody_answers(view)
}

/// That nobody answered is an error, also after it was printed.
fn somebody_answers(view: &View) -> Result<(), CliError> {
    if view.rows.iter().any(|row| row.state != State::Gone) {
        return Ok(());
    }
    Err(CliError::NobodyAnswers {
        watched: view.source.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_grid_of_which_nobody_answers_is_an_error() {
        let view = testing::view(&[(testing::node("storage-01", "storage"), None)]);
        assert_eq!(somebody_answers(&view).unwrap_err().exit(), Exit::Unreachable);
        let view = testing::view(&testing::cluster(&["storage-01"]));
        assert!(somebody_answers(&view).is_ok());
    }
}
