//! stub
use crate::cli::drive::BackupArgs;
use crate::error::CliError;
pub(crate) fn run(_: &BackupArgs) -> Result<(), CliError> {
    Ok(())
}
