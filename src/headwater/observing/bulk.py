"""The shapes of a whole batch, found by DuckDB outside the interpreter's lock: no Python a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from headwater.observing.findings import Findings, Times, text_of
from headwater.observing.shapes import cleaned, fields
from headwater.protocols.rules import KINDS
from headwater.spec.event import Frame
from headwater.spec.names import quote_text

MEMORY: Final = "96MB"
_OBJECT_BYTES_MAX: Final = 1024 * 1024  # DuckDB keeps a few buffers of this size; an event of a webhook is smaller
_COLUMNS: Final = "{type: 'VARCHAR', event: 'VARCHAR', name: 'VARCHAR', properties: 'JSON', traits: 'JSON'}"

_SHAPES: Final = """
select source, type, case type when 'track' then event when 'page' then name when 'screen' then name else '' end as n,
    json_structure(case when type in ('identify', 'group') then traits else properties end)::varchar as structure,
    count(*), min(moment), max(moment)
from raw asof join frames on raw.row >= frames.first_row
where type in ('track', 'identify', 'group', 'page', 'screen')
group by all
"""


class Bulk:
    """One connection and one scratch file; used by one thread at a time."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lines = directory / "lines.ndjson"
        self._connection = duckdb.connect(
            config={"threads": 1, "memory_limit": MEMORY, "temp_directory": str(directory / "spill")}
        )

    def look(self, frames: Sequence[Frame], findings: Findings) -> None:
        """Note what the frames' events look like; a line that is no JSON is passed."""
        try:
            if not self._fill(frames, [frame.lines for frame in frames]):
                self._fill(frames, [_readable(frame.lines) for frame in frames])
            rows = self._connection.execute(_SHAPES).fetchall()
        finally:
            self._lines.unlink(missing_ok=True)
        for source_id, type_, name, structure, count, first, last in rows:
            collection = source_id, str(KINDS[type_]), cleaned(name or "")
            findings.saw(collection, fields(structure or ""), Times(count, first, last))

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()
        self._lines.unlink(missing_ok=True)

    def _fill(self, frames: Sequence[Frame], lines: Sequence[bytes]) -> bool:
        """Read the lines; return whether every one of them became a row, as counting by place needs."""
        self._lines.write_bytes(b"".join(lines))
        source = (
            f"read_ndjson({quote_text(str(self._lines))}, columns = {_COLUMNS}, ignore_errors = true, "
            f"maximum_object_size = {_OBJECT_BYTES_MAX})"
        )
        try:
            self._connection.execute(
                f"create or replace temp table raw as select row_number() over () - 1 as row, * from {source}"  # noqa: S608
            )
        except duckdb.Error:
            return False
        places, row = [], 0
        for frame in frames:
            places.append((row, frame.source_id, text_of(frame.received_at)))
            row += frame.count
        values = ", ".join(f"({at}, {quote_text(source_id)}, {quote_text(moment)})" for at, source_id, moment in places)
        made = f"from (values {values}) t(first_row, source, moment)"
        self._connection.execute(f"create or replace temp table frames as {made}")
        found = self._connection.execute("select count(*) from raw").fetchone()
        return bool(found and found[0] == row)


def _readable(lines: bytes) -> bytes:
    """Return the lines with an empty object for each that cannot be read."""
    return b"".join(line + b"\n" if _is_json(line) else b"{}\n" for line in lines[:-1].split(b"\n"))


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
        line.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return len(line) < _OBJECT_BYTES_MAX
