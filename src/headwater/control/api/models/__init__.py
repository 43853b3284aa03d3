"""What the Public API answers: one model for each operation's `data`, one file a family.

They describe, they do not convert: the OpenAPI document is made from them, and the tests hold every answer against
them. A member without a default is always there; one with UNSET may be missing; `| None` may be null.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Pagination(msgspec.Struct, rename="camel"):
    """Where a page stands in its list; cursors are opaque."""

    current: str
    next: str | UnsetType | None = UNSET
    previous: str | UnsetType | None = UNSET
    total_entries: int | UnsetType = UNSET


class Done(msgspec.Struct, rename="camel"):
    """It is done."""

    status: str


Settings = dict[str, Any]
"""Settings by name, as their type in the catalog describes them; secrets are masked."""
