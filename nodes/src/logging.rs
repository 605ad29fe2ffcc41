//! What the node writes about itself: `tracing` events on stderr, for people or as JSON, and the spans that they belong to.
//!
//! Caps and invites never get here, by two rules: our own code logs no request paths, bodies or secrets, and code of
//! others (which might log a URL) is heard from warnings upwards only, whatever level is configured.

use tracing::Level;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::{Config, LogConfig, LogFormat, LogLevel};
use crate::incident;
use crate::spans::{Spans, SpansError};

/// The parts of this program whose events follow the configured level.
const OWN_TARGETS: [&str; 5] = [
    "truckee",
    "truckee_nodes",
    "truckee_actors",
    "truckee_engine",
    "truckee_wire",
];

/// Starts logging to stderr for the whole process, keeping recent events for [`incident`], and making spans, which end with
/// what this gives. The first configuration stays if logging was started before, as in tests that start several nodes in one
/// process.
///
/// # Errors
/// [`SpansError`]: spans cannot be exported as configured.
pub(crate) fn start(config: &Config) -> Result<Spans, SpansError> {
    let spans = Spans::start(config)?;
    start_on(config.log, &spans, std::io::stderr);
    Ok(spans)
}

/// As [`start`], to another place.
pub(crate) fn start_on<W>(config: LogConfig, spans: &Spans, writer: W)
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
    let recent = fmt::layer()
        .with_writer(incident::recent())
        .with_ansi(false)
        .fmt_fields(OwnFields(DefaultFields::new()));
    // A span for each block and each disk operation is for those who look at them.
    let coarse = filter_fn(|metadata| !metadata.is_span() || *metadata.level() <= Level::INFO);
    let exported = tracing_opentelemetry::layer()
        .with_tracer(spans.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    let finest = if spans.are_exported() {
        LogLevel::Debug
    } else {
        LogLevel::Info
    };
    let started = Registry::default()
        .with(log.with_filter(filter(config.level)))
        .with(recent.with_filter(filter(LogLevel::Debug).and(coarse)))
        .with(exported.with_filter(filter(finest)))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before; the first configuration stays");
    }
}

/// Formats as usual. A type of its own, because layers whose formatters are of one type write into one text for each span,
/// and what is recorded later would stand there twice.
struct OwnFields(DefaultFields);

impl<'writer> FormatFields<'writer> for OwnFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
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
