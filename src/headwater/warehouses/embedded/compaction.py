"""Merge small files into larger ones, without a reader seeing a row twice, not at all, or an error.

A merge writes new files, notes them in `layout.json`, then replaces the views. Readers that hold older views go on
with the files that were merged: these stay for `GRACE`. After that the older views' generation file goes first, so that
a reader who still holds them is told to reconnect instead of being shown too little.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from headwater import clock
from headwater.clock import Clock
from headwater.spec.names import quote_text
from headwater.warehouses.contract import SEQ, Table
from headwater.warehouses.embedded.layout import Layout, Stretch, lost, publish, stretches, sync, tables_of, write_json
from headwater.warehouses.embedded.views import Merged

BATCHES_MAX: Final = 64  # 400 live files cost a query 57 ms
GRACE: Final = timedelta(minutes=30)
MERGED_BYTES_MAX: Final = 512 * 1024 * 1024  # a file above it is not written again
MEMORY: Final = "256MB"


class _Retired(msgspec.Struct):
    """What a merge replaced, and when."""

    generation: int
    at: datetime
    live: list[str]
    merged: list[str]


class _State(msgspec.Struct):
    """The file `layout.json`."""

    generation: int = 0
    before: int = 0
    stretches: list[Stretch] = []
    retired: list[_Retired] = []


class Compaction:
    """Knows which batches stand in merged files and which files wait for their end."""

    def __init__(self, layout: Layout, clock: Clock = clock.now) -> None:
        self._layout = layout
        self._clock = clock
        self._state = _State()

    @property
    def merged(self) -> Merged:
        """What the views need to know."""
        return Merged(self._state.generation, self._state.before, tuple(self._state.stretches))

    def open(self) -> None:
        """Read the state and remove merged files that no state speaks of: their merge was cut off.

        Raises:
            DeliveryError: the state is missing, and there are merged files whose rows stand nowhere else.
        """
        path = self._layout.root / "layout.json"
        self._state = msgspec.json.decode(path.read_bytes(), type=_State) if path.exists() else _State()
        if not path.exists() and not all(self._is_live(stretch) for stretch in stretches(self._layout.merged)):
            raise lost(path.name)
        known = {stretch.name for stretch in self._state.stretches}
        known.update(name for retired in self._state.retired for name in retired.merged)
        for stretch in stretches(self._layout.merged):
            if stretch.name not in known:
                shutil.rmtree(self._layout.merged / stretch.name)
        self._write_generation(self._state.generation)

    def _is_live(self, merged: Stretch) -> bool:
        """Return whether the first and the last batch of a merge are still there: what the first merge ever leaves."""
        live = stretches(self._layout.live)
        return merged.first in {batch.first for batch in live} and merged.next in {batch.next for batch in live}

    def run(self, tables: Iterable[Table]) -> bool:
        """Merge the live batches when there are many; return whether the views have to be replaced."""
        pending = [stretch for stretch in stretches(self._layout.live) if stretch.first >= self._state.before]
        if len(pending) < BATCHES_MAX:
            return False
        live = [self._layout.live / stretch.name for stretch in pending]
        kept, taken = self._tail(sum(_bytes(batch) for batch in live))
        merged = Stretch((taken or pending)[0].first, pending[-1].next)
        inputs = [*(self._layout.merged / stretch.name for stretch in taken), *live]
        self._merge(inputs, merged, known=set(tables))
        retired = _Retired(
            self._state.generation,
            self._clock(),
            [stretch.name for stretch in pending],
            [stretch.name for stretch in taken],
        )
        generation = self._state.generation + 1
        self._write_generation(generation)
        self._save(_State(generation, merged.next, [*kept, merged], [*self._state.retired, retired]))
        return True

    def remove_retired(self) -> None:
        """Remove what was replaced more than `GRACE` ago."""
        due = [retired for retired in self._state.retired if self._clock() - retired.at > GRACE]
        for retired in due:
            self._layout.generation(retired.generation).unlink(missing_ok=True)
            sync(self._layout.generation(0).parent)
            for folder, names in ((self._layout.live, retired.live), (self._layout.merged, retired.merged)):
                for name in names:
                    shutil.rmtree(folder / name, ignore_errors=True)
        if due:
            left = [retired for retired in self._state.retired if retired not in due]
            self._save(_State(self._state.generation, self._state.before, self._state.stretches, left))

    def _tail(self, size: int) -> tuple[list[Stretch], list[Stretch]]:
        """Return the merged files to leave and those to write again with the live ones.

        A merged file is written again only by what has grown to half its size: each row is written a number of times
        that is logarithmic in the rows there are.
        """
        kept, taken = list(self._state.stretches), list[Stretch]()
        while kept and (last := _bytes(self._layout.merged / kept[-1].name)) <= min(2 * size, MERGED_BYTES_MAX):
            taken.insert(0, kept.pop())
            size += last
        return kept, taken

    def _merge(self, inputs: Sequence[Path], merged: Stretch, *, known: set[Table]) -> None:
        """Write the rows of the input directories, in log order, as one file a table."""
        staged = self._layout.staging / merged.name
        shutil.rmtree(staged, ignore_errors=True)
        tables = dict.fromkeys(table for batch in inputs for table in tables_of(batch))
        with duckdb.connect(config={"threads": 1, "memory_limit": MEMORY}) as connection:
            for table in tables.keys() & known:
                name = Path(table.schema, f"{table.name}.parquet")
                files = ", ".join(quote_text(str(batch / name)) for batch in inputs if (batch / name).exists())
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                connection.execute(
                    f"copy (from read_parquet([{files}], union_by_name = true)) to {quote_text(str(staged / name))} "
                    "(format parquet, compression zstd)"
                )
        shutil.rmtree(self._layout.merged / merged.name, ignore_errors=True)
        publish(staged, self._layout.merged / merged.name)

    def _write_generation(self, number: int) -> None:
        """Make the file that views of a generation need."""
        target = self._layout.generation(number)
        if target.exists():
            return
        staged = self._layout.staging / "generation.parquet"
        with duckdb.connect(config={"threads": 1}) as connection:
            select = f"select null::bigint as {SEQ} where false"
            connection.execute(f"copy ({select}) to {quote_text(str(staged))} (format parquet)")
        publish(staged, target)

    def _save(self, state: _State) -> None:
        """Make a state the one that counts."""
        write_json(self._layout.root / "layout.json", self._layout.staging, state)
        self._state = state


def _bytes(batch: Path) -> int:
    """Return the size of a batch's files."""
    return sum(file.stat().st_size for file in batch.glob("*/*.parquet"))
