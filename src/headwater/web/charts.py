"""The geometry of charts that Jinja draws as SVG. Pure: numbers in, coordinates out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

WIDTH: Final = 720
HEIGHT: Final = 132
_LEFT: Final = 44
_TOP: Final = 12
_BOTTOM: Final = 24
_BAR_SHARE: Final = 0.74
_LABELS: Final = 4  # besides the last one's

Step = Literal["minute", "hour", "day"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: what it counts, and where it stands."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time: where its bar stands, where its slot for the pointer stands, what it counts."""

    x: float
    width: float
    segments: tuple[Segment, ...]
    slot_x: float
    slot_width: float
    at: datetime
    counts: Mapping[str, int]
    labelled: bool

    @property
    def count(self) -> int:
        """Everything that is counted here."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal grid line and its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart over time."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    step: Step
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT


def bars(points: Sequence[tuple[datetime, Mapping[str, int]]], step: Step = "hour") -> Bars:
    """Return the chart of counts by step, oldest first; what a point counts is stacked in the order of its members.

    The axis ends at a round number.
    """
    top = ceiling(max((sum(counts.values()) for _, counts in points), default=0))
    slot = (WIDTH - _LEFT) / max(len(points), 1)
    every = max(1, len(points) // _LABELS)
    drawn = tuple(
        Bar(
            x=round(_LEFT + slot * position + slot * (1 - _BAR_SHARE) / 2, 2),
            width=round(slot * _BAR_SHARE, 2),
            segments=_stacked(counts, top),
            slot_x=round(_LEFT + slot * position, 2),
            slot_width=round(slot, 2),
            at=at,
            counts=counts,
            labelled=position == len(points) - 1 or (position % every == 0 and position < len(points) - every // 2),
        )
        for position, (at, counts) in enumerate(points)
    )
    floor = HEIGHT - _BOTTOM
    lines = tuple(Line(round(floor - (floor - _TOP) * share, 2), compact(top * share)) for share in (0, 0.5, 1))
    return Bars(drawn, lines, step)


def _stacked(counts: Mapping[str, int], top: int) -> tuple[Segment, ...]:
    foot, segments = float(HEIGHT - _BOTTOM), []
    for kind, count in counts.items():
        height = max((HEIGHT - _BOTTOM - _TOP) * count / top, 2.0) if count else 0.0
        foot -= height
        if height:
            segments.append(Segment(kind, round(foot, 2), round(height, 2)))
    return tuple(segments)


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
