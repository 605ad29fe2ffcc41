//! Where each source of a copy ends up: the rules of `cp`, without looking at anything.
//!
//! A source with a name goes into a target that is a directory, under that name. A single source takes the target's own
//! name if nothing is there, or if both are files. What has no name (a bare cap, the root of an alias, `.`) is poured
//! into the target if it is a directory.

/// A source, as far as the rules care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFacts {
    /// The last part of its path.
    pub(crate) name: Option<String>,
    /// Whether it is a directory.
    pub(crate) directory: bool,
}

/// What is at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetFacts {
    /// Nothing.
    Missing,
    /// A file, or anything else that is no directory.
    File,
    /// A directory.
    Directory,
}

/// Where a source goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Landing {
    /// Into the target directory, under this name.
    Child(String),
    /// It becomes the target; a directory's content goes into it.
    Itself,
}

/// Why the command makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// A directory without -r.
    #[error("source {} is a directory: give -r to copy it with all that is in it", index + 1)]
    NotRecursive {
        /// Which source, from zero.
        index: usize,
    },
    /// Several things, or a directory, cannot become a file.
    #[error("the target is no directory, so only one file can go there")]
    NotADirectory,
    /// The target is written like a directory, or has to be one.
    #[error("there is no such directory; make it first with mkdir")]
    NoDirectory,
    /// A file without a name cannot go into a directory.
    #[error("source {} is a bare cap and has no name: write the name behind the target", index + 1)]
    NoName {
        /// Which source, from zero.
        index: usize,
    },
    /// Two sources of one name.
    #[error("two sources are called {name:?}: one would replace the other")]
    Twice {
        /// Their name.
        name: String,
    },
}

/// Applies the rules. One landing for each source, in order.
pub(crate) fn plan(
    sources: &[SourceFacts],
    target: TargetFacts,
    target_slash: bool,
    recursive: bool,
) -> Result<Vec<Landing>, PlanError> {
    if let Some(index) = sources.iter().position(|source| source.directory && !recursive) {
        return Err(PlanError::NotRecursive { index });
    }
    let mut landings = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let landing = match (target, &source.name) {
            (TargetFacts::Directory, Some(name)) => Landing::Child(name.clone()),
            (TargetFacts::Directory, None) if source.directory => Landing::Itself,
            (TargetFacts::Directory, None) => return Err(PlanError::NoName { index }),
            (TargetFacts::File, _) if target_slash || source.directory || sources.len() > 1 => {
                return Err(PlanError::NotADirectory);
            }
            (TargetFacts::Missing, _) if sources.len() > 1 || (target_slash && !source.directory) => {
                return Err(PlanError::NoDirectory);
            }
            (TargetFacts::File | TargetFacts::Missing, _) => Landing::Itself,
        };
        if matches!(landing, Landing::Child(_)) && landings.contains(&landing) {
            return Err(PlanError::Twice {
                name: source.name.clone().unwrap_or_default(),
            });
        }
        landings.push(landing);
    }
    Ok(landings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> SourceFacts {
        SourceFacts {
            name: Some(name.into()),
            directory: false,
        }
    }

    fn directory(name: &str) -> SourceFacts {
        SourceFacts {
            directory: true,
            ..file(name)
        }
    }

    fn nameless(directory: bool) -> SourceFacts {
        SourceFacts {
            name: None,
            directory,
        }
    }

    fn child(name: &str) -> Landing {
        Landing::Child(name.into())
    }

    #[test]
    fn one_source() {
        use TargetFacts::{Directory, File, Missing};
        let cases = [
            (file("a"), Missing, false, Ok(Landing::Itself)),
            (file("a"), Missing, true, Err(PlanError::NoDirectory)),
            (file("a"), File, false, Ok(Landing::Itself)),
            (file("a"), File, true, Err(PlanError::NotADirectory)),
            (file("a"), Directory, false, Ok(child("a"))),
            (file("a"), Directory, true, Ok(child("a"))),
            (directory("d"), Missing, false, Ok(Landing::Itself)),
            (directory("d"), Missing, true, Ok(Landing::Itself)),
            (directory("d"), File, false, Err(PlanError::NotADirectory)),
            (directory("d"), Directory, false, Ok(child("d"))),
            (nameless(true), Directory, false, Ok(Landing::Itself)),
            (nameless(true), Missing, false, Ok(Landing::Itself)),
            (
                nameless(false),
                Directory,
                false,
                Err(PlanError::NoName { index: 0 }),
            ),
            (nameless(false), Missing, false, Ok(Landing::Itself)),
        ];
        for (source, target, slash, landing) in cases {
            let planned = plan(std::slice::from_ref(&source), target, slash, true);
            let landing = landing.map(|landing| vec![landing]);
            assert_eq!(planned, landing, "{source:?} to {target:?}, slash {slash}");
        }
    }

    #[test]
    fn several_sources_need_a_directory_and_names_of_their_own() {
        let two = [file("a"), directory("d")];
        let planned = plan(&two, TargetFacts::Directory, false, true);
        assert_eq!(planned, Ok(vec![child("a"), child("d")]));
        assert_eq!(
            plan(&two, TargetFacts::Missing, false, true),
            Err(PlanError::NoDirectory)
        );
        assert_eq!(
            plan(&two, TargetFacts::File, false, true),
            Err(PlanError::NotADirectory)
        );
        let same = [file("a"), directory("a")];
        let twice = PlanError::Twice { name: "a".into() };
        assert_eq!(plan(&same, TargetFacts::Directory, false, true), Err(twice));
    }

    #[test]
    fn directories_want_to_be_asked_for() {
        let planned = plan(&[file("a"), directory("d")], TargetFacts::Directory, false, false);
        assert_eq!(planned, Err(PlanError::NotRecursive { index: 1 }));
    }
}
