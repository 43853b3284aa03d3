"""`headwater query`: SQL on a warehouse, as a table or a file; what tables there are, what is running."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from headwater.cli import printing, server, warehouse_family
from headwater.cli.server import Server
from headwater.limits import QUERY_EXPORT_SECONDS_MAX, QUERY_ROWS_MAX


@click.command()
@click.argument("sql", required=False)
@click.option("--warehouse", metavar="W", help="Id or name (default: the oldest).")
@click.option(
    "--format", "format_", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option(
    "--rows", type=click.IntRange(1, QUERY_ROWS_MAX), default=QUERY_ROWS_MAX, show_default=True, help="Of a table."
)
@click.option("--timeout", type=click.FloatRange(0, QUERY_EXPORT_SECONDS_MAX, min_open=True), help="Seconds.")
@click.option("--tables", is_flag=True, help="Show the tables and their columns instead.")
@server.options
def command(  # noqa: PLR0913 - one for each option
    at: Server,
    sql: str | None,
    warehouse: str | None,
    *,
    format_: str,
    output: Path | None,
    rows: int,
    timeout: float | None,
    tables: bool,
) -> None:
    """Ask a warehouse in SQL, read-only; a file (json, csv, parquet) has every row. Ctrl-C cancels the query.

    \b
    Example:
      headwater query "select event, count(*) from activecampaign.tracks group by 1"
      headwater query --tables
      headwater query "select * from shop.orders" --format parquet --output orders.parquet
    """
    chosen = warehouse_family.FAMILY.find(at, warehouse)["id"] if warehouse else None
    if tables:
        _show_tables(at, chosen, as_json=format_ == "json")
        return
    if sql is None:
        raise click.UsageError("Give a SELECT, or --tables to see what can be asked.")
    if format_ == "parquet" and output is None:
        raise click.UsageError("--format parquet needs --output FILE.")
    asked: dict[str, Any] = {"sql": sql, "id": secrets.token_hex(8)}
    asked |= {"warehouseId": chosen} if chosen else {}
    asked |= {"timeoutS": timeout} if timeout else {}
    with _cancelled_by_ctrl_c(at, asked["id"]):
        if format_ == "table" and output is None:
            _show(at, asked | {"rows": rows})
        else:
            _save(at, asked | {"format": "csv" if format_ == "table" else format_}, output)


def _show(at: Server, asked: dict[str, Any]) -> None:
    found = at.call("POST", "/query", asked, is_long=True)
    printing.table([column["name"] for column in found["columns"]], found["rows"], empty="No rows.")
    if found["truncated"]:
        click.echo(f"These are the first {len(found['rows'])} rows; there are more. A file has all of them.", err=True)


def _save(at: Server, asked: dict[str, Any], output: Path | None) -> None:
    """Write an answer to a file, which appears only when it is whole, or to standard output."""
    if output is None:
        at.save("/query", asked, sys.stdout.buffer)
        return
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file:
            rows = at.save("/query", asked, file)
        part.replace(output)
    except OSError as error:
        raise click.FileError(str(output), error.strerror or "") from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"Wrote {rows} rows to {output}.", err=True)


@contextmanager
def _cancelled_by_ctrl_c(at: Server, query_id: str) -> Iterator[None]:
    """End the query on the server too when the one who asked does not wait for it."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(click.ClickException):
            at.call("DELETE", f"/queries/{query_id}")
        raise


def _show_tables(at: Server, warehouse_id: str | None, *, as_json: bool) -> None:
    warehouse_id = warehouse_id or at.pages("/warehouses", "warehouses")[0]["id"]
    found = at.call("GET", f"/warehouses/{server.segment(warehouse_id)}/catalog")
    if as_json:
        printing.as_json(found)
        return
    rows = [
        (f"{schema['name']}.{table['name']}", column["name"], column["type"])
        for schema in found["schemas"]
        for table in schema["tables"]
        for column in table["columns"]
    ]
    printing.table(["table", "column", "type"], rows, empty="No tables yet.")
