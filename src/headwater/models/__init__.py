"""Models for analysis: views over a warehouse's tables, and the same as a dbt package."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from headwater.models.rendering import render
from headwater.warehouses.contract import Columns, Table, View

SCHEMA: Final = "headwater"
"""Where the views lie; no source's schema is called so."""

DIALECTS: Final = ("duckdb", "postgres")


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


def views(dialect: str, tables: Mapping[Table, Columns], models: Models, email: Collection[str]) -> list[View]:
    """Return the views for a warehouse with these tables, each after those that it reads.

    Their columns and types are always the same: what a warehouse does not have is null, or no row. There are none where
    no source of emails has a table yet.

    Args:
        dialect: "duckdb" or "postgres"; for any other there are none.
        tables: every table and column there is.
        models: what the user chose.
        email: the schemas of ActiveCampaign sources; the others are the product's.
    """
    schemas = dict.fromkeys(table.schema for table in tables if table.schema != SCHEMA)
    of_email = [schema for schema in schemas if schema in email]
    if not (models.enabled and of_email and dialect in DIALECTS):
        return []
    variables = {
        "headwater_email_schemas": of_email,
        "headwater_product_schemas": [schema for schema in schemas if schema not in email],
        "headwater_conversions": [*models.conversions],
        "headwater_revenue": [*models.revenue],
        "headwater_window_days": models.window_days,
    }
    return [View(SCHEMA, name, select) for name, select in render(dialect, SCHEMA, tables, variables)]
