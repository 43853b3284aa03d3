"""Models for analysis: views over a warehouse's tables, and the same as a dbt package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.warehouses.contract import Columns, Table, View

SCHEMA: Final = "headwater"
"""Where the views lie; no source's schema is called so."""


@dataclass(frozen=True, slots=True)
class Models:
    """How the views of a warehouse are made.

    Attributes:
        enabled: whether there are any.
        conversions: the tables of product events that count as conversions, such as `order_completed`.
        revenue: the properties that hold their revenue, the first one that is there counts.
        window_days: how long after a click a conversion belongs to it.
    """

    enabled: bool = True
    conversions: tuple[str, ...] = ("order_completed",)
    revenue: tuple[str, ...] = ("revenue", "total", "value")
    window_days: int = 7


def views(dialect: str, tables: Mapping[Table, Columns], models: Models, email: Sequence[str]) -> list[View]:
    """Return the views for a warehouse with these tables.

    Args:
        dialect: "duckdb" or "postgres".
        tables: every table and column there is.
        models: what the user chose.
        email: the schemas of ActiveCampaign sources; the others are the product's.
    """
    del dialect, tables, models, email
    return []
