"""The geometry of charts that Jinja draws as SVG. Pure: numbers in, coordinates out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 132
_LEFT: Final = 44
_TOP: Final = 12
_BOTTOM: Final = 24
_BAR_SHARE: Final = 0.74
_LABELS_EVERY: Final = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour: where its bar stands, where its slot for the pointer stands, what it says."""

    x: float
    y: float
    width: float
    height: float
    slot_x: float
    slot_width: float
    at: datetime
    count: int
    labelled: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal grid line and its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart of hours."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT


def bars(hours: Sequence[tuple[datetime, int]]) -> Bars:
    """Return the chart of counts by hour, oldest first; the axis ends at a round number."""
    top = ceiling(max((count for _, count in hours), default=0))
    floor = HEIGHT - _BOTTOM
    slot = (WIDTH - _LEFT) / max(len(hours), 1)
    drawn = []
    for position, (at, count) in enumerate(hours):
        height = max((floor - _TOP) * count / top, 2.0) if count else 0.0
        drawn.append(
            Bar(
                x=round(_LEFT + slot * position + slot * (1 - _BAR_SHARE) / 2, 2),
                y=round(floor - height, 2),
                width=round(slot * _BAR_SHARE, 2),
                height=round(height, 2),
                slot_x=round(_LEFT + slot * position, 2),
                slot_width=round(slot, 2),
                at=at,
                count=count,
                labelled=position == len(hours) - 1
                or (position % _LABELS_EVERY == 0 and position < len(hours) - _LABELS_EVERY // 2),
            )
        )
    lines = tuple(Line(round(floor - (floor - _TOP) * share, 2), compact(top * share)) for share in (0, 0.5, 1))
    return Bars(tuple(drawn), lines)


def ceiling(value: int) -> int:
    """Return the round number (1, 2, 2.5, 4, 5, 6 or 8 times a power of ten, and even) that an axis ends at."""
    magnitude = 1
    while True:
        for step in (1, 2, 2.5, 4, 5, 6, 8):
            top = step * magnitude
            if top >= value and top >= 2 and top % 2 == 0:  # noqa: PLR2004 - its half is a label too
                return int(top)
        magnitude *= 10


def compact(value: float) -> str:
    """Return an axis label: "250", "1,250", "12.5K", "3M"."""
    for size, letter in ((1_000_000, "M"), (10_000, "K")):
        if value >= size:
            shown = value / (1_000_000 if letter == "M" else 1000)
            return f"{shown:g}{letter}"
    return f"{value:,.0f}"


@dataclass(frozen=True, slots=True)
class Spark:
    """A sparkline: the points of its line and of the area below."""

    line: str
    area: str
    width: int = 112
    height: int = 28


def spark(counts: Sequence[int]) -> Spark:
    """Return the sparkline of some counts, oldest first."""
    width, height = 112, 28
    top = max(counts, default=0) or 1
    step = width / max(len(counts) - 1, 1)
    points = [(round(step * at, 1), round(height - 2 - (height - 5) * n / top, 1)) for at, n in enumerate(counts)]
    line = " ".join(f"{x},{y}" for x, y in points)
    return Spark(line, f"0,{height} {line} {width},{height}")
