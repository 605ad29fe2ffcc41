//! Command lines run in the test process, against the gateway in memory.

use std::path::{Path, PathBuf};

use clap::Parser;
use tempfile::TempDir;

use crate::cli::Cli;
use crate::client::{Node, Place};
use crate::error::CliError;
use crate::fake::Fake;

/// A gateway, an alias `home:` on a directory of it, and a place for files.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) home: String,
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> World {
        let world = World {
            home: String::new(),
            dir: tempfile::tempdir().unwrap(),
            fake: Fake::start(),
        };
        world.run(&["alias", "create", "home"]).unwrap();
        let aliases = std::fs::read_to_string(world.path("aliases")).unwrap();
        let home = aliases
            .lines()
            .find_map(|line| line.strip_prefix("home: "))
            .unwrap()
            .to_owned();
        World { home, ..world }
    }

    /// A path here.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as a word of a command line.
    pub(crate) fn word(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file with all directories on the way.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs a command line.
    pub(crate) fn run(&self, line: &[&str]) -> Result<(), CliError> {
        let (aliases, database) = (self.word("aliases"), self.word("backup.db"));
        let mut words = vec!["truckee"];
        words.extend(line);
        words.extend(["--gateway", &self.fake.address, "--aliases", &aliases]);
        if line[0] == "backup" {
            words.extend(["--database", &database]);
        }
        crate::carry_out(Cli::try_parse_from(words).unwrap().command).map(drop)
    }

    /// What is at a path below `home:`.
    pub(crate) fn node(&self, path: &str) -> Option<Node> {
        let place = path
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(Place::of(&self.home), |place, part| place.child(part));
        self.fake.gateway().node_if_there(&place).unwrap()
    }

    /// The names in a directory below `home:`.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        self.node(path).unwrap().children.into_keys().collect()
    }

    /// The content of a file below `home:`.
    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        let cap = self.node(path).unwrap().read_cap().unwrap().to_owned();
        let download = self.fake.gateway().fetch(&Place::of(&cap), None).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut download.into_reader(), &mut content).unwrap();
        content
    }
}
