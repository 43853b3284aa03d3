"""Merge small files into larger ones, so that a query opens few of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from headwater.warehouses.contract import Table
from headwater.warehouses.embedded.layout import Stretch, stretch_of, tables_of
from headwater.warehouses.embedded.parts import Parts, files_of, read

BATCHES_MAX: Final = 64  # 400 live files cost a query 57 ms
MERGED_BYTES_MAX: Final = 128 * 1024 * 1024  # a part above it is not written again: loading waits for a merge, 2 s


def is_due(parts: Parts) -> bool:
    """Return whether there are many live batches."""
    return len(parts.pending()) >= BATCHES_MAX


def merge(parts: Parts, known: Iterable[Table]) -> None:
    """Write all live batches, and parts that they have outgrown, as one part; `known` are the registry's tables."""
    pending = parts.pending()
    live = [parts.layout.live / stretch.name for stretch in pending]
    kept, taken = _tail(parts, sum(bytes_of(batch) for batch in live))
    inputs = [*(parts.layout.merged / name for name in taken), *live]
    held = dict.fromkeys(table for batch in inputs for table in tables_of(batch))
    contents = {table: f"from {read(files_of(inputs, table))}" for table in known if table in held}
    made = parts.write(hull([*pending, *ranges(taken)]), contents)
    parts.commit(
        [*kept, *([made] if made else [])], before=pending[-1].next, live=[stretch.name for stretch in pending]
    )


def hull(stretches: Iterable[Stretch]) -> Stretch:
    """Return the range from the first to the last of at least one."""
    every = list(stretches)
    return Stretch(min(stretch.first for stretch in every), max(stretch.next for stretch in every))


def ranges(parts: Iterable[str]) -> list[Stretch]:
    """Return the ranges of parts, by their names."""
    return [found for name in parts if (found := stretch_of(name))]


def bytes_of(batch: Path) -> int:
    """Return the size of a batch's or a part's files."""
    return sum(file.stat().st_size for file in batch.glob("*/*.parquet"))


def _tail(parts: Parts, size: int) -> tuple[list[str], list[str]]:
    """Return the parts to leave and those to write again with the live batches.

    A part is written again only by what has grown to half its size: each row is written a number of times that is
    logarithmic in the rows there are.
    """
    kept, taken = list(parts.state.parts), list[str]()
    while kept and (last := bytes_of(parts.layout.merged / kept[-1])) <= min(2 * size, MERGED_BYTES_MAX):
        taken.insert(0, kept.pop())
        size += last
    return kept, taken
