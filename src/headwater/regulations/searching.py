"""Proof by search: whether any file of the data directory still has an identifier in it, byte for byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headwater.privacy.matching import long_enough
from headwater.privacy.person import Person

_NEEDLES_MAX: Final = 20  # ours: each is looked for through all files, at some GB a second
_CHUNK_BYTES: Final = 256 * 1024  # ours: looked through at once, so that other threads have their turn


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search found.

    Attributes:
        files, size: how many files were read, and their bytes.
        needles: how many identifiers were looked for; short ones are not, they stand everywhere by chance.
        found: files that hold one, by the directory or file below the data directory.
    """

    files: int = 0
    size: int = 0
    needles: int = 0
    found: dict[str, int] = field(default_factory=dict)


def search(directory: Path, person: Person) -> Searched:
    """Look through every file; compressed ones hold nothing in plain, the stores themselves count those."""
    needles = [each.encode("utf-8", "surrogatepass") for each in long_enough(person)][:_NEEDLES_MAX]
    files = size = 0
    found: Counter[str] = Counter()
    for path in _files(directory):
        try:
            held, length = _holds(path, needles)
        except OSError:  # gone meanwhile: a segment that was trimmed, a file that was merged
            continue
        files, size = files + 1, size + length
        if held:
            found[path.relative_to(directory).parts[0]] += 1
    return Searched(files, size, len(needles), dict(found))


def _files(directory: Path) -> Iterator[Path]:
    yield from (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def _holds(path: Path, needles: Sequence[bytes]) -> tuple[bool, int]:
    overlap = max(map(len, needles), default=1) - 1
    length, kept, is_held = 0, b"", False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            length += len(chunk)
            kept += chunk
            is_held = is_held or any(needle in kept for needle in needles)
            kept = kept[-overlap:] if overlap else b""
    return is_held, length
