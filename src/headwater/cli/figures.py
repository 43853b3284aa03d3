"""How a destination's figures over time are printed: a line for each point where something happened, and the totals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import click

from headwater.cli import printing

_COUNTS: Final = (
    ("received", "received"),
    ("filtered", "filtered"),
    ("deliveredFirstTry", "first try"),
    ("deliveredOnRetry", "on retry"),
    ("retried", "retried"),
    ("failed", "failed"),
    ("discarded", "discarded"),
)
_QUANTILES: Final = (("p50S", "p50 s"), ("p95S", "p95 s"), ("p99S", "p99 s"))


def show(found: dict[str, Any]) -> None:
    """Print points and totals; times are those of this machine's clock."""
    heads = ["at", *(head for _, head in (*_COUNTS, *_QUANTILES))]
    rows = [[_local(point["at"]), *_counts(point), *_delays(point)] for point in found["points"] if _has_any(point)]
    printing.table(heads, rows, empty="Nothing happened in this time.")
    click.echo(sentence(found["totals"]))


def sentence(totals: Mapping[str, Any]) -> str:
    """Return the totals as one line: counts, reasons of what was filtered, and delays from receipt to delivery."""
    said = [f"{count:,} {head}" for count, (_, head) in zip(_counts(totals), _COUNTS, strict=True)]
    if totals["filtered"]:
        reasons = ", ".join(f"{printing.text_of(reason)} {count:,}" for reason, count in totals["filtered"].items())
        said[1] += f" ({reasons})"
    delays = [f"{head.removesuffix(' s')} {totals[name]:g} s" for name, head in _QUANTILES if totals[name] is not None]
    return f"{', '.join(said)}." + (f" {', '.join(delays)} from receipt to delivery." if delays else "")


def _counts(point: Mapping[str, Any]) -> list[int]:
    return [sum(point[name].values()) if name == "filtered" else point[name] for name, _ in _COUNTS]


def _delays(point: Mapping[str, Any]) -> list[float | None]:
    return [None if point[name] is None else round(point[name], 3) for name, _ in _QUANTILES]


def _has_any(point: Mapping[str, Any]) -> bool:
    return any(_counts(point))


def _local(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
