"""What stands in the log in place of a record that was erased: its line says nothing but the key of its id.

The key is that of the index of ids (a keyed hash, see `eventlog.dedupe`), so that a late duplicate of an erased event
is still known as one; "" where the record had no id. No other record can look like this: the whole line is compared,
and every other one says more.
"""

from __future__ import annotations

import re
from typing import Final

KEY_BYTES: Final = 16
MARK: Final = b'{"erased":"'
"""How a tombstone begins; text inside an event may hold it as well: bytes without it hold no tombstone."""

_END: Final = b'"}'
_KEYLESS_BYTES: Final = len(MARK) + len(_END)
_KEYED_BYTES: Final = _KEYLESS_BYTES + 2 * KEY_BYTES
_LINES: Final = re.compile(rb'^\{"erased":"(?:[0-9a-f]{32})?"\}$', re.MULTILINE)


def tombstone(key: bytes = b"") -> bytes:
    """Return the line of an erased record, no newline; `key`: 16 bytes, or none."""
    return b"".join((MARK, key.hex().encode(), _END))


def is_tombstone(line: bytes) -> bool:
    """Return whether a line of the log, with no newline, is that of an erased record."""
    return line.startswith(MARK) and len(line) in {_KEYED_BYTES, _KEYLESS_BYTES} and line.endswith(_END)


def key_of(line: bytes) -> bytes:
    """Return the key that a tombstone keeps, empty where the record had no id."""
    return bytes.fromhex(line[len(MARK) : -len(_END)].decode())


def count_tombstones(lines: bytes) -> int:
    """Return how many of the lines, each ended by a newline, are tombstones."""
    return len(_LINES.findall(lines)) if MARK in lines else 0
