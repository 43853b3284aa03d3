"""What a warehouse is loaded by: rules where we differ from Segment, each with the switch that brings its way back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Conflicts(StrEnum):
    """What becomes of a value that does not fit the type of its column."""

    WIDEN = "widen"
    """The column becomes double or varchar where the warehouse can; else as `OVERFLOW`."""
    OVERFLOW = "overflow"
    """The column keeps its type; the value is kept in `_overflow`."""
    DROP = "drop"
    """Segment's way: the column is null, and the value is nowhere."""


class Arrays(StrEnum):
    """How an array is spelled in its text column."""

    JSON = "json"
    SEGMENT = "segment"
    """`[507f1, 505bd]`: without quotes."""


class Reserved(StrEnum):
    """What becomes of a property that is called like a column of every call, such as `user_id`."""

    PREFIX = "prefix"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Rules:
    """The switches of one warehouse.

    Attributes:
        string_chars_max: longer strings are cut; None keeps them whole. Segment cuts at 512.
        caps: whether tables and columns beyond a number go to `_overflow`; Segment has no such bound.

    Source: Segment, warehouse schemas.
    """

    conflicts: Conflicts = Conflicts.WIDEN
    string_chars_max: int | None = None
    arrays: Arrays = Arrays.JSON
    reserved: Reserved = Reserved.PREFIX
    caps: bool = True


OURS = Rules()
"""Nothing is lost."""

SEGMENT = Rules(Conflicts.DROP, 512, Arrays.SEGMENT, Reserved.DISCARD, caps=False)
"""All switches on Segment's side."""
