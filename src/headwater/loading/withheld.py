"""People who are suppressed, held against a whole batch in DuckDB: a hash an identifier, and one anti-join."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection

from headwater.privacy.subjects import DIGEST_CHARS, Kind
from headwater.spec.names import quote_text

_EMAILS: Final = (
    "json_extract_string(body, '$.email')",
    "json_extract_string(context, '$.traits.email')",
    "user_id",
    "anonymous_id",
    "previous_id",
)
# What `privacy.subjects.subjects_of` finds in an event, as columns of `raw`.
_FOUND: Final = (
    *((Kind.USER, name) for name in ("user_id", "previous_id")),
    *((Kind.ANONYMOUS, name) for name in ("anonymous_id", "previous_id")),
    *((Kind.EMAIL, f"case when contains({name}, '@') then lower(trim({name})) end") for name in _EMAILS),
)


def keep(connection: DuckDBPyConnection, scratch: Path, digests: Iterable[Iterable[str]]) -> None:
    """Fill the table `withheld` with these hashes; `scratch` is a file for a moment."""
    with scratch.open("w") as file:
        for each in digests:
            file.writelines(f"{digest}\n" for digest in each)
    listed = f"read_csv({quote_text(str(scratch))}, header = false, columns = {{digest: 'VARCHAR'}})"
    connection.execute(f"create or replace temp table withheld as select distinct digest from {listed}")
    scratch.unlink()


def leave_out(connection: DuckDBPyConnection, prefix: str) -> int:
    """Delete from `raw` what is of somebody in `withheld`; return how many rows."""
    met = " or ".join(
        f"left(sha256({quote_text(prefix)} || {quote_text(kind)} || chr(0) || {value}), {DIGEST_CHARS})"
        " in (from withheld)"
        for kind, value in _FOUND
    )
    gone = connection.execute(f"delete from raw where coalesce({met}, false)").fetchone()
    return int(gone[0]) if gone else 0
