"""What operators see: structured log lines and Prometheus figures, each named here once.

Lines are in the past tense (`batch.delivered`) with ids, counts, bytes and durations; never an address, a payload or a
secret. Figures are plain numbers that the rooms keep; `exposition` turns a snapshot of them into Prometheus text.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import core as prometheus
from prometheus_client import registry as prometheus_registry


def configure(level: str, role: str) -> None:
    """Write log lines to stderr: JSON, or coloured text on a terminal; every line names its process' role."""
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=28) if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


class Lossy(io.TextIOBase):
    """A stream that loses lines rather than fail whoever writes them: the disk that they go to may be full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or what there is room for."""
        with contextlib.suppress(OSError, ValueError):  # full, its reader has left, or it is closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: its Prometheus name, kind (`counter` or `gauge`), labels and meaning with unit."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric("headwater_received_total", "counter", (), "Calls received by the Tracking API, batch items counted."),
        Metric("headwater_accepted_total", "counter", (), "Calls stored durably, duplicates left out."),
        Metric(
            "headwater_duplicates_total", "counter", (), "Calls left out because their messageId was stored before."
        ),
        Metric("headwater_rejected_total", "counter", ("code",), "Calls and requests refused, by discard code."),
        Metric("headwater_webhooks_total", "counter", (), "Webhooks stored raw."),
        Metric("headwater_log_end", "gauge", ("topic",), "Sequence that the next record of a topic gets."),
        Metric("headwater_log_damaged_records", "gauge", (), "Stored records that cannot be read any more."),
        Metric("headwater_inbox_cursor", "gauge", (), "Where the inbox mapper stands."),
        Metric("headwater_inbox_records_total", "counter", ("outcome",), "Webhooks and report records by their end."),
        Metric("headwater_inbox_events_total", "counter", ("outcome",), "Events of them, by their end."),
        Metric("headwater_account_state", "gauge", ("account", "state"), "1 for the state that a connection is in."),
        Metric("headwater_account_api_calls_total", "counter", ("account",), "Calls to an account's API."),
        Metric("headwater_account_api_throttled_total", "counter", ("account",), "Those that were answered with 429."),
        Metric("headwater_account_api_waiting", "gauge", ("account",), "Calls that wait for the account's budget."),
        Metric("headwater_account_webhook_repairs_total", "counter", ("account",), "Times its webhook was put right."),
        Metric("headwater_account_run_active", "gauge", ("account", "kind"), "1 while history is read or compared."),
        Metric("headwater_account_run_rows", "gauge", ("account", "kind"), "Rows that the newest run has read."),
        Metric(
            "headwater_delivery_events_total", "counter", ("destination", "outcome"), "Events by how delivery ended."
        ),
        Metric("headwater_delivery_active", "gauge", ("destination",), "1 while it is neither paused nor disabled."),
        Metric("headwater_delivery_pending", "gauge", ("destination",), "Events still waiting for a destination."),
        Metric("headwater_delivery_retrying", "gauge", ("destination",), "Those that wait for another try."),
        Metric("headwater_delivery_dead_letters", "gauge", ("destination",), "Events given up that nobody has judged."),
        Metric("headwater_delivery_backlog", "gauge", ("destination",), "Records to be caught up after an outage."),
        Metric("headwater_delivery_overtaken_total", "counter", ("destination",), "Events delivered out of order."),
        Metric("headwater_delivery_missed_total", "counter", ("destination",), "Records lost before they were read."),
        Metric(
            "headwater_delivery_unaccounted",
            "gauge",
            ("destination",),
            "Events in no place or in two; a fault.",
        ),
        Metric(
            "headwater_delivery_latency_seconds",
            "gauge",
            ("destination", "quantile"),
            "From receipt to delivery, over the last day.",
        ),
        Metric("headwater_warehouse_cursor", "gauge", ("warehouse",), "Where a warehouse stands in the log."),
        Metric("headwater_warehouse_lag_events", "gauge", ("warehouse",), "Events not yet in a warehouse."),
        Metric("headwater_warehouse_failures", "gauge", ("warehouse",), "Loads that failed in a row."),
        Metric("headwater_warehouse_reloads", "gauge", ("warehouse",), "Reloads that have something left to do."),
        Metric("headwater_warehouse_events_total", "counter", ("warehouse", "outcome"), "Events by how loading ended."),
        Metric("headwater_warehouse_unaccounted", "gauge", ("warehouse",), "Events in no count or in two; a fault."),
    )
}

Sample = tuple[str, Mapping[str, str], float]
"""(metric name, labels, value)."""


def exposition(samples: Iterable[Sample]) -> bytes:
    """Return the samples as Prometheus text; a sample whose metric is not listed above is a mistake of ours."""
    families: dict[str, prometheus.CounterMetricFamily | prometheus.GaugeMetricFamily] = {}
    for name, labels, value in samples:
        metric = METRICS[name]
        if name not in families:
            kind = prometheus.CounterMetricFamily if metric.kind == "counter" else prometheus.GaugeMetricFamily
            families[name] = kind(name, metric.help, labels=metric.labels)
        families[name].add_metric([labels[label] for label in metric.labels], value)
    registry = CollectorRegistry()
    registry.register(_Snapshot(families.values()))
    return generate_latest(registry)


class _Snapshot(prometheus_registry.Collector):
    """Hands finished families to the Prometheus client."""

    def __init__(self, families: Iterable[prometheus.Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[prometheus.Metric]:
        return self._families
