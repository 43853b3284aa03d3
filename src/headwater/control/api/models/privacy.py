"""Regulations, suppressions and what is known of a person."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination


class DestinationStatus(msgspec.Struct, rename="camel"):
    """What became of a deletion at one destination."""

    name: str
    id: str
    status: str
    err_string: str
    finished_at: str | None


class StreamStatus(msgspec.Struct, rename="camel"):
    """A source and its destinations."""

    id: str
    destination_status: list[DestinationStatus]


class StoreStatus(msgspec.Struct, rename="camel"):
    """One place of data: records of the people before, erased, and counted again after."""

    name: str
    status: str
    before: int
    erased: int
    after: int | None
    error: str
    finished_at: str | None


class Search(msgspec.Struct, rename="camel"):
    """The search through every file of the data directory; `found` counts files that still hold an identifier."""

    files: int
    bytes: int
    identifiers: int
    found: dict[str, int]


class Receipt(msgspec.Struct, rename="camel"):
    """What was done; it names nobody."""

    linked: dict[str, int]
    stores: list[StoreStatus]
    search: Search | None
    tries: int
    next_try_at: str | None


class Regulation(msgspec.Struct, rename="camel"):
    """A regulation with its receipt."""

    id: str
    workspace_id: str
    overall_status: str
    finished_at: str | None
    created_at: str
    stream_status: list[StreamStatus]
    regulation_type: str
    subject_type: str
    subject_count: int
    source_id: str | None
    follow_links: bool
    created_by: str
    begins_at: str
    reason: str
    receipt: Receipt


class OneRegulation(msgspec.Struct, rename="camel"):
    """One regulation."""

    regulation: Regulation


class Entry(msgspec.Struct, rename="camel"):
    """A regulation in a list; subjects are keyed hashes, at most a hundred of them."""

    id: str
    subject_type: str
    subjects: list[str]
    subject_count: int
    status: str
    created_at: str
    regulation_type: str
    begins_at: str
    created_by: str
    source_id: str | None
    finished_at: str | UnsetType = UNSET


class Regulations(msgspec.Struct, rename="camel"):
    """A page of regulations, newest first."""

    regulations: list[Entry]
    pagination: Pagination


class Regulated(msgspec.Struct, rename="camel"):
    """The id of a new regulation."""

    regulate_id: str


class Reapplied(msgspec.Struct, rename="camel"):
    """The regulations that were made, and for how many identifiers."""

    regulate_ids: list[str]
    subject_count: int


class Suppressed(msgspec.Struct, rename="camel"):
    """A suppressed identifier, as its keyed hash."""

    subject_type: str
    subject_ids: list[str]
    source_id: str | None
    is_linked: bool
    regulation_id: str
    created_at: str


class Suppressions(msgspec.Struct, rename="camel"):
    """A page of the list."""

    suppressed: list[Suppressed]
    pagination: Pagination


class Linked(msgspec.Struct, rename="camel"):
    """An identifier of the person."""

    subject_type: str
    subject_id: str
    is_named: bool


class StoreCount(msgspec.Struct, rename="camel"):
    """How many records one place has."""

    name: str
    count: int


class Told(msgspec.Struct, rename="camel"):
    """A destination that would be told."""

    id: str
    name: str
    type: str


class Preview(msgspec.Struct, rename="camel"):
    """What a deletion would find."""

    linked: list[Linked]
    stores: list[StoreCount]
    destinations: list[Told]
    suppressed: bool
