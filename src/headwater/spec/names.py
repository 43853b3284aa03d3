"""How a name that users chose becomes an identifier: Segment's snake case, made safe for every engine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from headwater.limits import IDENTIFIER_BYTES_MAX

_WORD: Final = re.compile(r"[A-Z0-9]+[a-z0-9]*|[a-z0-9]+")
_HASH_CHARS: Final = 8

# What PostgreSQL 18 or DuckDB 2.0 refuse as a bare column or table name, but for anti, asof, at, by, glob, positional,
# semi and unpack, which DuckDB wants quoted. It is the same for every warehouse and never grows: a new word would leave
# the rows of before in a column of another name.
_RESERVED: Final = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema
    current_time current_timestamp current_user default deferrable desc describe distinct do else end except false
    fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join
    lambda lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order
    outer overlaps pivot pivot_longer pivot_wider placing primary qualify references returning right select
    session_user show similar some summarize symmetric system_user table tablesample then to trailing true union
    unique unpivot user using variadic verbose when where window with
    """.split()  # noqa: SIM905 - a hundred quoted words are harder to read and to check
)

# Columns that each row has without asking: PostgreSQL takes no other of such a name, not even a quoted one.
_SYSTEM_COLUMNS: Final = "cmax cmin ctid tableoid xmax xmin"
_TRANSACT_SQL: Final = """
    add alter backup begin between break browse bulk by cascade checkpoint close clustered coalesce commit compute
    contains containstable continue convert current cursor database dbcc deallocate declare delete deny disk distributed
    double drop dump errlvl escape exec execute exists exit external file fillfactor freetext freetexttable function
    goto holdlock identity identity_insert identitycol if index insert key kill lineno load merge national nocheck
    nonclustered nullif of off offsets open opendatasource openquery openrowset openxml option over percent plan
    precision print proc procedure public raiserror read readtext reconfigure replication restore restrict return
    revert revoke rollback rowcount rowguidcol rule save schema securityaudit semantickeyphrasetable
    semanticsimilaritydetailstable semanticsimilaritytable set setuser shutdown statistics textsize top tran
    transaction trigger truncate try_convert tsequal update updatetext use values varying view waitfor while within
    writetext
"""
# Words beside those above, by warehouse type: what its engine refuses as a bare name.
_RESERVED_BY: Final[Mapping[str, frozenset[str]]] = {
    engine: frozenset(words.split())
    for engine, words in {
        # PostgreSQL, system columns.
        "postgres": _SYSTEM_COLUMNS,
        # Amazon Redshift, reserved words; Segment puts `_` before them too.
        "redshift": _SYSTEM_COLUMNS
        + """
        aes128 aes256 allowoverwrite az64 backup between blanksasnull bytedict bzip2 credentials current_user_id deflate
        defrag delta delta32k disable emptyasnull enable encode encrypt encryption explicit globaldict256
        globaldict64k gzip identity ignore interval lun luns lzo lzop minus mostly16 mostly32 mostly8 new nulls off
        offline oid old open parallel partition percent permissions raw readratio recover rejectlog resort respect
        restore snapshot sysdate system tag tdes text255 text32k timestamp top truncatecolumns type unnest wallet
        without
        """,
        # Snowflake, reserved & limited keywords, without those that only SHOW commands trip over.
        "snowflake": """
        alter between by connect current delete drop exists following increment insert minus of regexp revoke rlike row
        rows sample set start trigger try_cast update values whenever
        """,
        # GoogleSQL, lexical structure. Not `partition`: a column may not begin with `_partition`, quoted or not.
        "bigquery": """
        assert_rows_modified at between by contains cube current define enum escape exclude exists extract following
        groups grouping hash if ignore interval lookup merge new no nulls of over preceding proto range recursive
        respect rollup rows set struct treat unbounded unnest within
        """,
        # Transact-SQL, reserved keywords.
        "sql_server": _TRANSACT_SQL,
        "synapse": _TRANSACT_SQL,
        # Databricks, reserved words: not as an alias of a table.
        "databricks": "anti minus semi",
        # ClickHouse, syntax: keywords are not reserved.
        "clickhouse": "",
    }.items()
}
_NONE: Final[frozenset[str]] = frozenset()
_TWINNED: Final = frozenset({"bigquery"})  # where a view `<table>_view` stands beside each table, as in Segment

