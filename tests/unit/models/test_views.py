"""Which views there are, and that their text depends on what a warehouse has and on nothing else."""

import re

import pytest
import yaml

from headwater.models import SCHEMA, Models, views
from headwater.models.rendering import PACKAGE
from headwater.warehouses.contract import ColumnType, Table

CALL = {"id": ColumnType.VARCHAR, "received_at": ColumnType.TIMESTAMP, "timestamp": ColumnType.TIMESTAMP}
TABLES = {Table("mail", "email_opened"): CALL, Table("shop", "tracks"): CALL, Table("shop", "order_completed"): CALL}
DESCRIBED = {
    model["name"]: model for model in yaml.safe_load((PACKAGE / "models" / "schema.yml").read_text())["models"]
}


def made(tables=TABLES, models=Models(), email=("mail",), dialect="duckdb"):  # noqa: B008 - frozen
    return views(dialect, tables, models, email)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_each_view_stands_after_those_that_it_reads(dialect):
    found = made(dialect=dialect)
    names = [view.name for view in found]
    assert {view.schema for view in found} == {SCHEMA}
    assert set(names) == set(DESCRIBED)
    for place, view in enumerate(found):
        read = set(re.findall(rf'"{SCHEMA}"\."(\w+)"', view.select))
        assert read <= set(names[:place])


@pytest.mark.parametrize(
    "without",
    [
        {"models": Models(enabled=False)},
        {"email": ()},
        {"email": ("elsewhere",)},
        {"tables": {}},
        {"tables": {Table("shop", "tracks"): CALL}},
        {"dialect": ""},
        {"dialect": "snowflake"},
    ],
)
def test_there_are_none_where_nobody_could_read_them(without):
    assert made(**without) == []


def test_the_same_tables_give_the_same_text():
    assert made() == made(dict(TABLES))


def test_views_do_not_read_views():
    before = made()
    of_ours = {Table(SCHEMA, view.name): CALL for view in before}
    assert made(TABLES | of_ours) == before


def test_names_and_texts_of_users_stay_names_and_texts():
    hostile = 'a"; drop schema x; --'
    tables = TABLES | {Table(hostile, "tracks"): CALL, Table("shop", "it's"): CALL | {'re"v': ColumnType.FLOAT}}
    found = {view.name: view.select for view in made(tables, Models(conversions=("it's",), revenue=('re"v',)))}
    assert '"a""; drop schema x; --"."tracks"' in found["attributed_events"]
    assert "'it''s' as event" in found["conversions"]
    assert '"re""v"' in found["conversions"]


def test_templates_in_names_are_not_followed():
    name = "{{ var('headwater_revenue') }}"
    tables = TABLES | {Table("shop", name): CALL}
    found = {view.name: view.select for view in made(tables, Models(conversions=(name,)))}
    assert f'"shop"."{name}"' in found["conversions"]


def test_the_package_and_the_program_have_the_same_defaults():
    project = yaml.safe_load((PACKAGE / "dbt_project.yml").read_text())["vars"]
    ours = Models()
    assert project["headwater_conversions"] == [*ours.conversions]
    assert project["headwater_revenue"] == [*ours.revenue]
    assert project["headwater_window_days"] == ours.window_days
    assert project.keys() == set(re.findall(r"var\('(\w+)'\)", "".join(p.read_text() for p in PACKAGE.rglob("*.sql"))))


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_model_and_column_is_described(name):
    assert DESCRIBED[name]["description"]
    assert all(column["description"] for column in DESCRIBED[name]["columns"])
