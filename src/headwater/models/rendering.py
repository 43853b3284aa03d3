"""Render the dbt package's models as SQL without dbt: its Jinja, with the warehouse's tables as Headwater knows them.

The package stays the only source of every model. What dbt asks the database (`macros/warehouse.sql`) is answered here
from the columns that are known, so nothing is read, and the same tables give the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from jinja2 import StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import Columns, ColumnType, Table

PACKAGE: Final = Path(__file__).parent / "dbt"
"""The dbt package."""

_ASKS_THE_DATABASE: Final = "warehouse.sql"
_ZONED: Final = {ColumnType.TIMESTAMP: "timestamp with time zone"}  # how a warehouse in PostgreSQL keeps a time


@dataclass(slots=True)
class _Project:
    """What a dbt project gives the models while they are rendered.

    Attributes:
        refs: the models that were asked for.
    """

    dialect: str
    schema: str
    tables: Mapping[Table, Columns]
    variables: Mapping[str, Any]
    refs: set[str] = field(default_factory=set)

    def names(self) -> dict[str, object]:
        """Return what a model may call."""
        return {
            "ref": self.ref,
            "var": self.variables.__getitem__,
            "headwater_columns": self.columns,
            "headwater_table": self.table,
            "adapter": SimpleNamespace(dispatch=self.dispatch),
        }

    def ref(self, model: str) -> str:
        """Return the view of another model."""
        self.refs.add(model)
        return self.table(self.schema, model)

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """Return the columns of a table and their types, none where it does not exist."""
        zoned = _ZONED if self.dialect == "postgres" else {}
        return {name: zoned.get(kind, kind) for name, kind in self.tables.get(Table(schema, table), {}).items()}

    def table(self, schema: str, table: str) -> str:
        """Return a table's name as SQL."""
        return f"{quote_ident(schema)}.{quote_ident(table)}"

    @property
    def dispatch(self) -> Callable[..., object]:
        """What finds the macro of the dialect, else the one for all."""

        @pass_context
        def dispatch(context: Context, macro: str, _package: str) -> object:
            own = context.get(f"{self.dialect}__{macro}")
            return own or context[f"default__{macro}"]

        return dispatch


def render(
    dialect: str, schema: str, tables: Mapping[Table, Columns], variables: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return every model's name and SELECT, each after those that it reads.

    Args:
        dialect: a dbt target's type, such as "duckdb".
        schema: where the models lie.
        tables: what there is to read.
        variables: the package's, all of them.
    """
    selects, refs = dict[str, str](), dict[str, list[str]]()
    for name, template in _templates().items():
        project = _Project(dialect, schema, tables, variables)
        selects[name] = template.render(project.names()).strip()
        refs[name] = sorted(project.refs)
    return [(name, selects[name]) for name in TopologicalSorter(refs).static_order()]


@lru_cache(maxsize=1)
def _templates() -> dict[str, Template]:
    """Return the package's models with its macros before each: dbt's macros are known everywhere."""
    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        extensions=["jinja2.ext.do"],
        autoescape=False,
    )
    macros = "".join(
        path.read_text("utf-8") for path in sorted(PACKAGE.glob("macros/*.sql")) if path.name != _ASKS_THE_DATABASE
    )
    return {
        path.stem: environment.from_string(macros + path.read_text("utf-8"))
        for path in sorted(PACKAGE.glob("models/*.sql"))
    }
