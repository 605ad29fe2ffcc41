//! Where the database is, as the operator writes it. The text may hold a password: it is never printed.

use std::path::{Path, PathBuf};

use super::Dialect;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Server(String),
}

/// Why a text is not where a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// It names no kind of database that is known here.
    #[error("a database is \"sqlite\", for a file in the node's directory, or \"postgres://user@host/name\"")]
    Kind,
    /// The rest of it cannot be read.
    #[error("the database URL cannot be read; it looks like postgres://user:password@host:5432/name")]
    Malformed,
}

impl DatabaseUrl {
    /// A SQLite file.
    #[must_use]
    pub fn file(path: &Path) -> DatabaseUrl {
        DatabaseUrl(Place::File(path.to_owned()))
    }

    /// A PostgreSQL database.
    ///
    /// # Errors
    /// [`BadDatabaseUrl`] when the text is no such URL.
    pub fn server(text: &str) -> Result<DatabaseUrl, BadDatabaseUrl> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Err(BadDatabaseUrl::Kind);
        }
        text.parse::<sqlx::postgres::PgConnectOptions>()
            .map_err(|_| BadDatabaseUrl::Malformed)?;
        Ok(DatabaseUrl(Place::Server(text.to_owned())))
    }

    /// Which kind of database it is.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match &self.0 {
            Place::File(_) => Dialect::Sqlite,
            Place::Server(_) => Dialect::Postgres,
        }
    }

    /// The file, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// What the library takes.
    pub(super) fn text(&self) -> String {
        match &self.0 {
            Place::Server(text) => text.clone(),
            Place::File(path) => {
                let mut text = "sqlite://".to_owned();
                for byte in path.to_string_lossy().bytes() {
                    if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
                        text.push(char::from(byte));
                    } else {
                        text += &format!("%{byte:02X}");
                    }
                }
                text
            }
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatabaseUrl({:?}, secret)", self.dialect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let good = DatabaseUrl::server("postgres://me:secret@localhost:5433/drive").unwrap();
        assert_eq!(good.dialect(), Dialect::Postgres);
        assert!(!format!("{good:?}").contains("secret@"));
        for bad in ["mysql://a/b", "sqlite://x", "drive.sqlite", ""] {
            assert_eq!(DatabaseUrl::server(bad), Err(BadDatabaseUrl::Kind), "{bad}");
        }
        assert_eq!(
            DatabaseUrl::server("postgres://me@host:port/x"),
            Err(BadDatabaseUrl::Malformed)
        );
        let file = DatabaseUrl::file(Path::new("/tmp/a b?/drive.sqlite"));
        assert_eq!(file.text(), "sqlite:///tmp/a%20b%3F/drive.sqlite");
    }
}
