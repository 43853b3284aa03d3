"""Selective sync: which collections and properties of which source stay out of a warehouse. Pure.

Source: Segment, warehouse syncs: per warehouse, source, collection and property; rows that are there stay.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Excluded:
    """Something that is not loaded.

    Attributes:
        collection: a table's name as the warehouse has it, such as `email_opened`, `tracks` or `identifies`.
        property: a column's name in it; "" for the whole table. Rows that are loaded meanwhile have null there.
    """

    source_id: str
    collection: str
    property: str = ""
