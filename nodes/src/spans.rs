//! Where the spans of this process go.
//!
//! Each request that comes in gets a trace id, whether or not anybody collects spans: it stands in the log and travels to
//! other nodes. With `trace.otlp_endpoint` the spans of the chosen traces are sent to a collector by OTLP over HTTP, in
//! batches, by a thread of their own; also those of single requests to peers and of disk operations, which otherwise are
//! not even made.
//!
//! Bounded: spans that wait for the collector ([`QUEUE_SPANS_MAX`]; later ones are dropped, and the log says so), the time
//! for one batch, and that for the last ones when the process stops. A collector that is away costs traces and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use thiserror::Error;
use truckee_actors::metrics as names;
use truckee_wire::message::TraceContext;

use crate::config::Config;
use crate::trust::{TrustError, tls_config};
use crate::view::software;

/// Spans that wait for the collector: a few seconds of a busy gateway; about 1 KiB each.
const QUEUE_SPANS_MAX: usize = 8192;
/// Spans of one request to the collector: well below the 4 MiB that collectors take by default.
const BATCH_SPANS_MAX: usize = 1024;
/// How long spans wait for others to share a request with.
const BATCH_WAIT: Duration = Duration::from_secs(2);
/// Time for one request to the collector.
const EXPORT_WITHIN: Duration = Duration::from_secs(5);
/// Time for what is left when the process stops; the collector has had all else by then.
const LAST_WITHIN: Duration = Duration::from_secs(2);
/// Answers of collectors are a few bytes; more is not read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Spans cannot be exported as configured.
#[derive(Debug, Error)]
pub enum SpansError {
    /// The URL or something of the environment (`OTEL_…`) is not in order.
    #[error("cannot export spans to trace.otlp_endpoint: {0}")]
    Build(#[from] ExporterBuildError),
    /// Nobody can be believed to be the collector.
    #[error("cannot export spans to trace.otlp_endpoint: {0}")]
    Trust(#[from] TrustError),
}

/// Makes the ids of traces and spans, and has them exported if so configured.
pub(crate) struct Spans {
    provider: SdkTracerProvider,
    exported: bool,
}

impl Spans {
    /// As the configuration says.
    pub(crate) fn start(config: &Config) -> Result<Self, SpansError> {
        let Some(endpoint) = &config.trace.otlp_endpoint else {
            return Ok(Self::kept_to_itself());
        };
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(Client::new(endpoint)?)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(EXPORT_WITHIN)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .with_scheduled_delay(BATCH_WAIT)
            .build();
        let processor = BatchSpanProcessor::builder(Counted::new(exporter))
            .with_batch_config(batches)
            .build();
        let ratio = f64::from(config.trace.sample_percent) / 100.0;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            // By the trace's id alone, so that all nodes choose the same ones.
            .with_sampler(Sampler::TraceIdRatioBased(ratio))
            .with_resource(resource(config))
            .build();
        Ok(Self {
            provider,
            exported: true,
        })
    }

    /// Ids only.
    pub(crate) fn kept_to_itself() -> Self {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOff)
            .build();
        Self {
            provider,
            exported: false,
        }
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("truckee")
    }

    /// Whether anybody sees them.
    pub(crate) fn are_exported(&self) -> bool {
        self.exported
    }

    /// Sends what is left, for a moment.
    pub(crate) fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_WITHIN) {
            tracing::warn!("the last spans may not have reached the collector: {error}");
        }
    }
}

/// What tells this process from others.
fn resource(config: &Config) -> Resource {
    let roles: Vec<&str> = config.roles.iter().map(|role| role.word()).collect();
    Resource::builder_empty()
        .with_service_name("truckee")
        .with_attributes([
            KeyValue::new("service.version", software()),
            KeyValue::new("service.instance.id", config.nickname.clone()),
            KeyValue::new("truckee.roles", roles.join(",")),
            KeyValue::new("truckee.zone", config.zone.clone()),
        ])
        .build()
}

/// The trace that a client says that its request belongs to, by a `traceparent` header of W3C Trace Context.
pub(crate) fn of_client(headers: &actix_web::http::header::HeaderMap) -> Option<TraceContext> {
    struct Headers<'a>(&'a actix_web::http::header::HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|name| name.as_str()).collect()
        }
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| TraceContext {
        trace_id: ids.trace_id().to_bytes(),
        span_id: ids.span_id().to_bytes(),
    })
}

/// The way to the collector. It blocks: the exporter has a thread of its own.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new(endpoint: &str) -> Result<Self, TrustError> {
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(EXPORT_WITHIN))
            .max_redirects(0)
            .http_status_as_error(false);
        if endpoint.starts_with("https://") {
            config = config.tls_config(tls_config(None)?);
        }
        Ok(Self(config.build().new_agent()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

/// Counts what is exported, and says in the log when that begins to fail and when it works again.
#[derive(Debug)]
struct Counted<E> {
    inner: E,
    failing: AtomicBool,
}

impl<E> Counted<E> {
    fn new(inner: E) -> Self {
        Self {
            inner,
            failing: AtomicBool::new(false),
        }
    }

    fn note(&self, spans: usize, result: &OTelSdkResult) {
        let outcome = if result.is_ok() { "exported" } else { "failed" };
        counter!(names::TRACE_SPANS, "outcome" => outcome).increment(spans as u64);
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !failed_before => tracing::warn!("spans do not reach the collector: {error}"),
            Ok(()) if failed_before => tracing::info!("spans reach the collector again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.note(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_client_may_name_its_trace() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_static("traceparent");
            headers.insert(name, HeaderValue::from_str(text).unwrap());
            of_client(&headers)
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let ids = read(good).unwrap();
        assert_eq!(ids.trace_id[..3], [0x0a, 0xf7, 0x65]);
        assert_eq!(ids.span_id[..3], [0xb7, 0xad, 0x6b]);
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "zz-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(of_client(&HeaderMap::new()), None);
    }
}
