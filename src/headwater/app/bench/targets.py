"""What the figures are held against: the design's targets, each once. They are stated for two cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from headwater.app.bench.parts import Figures


@dataclass(frozen=True, slots=True)
class Target:
    """One promise about one figure.

    Attributes:
        what: for people.
        measured: the figure's path in the results, such as `accept.single.durable.events_per_s`.
        limit: the path of the limit that was measured in the same run; "" where there is none.
        beside: what the limit is, for people.
        ratio_min: measured by limit, at least.
        at_least, below: of the figure itself, in `unit`.
    """

    what: str
    measured: str
    unit: str
    limit: str = ""
    beside: str = ""
    ratio_min: float | None = None
    at_least: float | None = None
    below: float | None = None


_NOTHING: Final = "the same server storing nothing"

TARGETS: Final = (
    Target(
        "durable accept, single calls",
        "accept.single.durable.events_per_s",
        "events/s",
        "accept.single.nothing.events_per_s",
        _NOTHING,
        ratio_min=0.5,
        at_least=15_000,
    ),
    Target("durable accept, single calls, p99", "accept.single.durable.p99_ms", "ms", below=10),
    Target(
        "durable accept, batches of 100",
        "accept.batch.durable.events_per_s",
        "events/s",
        "accept.batch.nothing.events_per_s",
        _NOTHING,
        ratio_min=0.6,
        at_least=200_000,
    ),
    Target(
        "load stored events, one core",
        "load.ours.rows_per_cpu_s",
        "rows/s",
        "load.bare.events_per_cpu_s",
        "DuckDB read_json to Parquet",
        at_least=150_000,
    ),
    Target("accept to table, sustained", "throughput.sustained_events_per_s", "events/s", at_least=50_000),
    Target("largest process meanwhile", "throughput.rss_mb_max_role", "MB", below=512),
    Target("webhook to queryable row, p99", "latency.webhook.queryable.p99_ms", "ms", below=2_000),
    Target("webhook to destination, p99", "latency.webhook.delivered.p99_ms", "ms", below=250),
    Target("answer to a webhook, p99", "latency.webhook.answer.p99_ms", "ms", below=50),
    Target("idle memory, all processes", "idle.pss_mb", "MB", below=150),
    Target("idle processor time", "idle.cpu_percent", "% of a core", below=1),
    Target("headwater --help", "idle.help_ms", "ms", below=150),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target beside what was measured."""

    what: str
    unit: str
    measured: float
    limit: float | None
    beside: str
    ratio: float | None
    target: str
    met: bool


def verdicts(figures: Figures) -> list[Verdict]:
    """Return a verdict for each target whose measurement was taken."""
    return [_verdict(target, figures) for target in TARGETS if target.measured.partition(".")[0] in figures]


def _verdict(target: Target, figures: Figures) -> Verdict:
    measured = float(_at(figures, target.measured))
    limit = float(_at(figures, target.limit)) if target.limit else None
    ratio = round(measured / limit, 3) if limit else None
    held = [
        target.ratio_min is None or (ratio or 0) >= target.ratio_min,
        target.at_least is None or measured >= target.at_least,
        target.below is None or measured < target.below,
    ]
    return Verdict(target.what, target.unit, measured, limit, target.beside, ratio, _spoken(target), all(held))


def _at(figures: Figures, path: str) -> Any:
    found: Any = figures
    for name in path.split("."):
        found = found[name]
    return found


def _spoken(target: Target) -> str:
    parts = []
    if target.at_least is not None:
        parts.append(f"≥ {target.at_least:,g}")
    if target.ratio_min is not None:
        parts.append(f"≥ {target.ratio_min:.0%} of the limit")
    if target.below is not None:
        parts.append(f"< {target.below:,g}")
    return " and ".join(parts)
