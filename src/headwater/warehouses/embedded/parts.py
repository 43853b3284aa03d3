"""The parts of `merged/` that count: how a part is written, and the one commit that replaces some by others.

A change writes new parts, notes them in `layout.json`, then replaces the views. Readers that hold older views go on
with what was replaced: it stays for `GRACE`. After that the older views' generation file goes first, so that a reader
who still holds them is told to reconnect instead of being shown too little.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from headwater import clock
from headwater.clock import Clock
from headwater.spec.names import quote_text
from headwater.warehouses.contract import SEQ, Table
from headwater.warehouses.embedded.layout import Layout, Stretch, lost, publish, stretch_of, stretches, sync, write_json
from headwater.warehouses.embedded.views import Merged

GRACE: Final = timedelta(minutes=30)
MEMORY: Final = "256MB"  # of a merge; what does not fit is written beside the staged files

_AT_ONCE: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Retired(msgspec.Struct):
    """What a change replaced, and when: directories of `live/` and `merged/`, and the generation that used them."""

    generation: int
    at: datetime
    live: list[str]
    merged: list[str]


class State(msgspec.Struct, omit_defaults=True):
    """The file `layout.json`.

    Attributes:
        before: every row before this sequence stands in `parts`; live batches before it are not counted.
        parts: names of directories in `merged/`, the newest last.
        stretches: the parts as earlier versions wrote them.
        finished: the reload that the newest change made visible; its collected files may go.
    """

    generation: int = 0
    before: int = 0
    parts: list[str] = []
    stretches: list[Stretch] = []
    finished: str = ""
    retired: list[Retired] = []


class Parts:
    """Knows which parts count and which files wait for their end."""

    def __init__(self, layout: Layout, clock: Clock = clock.now) -> None:
        self.layout = layout
        self.state = State()
        self._clock = clock
        self._made = 0
        self._connection: DuckDBPyConnection | None = None

    @property
    def merged(self) -> Merged:
        """What the views need to know."""
        return Merged(self.state.generation, self.state.before, tuple(self.state.parts))

    def open(self) -> None:
        """Read the state and remove parts that no state speaks of: their change was cut off.

        Raises:
            DeliveryError: the state is missing, and there are parts whose rows stand nowhere else.
        """
        path = self.layout.root / "layout.json"
        self.state = msgspec.json.decode(path.read_bytes(), type=State) if path.exists() else State()
        self.state.parts = [*(stretch.name for stretch in self.state.stretches), *self.state.parts]
        self.state.stretches = []
        if not path.exists() and not all(self._is_live(stretch) for stretch in stretches(self.layout.merged)):
            raise lost(path.name)
        known = {*self.state.parts, *(name for retired in self.state.retired for name in retired.merged)}
        for part in list(self.layout.merged.iterdir()):
            if part.name not in known and stretch_of(part.name):
                shutil.rmtree(part)
        if self.state.finished:
            shutil.rmtree(self.layout.reload(self.state.finished), ignore_errors=True)
        self._write_generation(self.state.generation)

    def pending(self) -> list[Stretch]:
        """Return the live batches whose rows stand in no part."""
        return [stretch for stretch in stretches(self.layout.live) if stretch.first >= self.state.before]

    def directories(self) -> list[Path]:
        """Return the directories whose rows users see."""
        parts = [self.layout.merged / name for name in self.state.parts]
        return [*parts, *(self.layout.live / stretch.name for stretch in self.pending())]

    def replaced(self) -> list[Path]:
        """Return the directories that wait for their end."""
        return [
            folder / name
            for retired in self.state.retired
            for folder, names in ((self.layout.live, retired.live), (self.layout.merged, retired.merged))
            for name in names
        ]

    def write(self, stretch: Stretch, contents: Mapping[Table, str | Path]) -> str | None:
        """Make a part; return its name, None when it would hold no row.

        Args:
            stretch: the range of its sequences.
            contents: what each table consists of, as a SELECT with `_seq`, or a file that is taken as it is.
        """
        self._made += 1
        name = f"{stretch.name}.{self.state.generation + 1}-{self._made}"
        staged = self.layout.staging / name
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        held = [_write(self.connection, content, file_of(staged, table)) for table, content in contents.items()]
        if not any(held):
            shutil.rmtree(staged)
            return None
        shutil.rmtree(self.layout.merged / name, ignore_errors=True)
        publish(staged, self.layout.merged / name)
        return name

    def commit(
        self,
        parts: Sequence[str],
        *,
        before: int = 0,
        live: Iterable[str] = (),
        finished: str = "",
        at_once: bool = False,
    ) -> None:
        """Make other parts count.

        Args:
            parts: their names.
            before: the new bound of live batches, where it moves.
            live: batches that now stand in parts.
            finished: the reload whose rows are among them.
            at_once: nothing that was replaced, now or earlier, waits for readers.
        """
        gone = [name for name in self.state.parts if name not in parts]
        retired = [*self.state.retired, Retired(self.state.generation, self._clock(), list(live), gone)]
        if at_once:
            retired = [Retired(each.generation, _AT_ONCE, each.live, each.merged) for each in retired]
        generation = self.state.generation + 1
        self._write_generation(generation)
        before = max(before, self.state.before)
        self._save(State(generation, before, list(parts), finished=finished or self.state.finished, retired=retired))

    def begin(self, reload: str) -> None:
        """Keep what a reload collects from now on, although one of this name was finished before."""
        if self.state.finished == reload:
            self._save(msgspec.structs.replace(self.state, finished=""))

    def end_replaced(self) -> None:
        """Let nothing wait that was replaced: `remove_retired` takes it."""
        retired = [Retired(each.generation, _AT_ONCE, each.live, each.merged) for each in self.state.retired]
        self._save(msgspec.structs.replace(self.state, retired=retired))

    def remove_retired(self) -> None:
        """Remove what was replaced more than `GRACE` ago."""
        due = [retired for retired in self.state.retired if self._clock() - retired.at > GRACE]
        if not due:
            return
        for retired in due:
            self.layout.generation(retired.generation).unlink(missing_ok=True)
        sync(self.layout.generation(0).parent)
        for retired in due:
            for folder, names in ((self.layout.live, retired.live), (self.layout.merged, retired.merged)):
                for name in names:
                    shutil.rmtree(folder / name, ignore_errors=True)
        left = [retired for retired in self.state.retired if retired not in due]
        self._save(msgspec.structs.replace(self.state, retired=left))

    @property
    def connection(self) -> DuckDBPyConnection:
        """A DuckDB of little memory that keeps what is too much in the staging directory; opened when first needed."""
        if self._connection is None:
            spill = str(self.layout.staging / "spill")
            self._connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY, "temp_directory": spill})
        return self._connection

    def close(self) -> None:
        """Give its memory back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_live(self, merged: Stretch) -> bool:
        """Return whether the first and the last batch of a part are still there: what the first merge ever leaves."""
        live = stretches(self.layout.live)
        return merged.first in {batch.first for batch in live} and merged.next in {batch.next for batch in live}

    def _write_generation(self, number: int) -> None:
        """Make the file that views of a generation need."""
        target = self.layout.generation(number)
        if target.exists():
            return
        staged = self.layout.staging / "generation.parquet"  # DuckDB takes the format from the name
        self.connection.execute(f"copy (select null::bigint as {SEQ} where false) to {quote_text(str(staged))}")
        publish(staged, target)

    def _save(self, state: State) -> None:
        """Make a state the one that counts."""
        write_json(self.layout.root / "layout.json", self.layout.staging, state)
        self.state = state


def file_of(batch: Path, table: Table) -> Path:
    """Return the file of a table in a batch's or a part's directory."""
    return batch / table.schema / f"{table.name}.parquet"


def files_of(batches: Iterable[Path], table: Table) -> list[Path]:
    """Return the files of a table in these directories."""
    return [file for batch in batches if (file := file_of(batch, table)).exists()]


def read(files: Iterable[Path], options: str = "") -> str:
    """Return the call that reads files as one table, each with the columns and the types that it has."""
    return f"read_parquet([{', '.join(quote_text(str(file)) for file in files)}], union_by_name = true{options})"


def _write(connection: DuckDBPyConnection, content: str | Path, target: Path) -> bool:
    """Make one file of a part; return whether it has rows, else there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        try:
            os.link(content, target)
        except OSError:  # a file system without links
            shutil.copyfile(content, target)
        return True
    copied = connection.execute(
        f"copy ({content}) to {quote_text(str(target))} (format parquet, compression zstd)"
    ).fetchone()
    if copied and copied[0]:
        return True
    target.unlink()
    return False
