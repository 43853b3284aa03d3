"""`headwater query`: SQL on a warehouse, as a table or a file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click

from headwater.cli import printing, server, warehouses
from headwater.cli.server import Server
from headwater.limits import QUERY_ROWS_MAX


@click.command()
@click.argument("sql")
@click.option("--warehouse", metavar="W", help="Id or name (default: the oldest).")
@click.option(
    "--format", "format_", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--rows", type=click.IntRange(1, QUERY_ROWS_MAX), default=QUERY_ROWS_MAX, show_default=True)
@server.options
def command(at: Server, sql: str, warehouse: str | None, *, format_: str, output: Path | None, rows: int) -> None:
    """Ask a warehouse in SQL, read-only.

    \b
    Example:
      headwater query "select event, count(*) from activecampaign.tracks group by 1"
    """
    if format_ == "parquet" and output is None:
        raise click.UsageError("--format parquet needs --output FILE.")
    body: dict[str, Any] = {"sql": sql, "rows": rows} | (
        {"warehouseId": warehouses.FAMILY.find(at, warehouse)["id"]} if warehouse else {}
    )
    found = at.call("POST", "/query", body)
    columns = _unique([column["name"] for column in found["columns"]])
    if format_ == "parquet" and output is not None:
        _write_parquet(output, columns, [column["type"] for column in found["columns"]], found["rows"])
    elif format_ == "table" and output is None:
        printing.table(columns, found["rows"], empty="No rows.")
    else:
        _write(output, _text(format_, columns, found["rows"]))
    if found["truncated"]:
        click.echo(f"These are the first {len(found['rows'])} rows; there are more.", err=True)


def _unique(names: list[str]) -> list[str]:
    """Return the names, a repeated one with a number behind: `select a, b as a` has two columns all the same."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _text(format_: str, columns: list[str], rows: list[list[Any]]) -> str:
    if format_ == "json":
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2, ensure_ascii=False) + "\n"
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_csv_cell(value) for value in row] for row in rows])
    return written.getvalue()


def _csv_cell(value: Any) -> Any:
    """Return a value as spreadsheets may open it: text that would run as a formula gets a quote in front (OWASP)."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _write(output: Path | None, text: str) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise click.FileError(str(output), error.strerror or "") from None
    click.echo(f"Wrote {output}.", err=True)


def _write_parquet(output: Path, columns: list[str], types: list[str], rows: list[list[Any]]) -> None:
    import duckdb

    try:
        with duckdb.connect() as connection:
            names = [f"c{at}" for at in range(len(columns))]  # the users' names could be anything
            typed = ", ".join(f"{name} {type_}" for name, type_ in zip(names, types, strict=True))
            connection.execute(f"create table result ({typed})")
            if rows:
                values = [[json.dumps(v) if isinstance(v, dict | list) else v for v in row] for row in rows]
                marks = ", ".join("?" * len(columns))
                connection.executemany(f"insert into result values ({marks})", values)  # noqa: S608 - question marks
            renamed = [
                f'{name} as "{column.replace(chr(34), chr(34) * 2)}"'
                for name, column in zip(names, columns, strict=True)
            ]
            relation = connection.sql(f"select {', '.join(renamed)} from result")  # noqa: S608 - quoted above
            relation.write_parquet(str(output), compression="zstd")
    except (duckdb.Error, OSError) as error:
        raise click.ClickException(f"{output} could not be written: {error}") from None
    click.echo(f"Wrote {output}.", err=True)
