"""An in-process DuckDB that turns lines of JSON into typed tables, a statement a table and never a row at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from headwater.loading import withheld
from headwater.loading.plan import Shape
from headwater.loading.shapes import STRUCTURE
from headwater.privacy.suppression import Suppressions
from headwater.protocols.gate import Gates
from headwater.protocols.lines import BLOCKED, gated
from headwater.spec.event import Frame
from headwater.spec.names import quote_text

MEMORY: Final = "320MB"
_CHOICE: Final = b'"Warehouses"'  # a line without it says nothing of warehouses
_OBJECT_BYTES_MAX: Final = 4 * 1024 * 1024  # DuckDB keeps a few buffers of this size

# What is read of a line; all as text, so that no value makes a line unreadable.
_READ: Final = {
    **dict.fromkeys(
        (
            *("type", "event", "messageId", "anonymousId", "userId", "groupId", "previousId", "name", "category"),
            *("receivedAt", "sentAt", "originalTimestamp", "timestamp"),
        ),
        "VARCHAR",
    ),
    **dict.fromkeys(("properties", "traits", "context"), "JSON"),
}


_SAMPLE: Final = 2_000  # rows, ours: enough to see whether contexts come again


@dataclass(frozen=True, slots=True)
class Read:
    """What `read` put into the table `raw`.

    Attributes:
        rows: those, in log order.
        unreadable: lines that could not be read at all.
        filtered: events that their sender kept out of this warehouse, or that their source blocks.
        suppressed: events of people who are suppressed.
    """

    rows: int
    unreadable: int
    filtered: int = 0
    suppressed: int = 0


class Staging:
    """One connection and one scratch directory; used by one thread at a time."""

    def __init__(self, directory: Path, suppressions: Suppressions | None = None, gates: Gates | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._gates = gates or Gates()
        self._suppressions, self._withheld_at = suppressions, ("", -1)
        self._lines = directory / "lines.ndjson"
        self._expected = 0  # rows of what was read last, at most
        self.connection: DuckDBPyConnection = duckdb.connect(
            config={"threads": 1, "memory_limit": MEMORY, "temp_directory": str(directory / "spill")}
        )
        self.connection.execute("set TimeZone = 'UTC'")

    def read(self, frames: Sequence[Frame], warehouse_id: str = "") -> Read:
        """Fill `raw` with the frames' events, without those that name other warehouses only."""
        frames, blocked = gated(frames, self._gates.present)
        with self._lines.open("wb") as file:
            file.writelines(frame.lines for frame in frames)
        chosen = any(_CHOICE in frame.lines for frame in frames)  # most senders leave it to us: no word, no work
        self._expected = expected = sum(frame.count for frame in frames)
        rows, unread = self._filled(frames, chosen=chosen)
        if rows != expected or unread:
            self._repair(frames)
            self._fill(frames, chosen=chosen)
            rows, unread = self._counts()
            self.connection.execute("delete from raw where type is null")
        if blocked:
            self.connection.execute("delete from raw where type = ?", [BLOCKED])
        filtered = (self._leave_out(warehouse_id) if chosen else 0) + blocked
        suppressed = self._withhold(frames)
        self._lines.unlink(missing_ok=True)  # of people who may ask to be forgotten; it is in `raw` now
        return Read(rows - unread - filtered - suppressed, unread, filtered, suppressed)

    def shapes(self, document: str) -> list[Shape]:
        """Return the distinct shapes of a JSON column of `raw`, in the order of their first rows."""
        each = f"select type, event, {document}, 1 as count, rowid as row from raw"
        if document == "context" and self._contexts_repeat():  # then what is equal is looked at once
            each = "select type, event, context, count(*) as count, min(rowid) as row from raw group by all"
        rows = self.connection.execute(
            f"select type, coalesce(event, ''), coalesce({STRUCTURE.format(document=document)}, ''), "
            f"sum(count)::bigint, min(row) from ({each}) group by all order by 5"
        ).fetchall()
        return [Shape(*row) for row in rows]

    def _contexts_repeat(self) -> bool:
        """Return whether there are many contexts and most of them equal another one, as those of servers do."""
        if self._expected < _SAMPLE:  # to ask would cost a few events more than it could save
            return False
        sample = f"from (select context from raw limit {_SAMPLE})"
        row = self.connection.execute(
            f"select count(*) = {_SAMPLE} and count(*) > 4 * count(distinct context) {sample}"
        ).fetchone()
        return bool(row and row[0])

    def documents(self, column: str, rows: Iterable[int]) -> dict[int, Any]:
        """Return the decoded documents of these rows of `raw`."""
        wanted = ", ".join(str(row) for row in sorted(set(rows)))
        found = self.connection.execute(f"select rowid, {column}::varchar from raw where rowid in ({wanted})")
        return {row: msgspec.json.decode(text) for row, text in found.fetchall() if text is not None}

    def fill(self, table: str, columns: str, rows: Sequence[Sequence[str | int]]) -> None:
        """Make a small table of our own values; at least one row."""
        values = ", ".join(
            f"({', '.join(quote_text(value) if isinstance(value, str) else str(value) for value in row)})"
            for row in rows
        )
        self.connection.execute(f"create or replace temp table {table} as from (values {values}) as {table}({columns})")

    def drop(self, *tables: str) -> None:
        """Forget tables that are done with."""
        for table in tables:
            self.connection.execute(f"drop table if exists {table}")

    def close(self) -> None:
        """Give the memory back."""
        self.connection.close()
        self._lines.unlink(missing_ok=True)

    def _filled(self, frames: Sequence[Frame], *, chosen: bool) -> tuple[int, int]:
        """Fill `raw` and count; nothing where DuckDB's reader cannot place a line, such as one beyond its buffer."""
        try:
            self._fill(frames, chosen=chosen)
        except duckdb.Error:
            return 0, 0
        return self._counts()

    def _fill(self, frames: Sequence[Frame], *, chosen: bool) -> None:
        """Read the file of lines into `raw`."""
        read = {**_READ, "integrations": "JSON"} if chosen else _READ
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in read.items())
        source = (
            f"read_ndjson({quote_text(str(self._lines))}, columns = {{{columns}}}, ignore_errors = true, "
            f"maximum_object_size = {_OBJECT_BYTES_MAX})"
        )
        self.connection.execute(
            f"""create or replace temp table raw as select type, event, messageId as id, anonymousId as anonymous_id,
            userId as user_id, groupId as group_id, previousId as previous_id, name, category,
            receivedAt as received_at, sentAt as sent_at, originalTimestamp as original_timestamp, timestamp,
            case type when 'identify' then traits when 'group' then traits else properties end as body, context
            {", json_extract(integrations, '/Warehouses') as choice" if chosen else ""} from {source}"""
        )
        self._number(frames)

    def _leave_out(self, warehouse_id: str) -> int:
        """Delete the rows that are for other warehouses; return how many.

        What cannot be read as a choice is none: the row is loaded.

        Source: Segment, spec of the `integrations` object, warehouses.
        """
        ids = "json_extract_string(choice, '$.warehouseIds[*]')"
        gone = self.connection.execute(
            f"""delete from raw where case json_type(choice)
                when 'BOOLEAN' then choice::varchar = 'false'
                when 'OBJECT' then case
                    when json_extract(choice, '/all')::varchar = 'true' then false
                    when json_type(choice, '/warehouseIds') = 'ARRAY' then not list_contains({ids}, ?)
                    else json_extract(choice, '/all')::varchar is not distinct from 'false' end
                else false end""",
            [warehouse_id],
        ).fetchone()
        return int(gone[0]) if gone else 0

    def _withhold(self, frames: Sequence[Frame]) -> int:
        """Delete the rows of people who are suppressed; return how many. Frames are of one source."""
        digests = self._suppressions.of(frames[0].source_id) if self._suppressions and frames else []
        if not self._suppressions or not digests:
            return 0
        known = frames[0].source_id, self._suppressions.revision
        if known != self._withheld_at:
            withheld.keep(self.connection, self._lines.with_name("withheld.txt"), digests)
            self._withheld_at = known
        return withheld.leave_out(self.connection, self._suppressions.hasher.prefix)

    def _number(self, frames: Sequence[Frame]) -> None:
        """Fill `stretch`: which row of `raw` starts at which sequence."""
        rows: list[tuple[int, int]] = []
        row = 0
        for frame in frames:
            if not rows or frame.first_seq - row != rows[-1][1] - rows[-1][0]:
                rows.append((row, frame.first_seq))
            row += frame.count
        self.fill("stretch", "first_row, first_seq", rows)

    def _counts(self) -> tuple[int, int]:
        """Return how many rows there are and how many of them could not be read."""
        found = self.connection.execute("select count(*), count(*) filter (where type is null) from raw").fetchone()
        return (0, 0) if found is None else (int(found[0]), int(found[1]))

    def _repair(self, frames: Sequence[Frame]) -> None:
        """Write the lines again as every JSON reader takes them; one that is no JSON becomes an empty object."""
        with self._lines.open("wb") as file:
            for frame in frames:
                file.writelines(_repaired(line) for line in frame.lines.splitlines())


def _repaired(line: bytes) -> bytes:
    """Return a line with lone surrogates replaced by U+FFFD."""
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return b"{}\n"
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode() + b"\n"
