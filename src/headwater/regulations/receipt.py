"""What a regulation did, place by place: kept for good, so without a name in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from headwater.privacy.regulation import Status
from headwater.regulations.searching import Searched


class StoreResult(msgspec.Struct, rename="camel"):
    """One store: records of the person before, erased, and after, counted anew."""

    name: str
    status: Status = Status.INITIALIZED
    before: int = 0
    erased: int = 0
    after: int | None = None
    error: str = ""
    finished_at: str | None = None


class DestinationResult(msgspec.Struct, rename="camel"):
    """One destination that was told to delete."""

    id: str
    name: str
    type: str
    source_id: str
    status: Status = Status.INITIALIZED
    error: str = ""
    finished_at: str | None = None


class Search(msgspec.Struct, rename="camel"):
    """The search through all files; `found` names files that still hold an identifier, by directory."""

    files: int = 0
    bytes: int = 0
    identifiers: int = 0
    found: dict[str, int] = {}


class Receipt(msgspec.Struct, rename="camel"):
    """All of it; `linked` counts identifiers by kind, named ones included."""

    linked: dict[str, int] = {}
    is_resolved: bool = False
    stores: list[StoreResult] = []
    destinations: list[DestinationResult] = []
    search: Search | None = None
    tries: int = 0
    next_try_at: str | None = None

    def store(self, name: str) -> StoreResult:
        """Return a store's entry, a new one where there is none yet."""
        for each in self.stores:
            if each.name == name:
                return each
        self.stores.append(StoreResult(name))
        return self.stores[-1]

    def note_search(self, found: Searched) -> None:
        """Take in what a search found."""
        self.search = Search(found.files, found.size, found.needles, found.found)

    def shape(self) -> dict[str, Any]:
        """Return it as JSON."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


def receipt_of(shape: Mapping[str, Any]) -> Receipt:
    """Return what `shape` was made of."""
    return msgspec.convert(shape, Receipt)


def overall(parts: Iterable[Status]) -> Status:
    """Return how the whole ended: parts that are not supported count for nothing, failed ones make it partial."""
    counted = [each for each in parts if each is not Status.NOT_SUPPORTED]
    failed = [each for each in counted if each is not Status.FINISHED]
    if not failed:
        return Status.FINISHED
    return Status.FAILED if len(failed) == len(counted) else Status.PARTIAL_SUCCESS
