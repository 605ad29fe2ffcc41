//! What a piece of work belongs to, as it goes from actor to actor and from node to node.
//!
//! A [`Trace`] is a span and the ids under which others may hang their own spans below it. It travels inside messages,
//! since a mailbox knows nothing of the span that was current where a message was sent, and its ids travel in the
//! envelope of each request to a peer. It ends with its last clone.
//!
//! A span that nobody listens to costs nothing; its ids are then those of the work above it, so that logs and spans further
//! down still name the trace. Not promised: that all nodes export their spans, or any.
//!
//! What may stand in a span is what may stand in a log: names of operations, outcomes, ids of nodes, lengths; never caps,
//! storage indexes, names of files, or addresses of clients.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{RequestKind, TraceContext};

/// See the module.
#[derive(Clone, Debug)]
pub struct Trace {
    span: Span,
    ids: Option<TraceContext>,
}

impl Trace {
    /// Work that belongs to nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            span: Span::none(),
            ids: None,
        }
    }

    /// The work of the span that is current on this thread.
    #[must_use]
    pub fn current() -> Self {
        Self::of(Span::current(), None)
    }

    /// A span that begins a trace, or goes on with that of a client. Records the trace's id in its field `trace`, if it
    /// has one.
    #[must_use]
    pub fn root(span: Span, above: Option<TraceContext>) -> Self {
        let trace = Self::below(span, above);
        if let Some(ids) = trace.ids {
            trace
                .span
                .record("trace", field::display(TraceId::from_bytes(ids.trace_id)));
        }
        trace
    }

    /// A part of this work: `make` gets the span to be made the parent.
    #[must_use]
    pub fn part(&self, make: impl FnOnce(&Span) -> Span) -> Self {
        Self::of(make(&self.span), self.ids)
    }

    /// A request to a peer. Its `outcome` is recorded by [`Trace::end`].
    #[must_use]
    pub(crate) fn call(&self, kind: RequestKind, peer: &NodeId) -> Self {
        self.part(|above| {
            tracing::debug_span!(
                parent: above,
                "call",
                otel.kind = "client",
                request = kind.name(),
                %peer,
                outcome = field::Empty
            )
        })
    }

    /// A request of a peer that this node serves. Its `outcome` is recorded by [`Trace::end`].
    #[must_use]
    pub(crate) fn serve(kind: RequestKind, above: Option<TraceContext>) -> Self {
        let span = tracing::debug_span!(
            parent: None,
            "serve",
            otel.kind = "server",
            request = kind.name(),
            trace = field::Empty,
            outcome = field::Empty
        );
        Self::root(span, above)
    }

    /// Under which it is logged.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// What goes to a peer.
    #[must_use]
    pub fn ids(&self) -> Option<TraceContext> {
        self.ids
    }

    /// The id of the trace in hexadecimal, for events outside of its span.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        self.ids.map(|ids| TraceId::from_bytes(ids.trace_id).to_string())
    }

    /// Records the outcome, one word of a closed set.
    pub(crate) fn end(&self, outcome: &'static str) {
        self.span.record("outcome", outcome);
    }

    fn of(span: Span, otherwise: Option<TraceContext>) -> Self {
        let ids = if span.is_disabled() {
            None
        } else {
            ids(span.context().span().span_context())
        };
        Self {
            span,
            ids: ids.or(otherwise),
        }
    }

    /// A span below one of another process.
    fn below(span: Span, above: Option<TraceContext>) -> Self {
        if let Some(above) = above.filter(|_| !span.is_disabled()) {
            let remote = SpanContext::new(
                TraceId::from_bytes(above.trace_id),
                SpanId::from_bytes(above.span_id),
                TraceFlags::SAMPLED,
                true,
                TraceState::NONE,
            );
            let parent = Context::new().with_remote_span_context(remote);
            if let Err(error) = span.set_parent(parent) {
                tracing::debug!("a span stays outside of its trace: {error:?}");
            }
        }
        Self::of(span, above)
    }
}

fn ids(context: &SpanContext) -> Option<TraceContext> {
    context.is_valid().then(|| TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const ABOVE: TraceContext = TraceContext {
        trace_id: [7; 16],
        span_id: [9; 8],
    };

    /// Runs with spans being kept; gives those that ended.
    fn kept(run: impl FnOnce()) -> Vec<SpanData> {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
        exporter.get_finished_spans().expect("spans are kept")
    }

    #[test]
    fn parts_hang_below_their_work_and_the_peer_below_the_call() {
        let spans = kept(|| {
            let request = Trace::root(tracing::info_span!("request", trace = field::Empty), Some(ABOVE));
            assert_eq!(request.id().as_deref(), Some("07070707070707070707070707070707"));
            let upload = request.part(|above| tracing::info_span!(parent: above, "upload"));
            drop(request);
            let call = upload.call(RequestKind::WriteBlock, &NodeId([3; 32]));
            let served = Trace::serve(RequestKind::WriteBlock, call.ids());
            served.end("ok");
            call.end("ok");
        });
        let find = |name: &str| spans.iter().find(|span| span.name == name).expect("it ended");
        let id = |name: &str| find(name).span_context.span_id();
        assert_eq!(find("request").parent_span_id.to_bytes(), ABOVE.span_id);
        for (child, parent) in [("upload", "request"), ("call", "upload"), ("serve", "call")] {
            assert_eq!(find(child).parent_span_id, id(parent), "{child}");
            assert_eq!(find(child).span_context.trace_id().to_bytes(), ABOVE.trace_id);
        }
        assert!(find("serve").parent_span_is_remote);
        let outcome = find("call")
            .attributes
            .iter()
            .find(|one| one.key.as_str() == "outcome");
        assert_eq!(outcome.expect("it ended").value.as_str(), "ok");
    }

    #[test]
    fn where_nobody_listens_the_ids_go_on() {
        let filter = tracing_subscriber::filter::LevelFilter::INFO;
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter), || {
            let served = Trace::serve(RequestKind::ReadBlock, Some(ABOVE));
            let call = served.call(RequestKind::ReadBlock, &NodeId([3; 32]));
            assert!(call.span().is_disabled());
            assert_eq!(call.ids(), Some(ABOVE));
        });
        assert_eq!(
            Trace::none().call(RequestKind::ReadBlock, &NodeId([3; 32])).ids(),
            None
        );
    }
}
