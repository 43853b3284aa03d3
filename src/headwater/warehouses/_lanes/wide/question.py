"""Whether a question only reads: one SELECT that calls nothing but functions known to be harmless.

Read by sqlglot in the engine's own dialect. A function that it does not know is refused: a new one that reaches out
of the warehouse must not be the one that nobody thought of.

Source: sqlglot documentation, `sqlglot.expressions`.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from headwater.errors import QueryError
from headwater.warehouses._lanes.wide.engine import Engine

_CHANGING: Final = (
    *("Insert", "Update", "Delete", "Merge", "Create", "Drop", "Alter", "TruncateTable", "Copy", "Command", "Into"),
    *("Set", "Use", "Pragma", "Attach", "Detach", "Kill", "Transaction", "Commit", "Rollback", "Grant", "Lock"),
    *("LoadData", "Cache", "Uncache", "Refresh", "Export", "Execute", "Describe", "Show", "Analyze", "Comment"),
)
# Of the functions that sqlglot has a class for, those that ask a model, read a file or a secret, or move a sequence.
_REACHING: Final = (
    *("ReadCSV", "ReadParquet", "ToFile", "Secret", "NextValueFor", "DynamicIdentifier", "QueryTransform", "Host"),
    *("AIAgg", "AIClassify", "AIEmbed", "AIForecast", "AIGenerate", "AISimilarity", "AISummarizeAgg", "FeaturesAtTime"),
    *("GenerateBool", "GenerateDouble", "GenerateEmbedding", "GenerateInt", "GenerateTable", "GenerateText"),
    *("MLForecast", "MLTranslate", "Predict", "VectorSearch"),
)
# Harmless ones that sqlglot has no class for, in any of the dialects.
_KNOWN: Final = frozenset(
    """
    approx_percentile bit_length btrim char_length character_length contains date_format date_part datepart datename
    eomonth instr isnull isodow julian len listagg make_date make_timestamp nullifzero octet_length overlay
    percentile_approx plainto position quote_ident random rint sha2_hex sinh strpos to_number translate typeof
    width_bucket zeroifnull todate todatetime tostartofday tostartofhour tostartofmonth tostartofweek countif uniq
    uniqexact groupuniqarray grouparray topk tofloat64 toint64 tostring lower upper arraystringconcat multiif
    """.split()  # noqa: SIM905 - as a list of quoted words it would be harder to read
)

# T-SQL needs no semicolon between statements: these begin one, and sqlglot takes some of them for an alias. All but the
# last line are reserved there, so that no column or table is called so without quotes.
_BEGINNING: Final = frozenset(
    """
    alter backup begin bulk checkpoint close commit create dbcc deallocate declare delete deny drop exec execute goto
    grant if insert into kill merge open print raiserror readtext reconfigure restore return revert revoke rollback
    save set setuser shutdown truncate update updatetext use waitfor while writetext
    disable enable move receive send throw
    """.split()  # noqa: SIM905
)
_PATHS: Final = frozenset({"avro", "binaryfile", "csv", "delta", "iceberg", "json", "orc", "parquet", "text", "xml"})

_MAKING: Final = frozenset({"range", "generate_series", "generateseries", "numbers", "sequence"})  # rows out of nothing


def single_select(engine: Engine, sql: str) -> str:
    """Return a question without its semicolon.

    Raises:
        QueryError: it is no single SELECT, cannot be read, or calls what might reach out of the warehouse.
    """
    sqlglot: Any = importlib.import_module("sqlglot")
    exp = sqlglot.exp
    try:
        _check_tokens(sqlglot, engine, sql)
        parsed = sqlglot.parse(sql, read=engine.dialect)
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(f"The query cannot be read as {engine.name}'s SQL: {_first(error)}") from error
    except RecursionError as error:
        raise QueryError("The query is nested too deeply.") from error
    found = [each for each in parsed if each is not None and not isinstance(each, exp.Semicolon)]
    if len(found) != 1:
        raise QueryError(f"Give one SELECT statement, not {len(found)}.")
    (statement,) = found
    if not isinstance(statement, exp.Query):
        raise QueryError("Only SELECT is allowed here.")
    changing = tuple(getattr(exp, name) for name in (*_CHANGING, *_REACHING) if hasattr(exp, name))
    for node in statement.walk():
        if isinstance(node, changing):
            raise QueryError(f"Only SELECT is allowed here; {type(node).__name__.upper()} is not.")
        if node.args.get("settings") or node.args.get("format"):  # ClickHouse's, which could lift the time-out
            raise QueryError("SETTINGS and FORMAT are not allowed here.")
        if isinstance(node, exp.Table):
            _check_table(exp, engine, node)
        elif isinstance(node, exp.Anonymous | exp.AnonymousAggFunc) and _called(node) not in _KNOWN:
            raise QueryError(f"The function {node.name} is not allowed here.")
    return _without_end(sqlglot, engine, sql)


def _check_tokens(sqlglot: Any, engine: Engine, sql: str) -> None:
    """Let pass what the engine and sqlglot cut into the same words.

    Raises:
        QueryError: a word begins a second statement, or they would not agree where a comment or a text ends.
    """
    if engine.dialect == "redshift" and "\\'" in sql:
        raise QueryError("Write a quote in a text as two quotes here, not with a backslash.")
    quoted = {sqlglot.TokenType.IDENTIFIER, sqlglot.TokenType.STRING, sqlglot.TokenType.NATIONAL_STRING}
    for token in sqlglot.tokenize(sql, read=engine.dialect):
        if any("/*" in comment for comment in token.comments):
            raise QueryError("A comment within a comment is not allowed here.")
        word = token.text.lower()
        if engine.dialect == "tsql" and token.token_type not in quoted and word in _BEGINNING:
            raise QueryError(f"Only SELECT is allowed here; {word.upper()} is not.")


def _check_table(exp: Any, engine: Engine, table: Any) -> None:
    """Let pass what is named schema.table, or makes rows out of nothing.

    Raises:
        QueryError: it is a function that may reach out, or a file.
    """
    if isinstance(table.this, exp.Identifier):
        if any("/" in part.name or ":" in part.name for part in table.parts):
            raise QueryError("Tables are named schema.table; files are not allowed in their place.")
        if engine.dialect == "databricks" and table.parts[0].name.lower() in _PATHS and len(table.parts) > 1:
            raise QueryError("Tables are named schema.table; files are not allowed in their place.")
    elif not isinstance(table.this, exp.GenerateSeries | exp.Unnest) and _called(table.this) not in _MAKING:
        raise QueryError("Tables are named schema.table; this function is not allowed in their place.")


def _called(node: Any) -> str:
    """Return the name of a function, in small letters."""
    return str(node.name or node.key).lower()


def _without_end(sqlglot: Any, engine: Engine, sql: str) -> str:
    """Return a statement up to its semicolon."""
    for token in sqlglot.tokenize(sql, read=engine.dialect):
        if token.token_type is sqlglot.TokenType.SEMICOLON:
            return sql[: token.start]
    return sql


def _first(error: Any) -> str:
    """Return where reading failed, without the query."""
    said = (error.errors or [{}])[0] if hasattr(error, "errors") else {}
    place = f"line {said['line']}, column {said['col']}" if said.get("line") else "at its end"
    return f"something is wrong {place}."
