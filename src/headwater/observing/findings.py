"""What one batch of the log says of its sources, before it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from headwater.protocols.rules import Code, Kind
from headwater.spec.event import Record

Collection = tuple[str, str, str]
"""(source id, kind, name)."""

Broken = tuple[str, str, str, str, str]
"""(source id, kind, name, field, type of violation)."""


@dataclass(slots=True)
class Times:
    """How often something was there, and between when; times are ISO 8601."""

    count: int = 0
    first: str = ""
    last: str = ""

    def add(self, count: int, first: str, last: str) -> None:
        """Count more of it."""
        self.count += count
        self.first = min(self.first, first) if self.first else first
        self.last = max(self.last, last)


@dataclass(slots=True)
class Property(Times):
    """A property or trait; `types` as JSON Schema names them."""

    types: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Broke:
    """A violation: how often, and where the newest event that has it lies in the log."""

    description: str
    count: int = 0
    seq: int = 0
    at: str = ""


@dataclass(slots=True)
class Findings:
    """All of it.

    Attributes:
        days: events by collection and UTC day.
        blocked: by collection, day and code; `minutes` by source, minute (epoch) and code.
        omitted: by collection and field.
        forwarded: what other sources are to be given, by their id.
    """

    collections: dict[Collection, Times] = field(default_factory=dict)
    properties: dict[tuple[Collection, str], Property] = field(default_factory=dict)
    days: Counter[tuple[Collection, str]] = field(default_factory=Counter)
    blocked: Counter[tuple[Collection, str, Code]] = field(default_factory=Counter)
    minutes: Counter[tuple[str, int, Code]] = field(default_factory=Counter)
    omitted: Counter[tuple[Collection, str]] = field(default_factory=Counter)
    violations: dict[tuple[Broken, str], Broke] = field(default_factory=dict)
    forwarded: dict[str, list[Record]] = field(default_factory=dict)

    def saw(self, collection: Collection, fields: Iterable[tuple[str, str]], times: Times) -> None:
        """Note events of one shape."""
        count, first, last = times.count, times.first, times.last
        self.collections.setdefault(collection, Times()).add(count, first, last)
        self.days[collection, last[:10]] += count
        for path, kind in fields:
            found = self.properties.setdefault((collection, path), Property())
            found.add(count, first, last)
            found.types.add(kind)


def kind_of(type_: str) -> Kind | None:
    """Return the kind of a call, None for those that are not looked at."""
    return Kind(type_.upper()) if type_.upper() in set(Kind) and type_ == type_.lower() else None


def text_of(moment: datetime) -> str:
    """Return a time of the log as it is kept."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
