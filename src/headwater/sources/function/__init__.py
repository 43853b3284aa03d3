"""Function: whatever is posted to the source's address goes to JavaScript of your own, which makes calls of it.

Source: Segment documentation, Source Functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headwater.limits import KIB
from headwater.sources.contract import Card, setting
from headwater.sources.function.memory import mapper

__all__ = ["CARD", "Settings", "mapper"]

CARD: Final = Card(
    id="function",
    slug="function",
    name="Function",
    description="Turns any webhook into events with JavaScript of your own, written like Segment's source functions.",
    schema_name="function",
    webhooks=True,
    webhook_bytes_max=512 * KIB,  # Segment: the body of a request to a source function
    keeps_headers=True,
    cloud=True,
    categories=("Custom", "Developer tools"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    function: str = field(
        default="",
        metadata=setting("Function", "The id of a source function; `headwater functions` makes and lists them."),
    )
    settings: Mapping[str, str] = field(
        default_factory=dict,
        repr=False,
        metadata=setting("Settings", "What the function gets as its second argument, by name.", secret=True),
    )
