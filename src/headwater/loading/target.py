"""A warehouse as the configuration has it: what is loaded where, how and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.loading.rules import Rules
from headwater.loading.schedule import Schedule
from headwater.loading.selection import Excluded
from headwater.models import Models


@dataclass(frozen=True, slots=True)
class Target:
    """One warehouse.

    Attributes:
        type: its name on the shelf.
        sources: schema name by source id; "" for a source that is known and not connected to this warehouse.
        enabled: a disabled one is not loaded; what it misses is loaded once it is enabled.
        keep_days: rows that were received longer ago are removed; None keeps all.
        email: the schemas of ActiveCampaign sources; the others are the product's.
    """

    id: str
    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    excluded: frozenset[Excluded] = frozenset()
    rules: Rules = field(default_factory=Rules)
    schedule: Schedule = field(default_factory=Schedule)
    keep_days: int | None = None
    models: Models = field(default_factory=Models)
    email: frozenset[str] = frozenset()

    @property
    def place(self) -> tuple[str, object]:
        """What makes it another warehouse: its type and its settings."""
        return self.type, self.settings
