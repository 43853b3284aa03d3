"""A person as events know them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """All identifiers of one person, or of several who are dealt with alike.

    In a table, a row is theirs when it has one of these ids in a column of ids, or one of these addresses in any text.
    """

    user_ids: frozenset[str] = frozenset()
    anonymous_ids: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
