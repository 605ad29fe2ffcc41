//! The bound on the rows of a directory, by a smaller one: the real one would take seconds to reach.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::model::*;
use crate::drive::copy::Copy;
use crate::drive::draft::Draft;
use crate::drive::*;

#[test]
fn a_full_directory_takes_no_more_rows_but_others_in_their_place() {
    let base = Copy::of_none(Arc::new(keys(1).0));
    let mut draft = Draft::of(&base, StdRng::from_seed([1; 32]));
    draft.rows_max = 2;
    let mut edit = |edits: &[Edit]| {
        let tried = draft.try_edits(edits, 0).map(|_| ());
        draft.keep();
        tried.map_err(|refused| refused.why)
    };
    let full = Err(EditWhy::Full { rows_max: 2 });
    assert_eq!(edit(&[set("a", "1"), set("b", "1")]), Ok(()));
    assert_eq!(edit(&[set("c", "1")]), full);
    assert_eq!(edit(&[set_as("a", "2", Replace::Always)]), Ok(()));
    assert_eq!(edit(&[Edit::Remove { name: name("a") }, set("c", "1")]), Ok(()));
    assert_eq!(edit(&[set("d", "1")]), full);
}
