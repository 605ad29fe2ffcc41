//! Seeds that once failed, in `seeds/*.txt`: one line each, `small 7` or `large 7`, and what was wrong in a comment.
//! A seed is a ticket to one run of the code of its day; it is kept because it costs nothing to look at that run again.

use std::path::Path;

use truckee_tests::sim::mix::Size;

#[test]
fn seeds_that_once_failed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of kept seeds is there") {
        let path = entry.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("kept seeds are text");
        for line in text
            .lines()
            .map(|line| line.split('#').next().unwrap_or("").trim())
        {
            if line.is_empty() {
                continue;
            }
            let (size, seed) = line
                .split_once(' ')
                .unwrap_or_else(|| panic!("{}: {line}", path.display()));
            let size = match size {
                "small" => Size::Small,
                "large" => Size::Large,
                other => panic!("{}: no such size: {other}", path.display()),
            };
            let seed = seed
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("{}: {line}", path.display()));
            crate::run_seeds([seed], size);
            count += 1;
        }
    }
    assert!(count > 0, "no seed is kept in {}", folder.display());
}
