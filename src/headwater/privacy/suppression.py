"""Who may not be stored any more: keyed hashes in memory, asked once an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headwater.privacy.subjects import Hasher, subjects_of

Suppressed = Callable[[str, Mapping[str, Any]], bool]
"""Whether an event of a source (by id) is of somebody who is suppressed."""


def nobody(_source_id: str, _event: Mapping[str, Any]) -> bool:
    """Suppress nobody."""
    return False


class Suppressions:
    """The list of one process. A scope is a workspace or a source, by id; some 150 bytes an entry.

    Attributes:
        revision: grows with every change.
    """

    def __init__(self, hasher: Hasher | None = None) -> None:
        self.hasher = hasher or Hasher(b"")  # of a list that is empty; `use` brings the key with the first entry
        self.revision = 0
        self._digests: dict[str, set[str]] = {}
        self._workspaces: Mapping[str, str] = {}

    def __call__(self, source_id: str, body: Mapping[str, Any]) -> bool:
        """Tell whether an event of a source may not be stored or handed on."""
        if not self._digests:
            return False
        own, whole = self._digests.get(source_id), self._digests.get(self._workspaces.get(source_id, ""))
        if not own and not whole:
            return False
        digests = {self.hasher.digest(each) for each in subjects_of(body)}
        return bool((whole and not whole.isdisjoint(digests)) or (own and not own.isdisjoint(digests)))

    def use(self, hasher: Hasher) -> None:
        """Take the key that the entries to come were made with."""
        self.hasher = hasher

    def place(self, workspaces: Mapping[str, str]) -> None:
        """Take over which source belongs to which workspace."""
        self._workspaces = dict(workspaces)

    def add(self, entries: Iterable[tuple[str, str]]) -> None:
        """Take in more: (scope, hash)."""
        for scope, digest in entries:
            self._digests.setdefault(scope, set()).add(digest)
        self.revision += 1

    def replace(self, entries: Iterable[tuple[str, str]]) -> None:
        """Take these in place of all that are here."""
        digests: dict[str, set[str]] = {}
        for scope, digest in entries:
            digests.setdefault(scope, set()).add(digest)
        self._digests = digests
        self.revision += 1

    def of(self, source_id: str) -> list[set[str]]:
        """Return the hashes that a source's events are held against; empty where there are none."""
        scopes = source_id, self._workspaces.get(source_id, "")
        return [found for scope in scopes if (found := self._digests.get(scope))]

    def __len__(self) -> int:
        """Return how many entries there are."""
        return sum(len(digests) for digests in self._digests.values())