VIEWS_SCHEMA: Final = "headwater"
"""Where our own views for analysis stand: no source's schema."""


def snake_case(name: str) -> str:
    """Return the words of a name in lower case, joined by `_`; "" when it has no ASCII letter or digit.

    A word is a run of capitals and digits followed by a run of small letters and digits; everything else separates.

    Source: Segment, warehouse schemas (go-snakecase).
    """
    return "_".join(_WORD.findall(name)).lower()


def table_name(event: str, engine: str = "") -> str:
    """Return the table of a track event: snake case, `_` before a digit or a reserved word, never longer than allowed.

    A name without any ASCII letter or digit becomes `event_` and a hash of it; a name that is too long is cut and ends
    in its hash. Two names give one table when their words are the same (`Email Opened`, `email_opened`), or when they
    differ in characters that no word keeps only (`Café Opened`, `Caf Opened`); in no other case.

    Every name is quoted where we use it, so a reserved word would load. People who query it need not quote it either:
    the words of PostgreSQL and DuckDB, and of Segment's tables with them, are avoided in every warehouse; those of
    another engine only in a warehouse of that engine, where they are no detour for anybody else.

    Args:
        event: as sent.
        engine: the type of the warehouse, for the words that it alone reserves.
    """
    name = snake_case(event) or f"event_{_hash(event)}"
    if engine in _TWINNED and name.endswith("_view"):
        name = f"{name}_"  # no other name ends so
    return _identifier(name, event, engine)


def column_name(*path: str, engine: str = "") -> str:
    """Return the column of a property, by the same rules as `table_name`.

    Args:
        path: the keys from the outside in: a nested object is flattened, its keys joined by `_`. A key without any
            ASCII letter or digit becomes a hash of it.
        engine: the type of the warehouse, for the words that it alone reserves.
    """
    parts = [snake_case(key) or _hash(key) for key in path]
    name = f"property_{parts[0]}" if len(parts) == 1 and not snake_case(path[0]) else "_".join(parts)
    return _identifier(name, "\0".join(path), engine)


def schema_name(slug: str) -> str:
    """Return the schema of a source: its slug with `_` for `-`, which is how a slug may differ from an identifier."""
    name = slug.replace("-", "_")
    return f"_{name}" if name == VIEWS_SCHEMA else name


def quote_ident(identifier: str) -> str:
    """Return an identifier as SQL text.

    Raises:
        ValueError: it holds a NUL, which no engine can keep.
    """
    if "\0" in identifier:
        raise ValueError("an identifier cannot hold a NUL")
    return '"' + identifier.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return a string as an SQL literal; a NUL is spelled `chr(0)`, since SQL text ends at one."""
    quoted = "'" + text.replace("'", "''") + "'"
    return quoted if "\0" not in text else "(" + quoted.replace("\0", "' || chr(0) || '") + ")"


def pointer(path: Sequence[str]) -> str:
    """Return the JSON pointer to a nested key.

    Source: RFC 6901.
    """
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def _identifier(name: str, original: str, engine: str) -> str:
    """Return a slug that no engine misreads: not digit-first, not reserved, not too long."""
    if name[0].isdigit() or name in _RESERVED or name in _RESERVED_BY.get(engine, _NONE):
        name = f"_{name}"
    if len(name) <= IDENTIFIER_BYTES_MAX:
        return name
    return f"{name[: IDENTIFIER_BYTES_MAX - _HASH_CHARS - 1]}_{_hash(original)}"


def _hash(text: str) -> str:
    """Return what tells two names apart whose letters do not: 8 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
