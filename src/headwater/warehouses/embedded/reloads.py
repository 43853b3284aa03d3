"""What a reload collects, and how it takes the place of what was there.

Its batches lie aside until its end. Then the parts that hold rows of the same sequences are written again without
those, and what was collected becomes a part of its own: one change, so that a reader sees all of it or nothing. A row
is known by its sequence, never by the range it lies in: where a stretch of the log has been lost since, what the
warehouse has of it stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from headwater.warehouses.contract import SEQ, Table
from headwater.warehouses.embedded import compaction
from headwater.warehouses.embedded.layout import Stretch, publish, stretch_of, stretches, tables_of
from headwater.warehouses.embedded.parts import Parts, file_of, read


class Chunk(NamedTuple):
    """A collected batch, and the sequences for which it is asked."""

    directory: Path
    first: int
    next: int
    is_whole: bool


def collect(parts: Parts, reload: str, stretch: Stretch, staged: Path) -> None:
    """Keep the directory of a batch for the end of its reload; a batch that is there already is left as it is."""
    parts.begin(reload)
    target = parts.layout.reload(reload) / stretch.name
    if target.exists():
        shutil.rmtree(staged)
        return
    publish(staged, target)
    for other in stretches(target.parent):
        if other != stretch and stretch.first <= other.first and other.next <= stretch.next:
            shutil.rmtree(target.parent / other.name)


def finish(parts: Parts, reload: str, known: Collection[Table]) -> None:
    """Make visible what a reload has collected."""
    collected = parts.layout.reload(reload)
    chunks = covering(collected)
    if chunks:
        if any(live.first < chunks[-1].next for live in parts.pending()):
            compaction.merge(parts, known)
        _replace(parts, chunks, reload, set(known))
    shutil.rmtree(collected, ignore_errors=True)


def covering(collected: Path) -> list[Chunk]:
    """Return the batches of a reload so that each sequence is asked of one of them.

    A crash before the engine noted where it stands makes the next batch begin where an earlier one did.
    """
    chunks: list[Chunk] = []
    covered = 0
    for stretch in sorted(stretches(collected), key=lambda each: (each.first, -each.next)):
        first = max(stretch.first, covered)
        if first < stretch.next:
            chunks.append(Chunk(collected / stretch.name, first, stretch.next, first == stretch.first))
            covered = stretch.next
    return chunks


def _replace(parts: Parts, chunks: list[Chunk], reload: str, known: set[Table]) -> None:
    """Write the parts that are concerned again, and the collected rows as a part; commit both."""
    tables = {table for chunk in chunks for table in tables_of(chunk.directory)} & known
    rows = {table: _rows(chunks, table) for table in sorted(tables)}
    every = compaction.hull(Stretch(chunk.first, chunk.next) for chunk in chunks)
    kept = [_without(parts, name, rows, every) for name in parts.state.parts]
    made = parts.write(every, rows)
    parts.commit([name for name in (*kept, made) if name], finished=reload)


def _rows(chunks: list[Chunk], table: Table) -> str:
    """Return the SELECT of a table's collected rows, each once."""
    whole = [file for chunk in chunks if chunk.is_whole and (file := file_of(chunk.directory, table)).exists()]
    selects = [f"from {read(whole)}"] if whole else []
    selects += [
        f"from {read([file])} where {SEQ} >= {chunk.first}"
        for chunk in chunks
        if not chunk.is_whole and (file := file_of(chunk.directory, table)).exists()
    ]
    return " union all by name ".join(f"({select})" for select in selects)


def _without(parts: Parts, name: str, rows: dict[Table, str], every: Stretch) -> str | None:
    """Return a part without the rows that were collected anew: itself when it has none of them."""
    stretch = stretch_of(name)
    if stretch is None or stretch.next <= every.first or every.next <= stretch.first:
        return name
    contents: dict[Table, str | Path] = {}
    is_changed = False
    for table in tables_of(parts.layout.merged / name):
        old = read([file_of(parts.layout.merged / name, table)])
        contents[table] = file_of(parts.layout.merged / name, table)
        if table in rows:
            anew = f"(select {SEQ} from ({rows[table]})) as anew using ({SEQ})"
            if parts.connection.execute(f"select 1 from {old} semi join {anew} limit 1").fetchone():
                contents[table] = f"select old.* from {old} as old anti join {anew}"
                is_changed = True
    return parts.write(stretch, contents) if is_changed else name
