"""Sends all signals with the OpenTelemetry SDK and prints what the SDK believes it has sent, as JSON.

Usage: send.py grpc|http ENDPOINT
"""

import json
import sys
import warnings

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry._logs import SeverityNumber
from opentelemetry.metrics import Observation

warnings.simplefilter("error", SyntaxWarning)
protocol, endpoint = sys.argv[1:]

if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=endpoint, insecure=True, timeout=20)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=f"{endpoint}/v1/{path}", compression=Compression.Gzip, timeout=20)


def recording(kind, path):
    """An exporter that also keeps what passed through it, and insists on success."""

    class Recording(kind):
        sent = []

        def export(self, batch, *args, **kwargs):
            result = super().export(batch, *args, **kwargs)
            assert result.name == "SUCCESS", result
            self.sent.append(batch)
            return result

    return exporter(Recording, path)


ATTRIBUTES = {
    "text": "grüße, 世界",
    "int": 9007199254740993,
    "double": 0.5,
    "bool": True,
    "texts": ["a", "b"],
    "ints": [1, -2],
    "doubles": [0.25, 1e300],
    "bools": [True, False],
}
resource = Resource.create({"service.name": f"python-{protocol}", "service.version": "1.2.3", "resource.int": 7})

span_exporter = recording(OTLPSpanExporter, "traces")
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(span_exporter))
tracer = tracers.get_tracer("client.tracer", "4.5", attributes={"scope.key": "scope value"})
with tracer.start_as_current_span("parent", kind=trace.SpanKind.SERVER, attributes=ATTRIBUTES) as parent:
    other = trace.Link(parent.get_span_context(), {"why": "because"})
    with tracer.start_as_current_span("child", kind=trace.SpanKind.CLIENT, links=[other]) as child:
        child.add_event("cache.miss", {"key": "k", "size": 3})
        try:
            raise ValueError("no such product")
        except ValueError as error:
            child.record_exception(error)
            child.set_status(trace.Status(trace.StatusCode.ERROR, "no such product"))
    parent.set_status(trace.Status(trace.StatusCode.OK))
    with tracer.start_as_current_span("grandchild", kind=trace.SpanKind.PRODUCER):
        pass

    log_exporter = recording(OTLPLogExporter, "logs")
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
    logger = loggers.get_logger("client.logger", "6.7")
    logger.emit(timestamp=1767323045000000006, observed_timestamp=1767323045000000007, severity_number=SeverityNumber.WARN2, severity_text="WARNING", body="in a span", attributes=ATTRIBUTES)
    logger.emit(timestamp=1767323045000000008, severity_number=SeverityNumber.FATAL, body={"map": {"deep": [1, "two"]}}, event_name="an.event", attributes={"n": 1})

metric_exporter = recording(OTLPMetricExporter, "metrics")
reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=3_600_000)
views = [View(instrument_name="sizes", aggregation=ExponentialBucketHistogramAggregation())]
meters = MeterProvider(resource=resource, metric_readers=[reader], views=views)
meter = meters.get_meter("client.meter", "8.9")
counter = meter.create_counter("counter", unit="{thing}", description="things")
counter.add(3, {"kind": "a"})
counter.add(4, {"kind": "b"})
meter.create_counter("counter.double").add(1.5)
meter.create_up_down_counter("updown").add(-5)
meter.create_gauge("gauge").set(21.5, {"room": "cellar"})
histogram = meter.create_histogram("latency", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
sizes = meter.create_histogram("sizes", unit="By")
with tracer.start_as_current_span("measured"):
    for value in [0.05, 0.5, 0.7, 5.0]:
        histogram.record(value, {"route": "/x"})
for value in [1, 10, 100, 1000, 0]:
    sizes.record(value)
meter.create_observable_counter("observed.counter", [lambda options: [Observation(11, {"cpu": "0"})]])
meter.create_observable_up_down_counter("observed.updown", [lambda options: [Observation(-2)]])
meter.create_observable_gauge("observed.gauge", [lambda options: [Observation(0.125)]])

for provider in (tracers, loggers, meters):
    assert provider.force_flush(20_000)
    provider.shutdown()


def nested(value):
    return {k: nested(v) for k, v in value.items()} if hasattr(value, "items") else [nested(v) for v in value] if isinstance(value, (list, tuple)) else value


def span(s):
    return {
        "trace_id": f"{s.context.trace_id:032x}",
        "span_id": f"{s.context.span_id:016x}",
        "parent_span_id": f"{s.parent.span_id:016x}" if s.parent else None,
        "name": s.name,
        "kind": s.kind.name.lower(),
        "start": s.start_time,
        "duration_nano": s.end_time - s.start_time,
        "status_code": s.status.status_code.name.lower(),
        "status_message": s.status.description,
        "attributes": nested(s.attributes),
        "scope": [s.instrumentation_scope.name, s.instrumentation_scope.version],
        "scope_attributes": nested(s.instrumentation_scope.attributes or {}),
        "resource": nested(s.resource.attributes),
        "events": [{"time": e.timestamp, "name": e.name, "attributes": nested(e.attributes)} for e in s.events],
        "links": [{"trace_id": f"{l.context.trace_id:032x}", "span_id": f"{l.context.span_id:016x}", "attributes": nested(l.attributes)} for l in s.links],
    }


def log(readable):
    r = readable.log_record
    return {
        "time": r.timestamp,
        "observed": r.observed_timestamp,
        "severity_number": r.severity_number.value,
        "severity_text": r.severity_text,
        "body": nested(r.body),
        "attributes": nested(r.attributes),
        "event_name": r.event_name,
        "trace_id": f"{r.trace_id:032x}" if r.trace_id else None,
        "span_id": f"{r.span_id:016x}" if r.span_id else None,
        "flags": int(r.trace_flags or 0),
        "scope": [readable.instrumentation_scope.name, readable.instrumentation_scope.version],
    }


TEMPORALITIES = {1: "delta", 2: "cumulative"}


def points(data):
    for resource_metrics in data.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                for p in metric.data.data_points:
                    temporality = getattr(metric.data, "aggregation_temporality", None)
                    exemplars = [
                        {"value": e.value, "time": e.time_unix_nano, "trace_id": f"{e.trace_id:032x}" if e.trace_id else None}
                        for e in p.exemplars
                    ]
                    yield {
                        "name": metric.name,
                        "unit": metric.unit,
                        "description": metric.description,
                        "class": type(metric.data).__name__,
                        "temporality": TEMPORALITIES.get(int(temporality)) if temporality is not None else None,
                        "is_monotonic": getattr(metric.data, "is_monotonic", None),
                        "attributes": nested(p.attributes),
                        "start": p.start_time_unix_nano,
                        "time": p.time_unix_nano,
                        "exemplars": exemplars,
                        "scope": [scope_metrics.scope.name, scope_metrics.scope.version],
                        **{k: nested(getattr(p, k)) for k in ("value", "count", "sum", "min", "max", "bucket_counts", "explicit_bounds", "scale", "zero_count") if hasattr(p, k)},
                        **({"positive": [p.positive.offset, nested(p.positive.bucket_counts)]} if hasattr(p, "positive") else {}),
                    }


json.dump(
    {
        "spans": [span(s) for batch in span_exporter.sent for s in batch],
        "logs": [log(r) for batch in log_exporter.sent for r in batch],
        "points": [p for data in metric_exporter.sent for p in points(data)],
    },
    sys.stdout,
)
