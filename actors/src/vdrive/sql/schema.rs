//! The tables, and how they come into being: numbered files for each dialect, applied once and in order. PostgreSQL
//! takes a lock for it, so that several vdrives can start at once.

use std::future::Future;
use std::pin::Pin;

use sqlx::error::BoxDynError;
use sqlx::migrate::{Migration, MigrationSource, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Row};

use super::{DatabaseError, Dialect};

#[derive(Debug)]
struct Files(Dialect);

impl<'s> MigrationSource<'s> for Files {
    fn resolve(self) -> Pin<Box<dyn Future<Output = Result<Vec<Migration>, BoxDynError>> + Send + 's>> {
        let text = match self.0 {
            Dialect::Sqlite => include_str!("../../../migrations/sqlite/0001_directories.sql"),
            Dialect::Postgres => include_str!("../../../migrations/postgres/0001_directories.sql"),
        };
        let first = Migration::new(1, "directories".into(), MigrationType::Simple, text.into(), false);
        Box::pin(async move { Ok(vec![first]) })
    }
}

/// Brings the tables up to date and gives the database's id.
pub(super) async fn prepare(pool: &AnyPool, dialect: Dialect) -> Result<[u8; 16], DatabaseError> {
    let mut connection = pool.acquire().await?;
    let migrator = Migrator::new(Files(dialect)).await?;
    migrator.run_direct(&mut *connection).await?;
    database_id(&mut connection).await
}

/// The id is made by whichever vdrive asks first.
async fn database_id(connection: &mut AnyConnection) -> Result<[u8; 16], DatabaseError> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|_| DatabaseError::Stopped)?;
    sqlx::query("INSERT INTO facts (name, value) VALUES ('database', $1) ON CONFLICT (name) DO NOTHING")
        .bind(fresh.to_vec())
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT value FROM facts WHERE name = 'database'")
        .fetch_one(&mut *connection)
        .await?;
    let id: Vec<u8> = row.try_get(0)?;
    id.try_into().map_err(|_| DatabaseError::Damaged {
        what: "an id of its own",
    })
}
