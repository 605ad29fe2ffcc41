//! Where spans of requests go: the section `[trace]`.

use toml::de::DeValue;

use super::problem::Problem;
use super::reader::{Reader, Section};
use super::value::{Bounded, FromToml, text_of};

/// Section `[trace]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// Base URL of a collector that takes OTLP over HTTP, with no slash at its end; none: spans are not exported.
    pub otlp_endpoint: Option<String>,
    /// How many of a hundred traces are exported, 1 to 100. Nodes with the same number choose the same traces.
    pub sample_percent: u8,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_percent: 100,
        }
    }
}

struct Collector(String);

impl FromToml for Collector {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        // Longer than any host name with a path.
        const URL_BYTES_MAX: usize = 1024;
        let text = text_of(value)?;
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c);
        let good =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']) && !rest.contains(odd));
        if !good || text.len() > URL_BYTES_MAX {
            return Err(Problem::BadText {
                got: text.to_owned(),
                expected: "the URL of a collector such as \"http://127.0.0.1:4318\"",
            });
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

pub(super) fn read<'i>(reader: &mut Reader<'i>, root: &mut Section<'_, 'i>) -> TraceConfig {
    let default = TraceConfig::default();
    let mut section = reader.section(root, "trace");
    let endpoint: Option<Collector> = reader.optional(&mut section, "otlp_endpoint");
    let percent: Bounded<1, 100> = reader.or(
        &mut section,
        "sample_percent",
        Bounded(u64::from(default.sample_percent)),
    );
    reader.finish(&section);
    TraceConfig {
        otlp_endpoint: endpoint.map(|endpoint| endpoint.0),
        sample_percent: percent.0 as u8,
    }
}
