//! What the node writes about itself: `tracing` events on stderr, for people or as JSON.
//!
//! Caps and invites never get here, by two rules: our own code logs no request paths, bodies or secrets, and code of
//! others (which might log a URL) is heard from warnings upwards only, whatever level is configured.

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::incident;

/// The parts of this program whose events follow the configured level.
const OWN_TARGETS: [&str; 5] = [
    "truckee",
    "truckee_nodes",
    "truckee_actors",
    "truckee_engine",
    "truckee_wire",
];

/// Starts logging to stderr for the whole process, and keeping recent events for [`incident`]. Does nothing if logging
/// was started before, as in tests that start several nodes in one process.
pub fn start(config: LogConfig) {
    start_on(config, std::io::stderr);
}

/// As [`start`], to another place.
pub(crate) fn start_on<W>(config: LogConfig, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let log = fmt::layer().with_writer(writer);
    let log = match config.format {
        LogFormat::Json => log.json().flatten_event(true).boxed(),
        LogFormat::Pretty => log
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
    };
    let recent = fmt::layer().with_writer(incident::recent()).with_ansi(false);
    let started = Registry::default()
        .with(log.with_filter(filter(config.level)))
        .with(recent.with_filter(filter(LogLevel::Debug)))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before; the first configuration stays");
    }
}

/// Our events from the configured level upwards, those of others from warnings upwards.
fn filter(level: LogLevel) -> EnvFilter {
    let level = level.word();
    let mut directives = vec![if level == "error" {
        "error".to_owned()
    } else {
        "warn".to_owned()
    }];
    directives.extend(OWN_TARGETS.iter().map(|target| format!("{target}={level}")));
    EnvFilter::new(directives.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_heard_from_warnings_upwards_at_every_level() {
        for level in [LogLevel::Info, LogLevel::Debug, LogLevel::Trace] {
            let text = filter(level).to_string();
            assert!(text.split(',').any(|directive| directive == "warn"), "{text}");
            for directive in text.split(',').filter(|directive| directive.contains('=')) {
                assert!(directive.starts_with("truckee"), "{text}");
            }
        }
    }
}
