"""Whether an id was stored before; exact, decided on the event loop at the moment of the append."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from headwater.spec.event import Record

KEY_BYTES: Final = 16


class Dedupe:
    """The ids of a log."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._prefixes: dict[str, bytes] = {}
        self._recent: set[bytes] = set()

    def admit(self, source_id: str, records: Sequence[Record]) -> tuple[list[bytes], list[bytes], tuple[int, ...]]:
        """Return lines and keys of the records that are new, and the positions of those that are not.

        The new ones count as stored from now on, until `withdraw` takes them back.
        """
        prefix = self._prefixes.get(source_id) or self._prefix(source_id)
        lines: list[bytes] = []
        keys: list[bytes] = []
        duplicates: list[int] = []
        recent = self._recent
        for position, (message_id, line) in enumerate(records):
            if message_id:
                key = blake2b(prefix + message_id.encode(), digest_size=KEY_BYTES).digest()
                if key in recent:
                    duplicates.append(position)
                    continue
                recent.add(key)
                keys.append(key)
            lines.append(line)
        return lines, keys, tuple(duplicates)

    def withdraw(self, keys: Sequence[bytes]) -> None:
        """Forget keys whose records were not stored."""
        self._recent.difference_update(keys)

    def _prefix(self, source_id: str) -> bytes:
        source = source_id.encode()
        prefix = self._secret + len(source).to_bytes(2, "little") + source
        self._prefixes[source_id] = prefix
        return prefix
