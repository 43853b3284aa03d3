"""The house stays the house: sizes, words, documentation of every setting, command and metric."""

import ast
import importlib
import pkgutil
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from headwater import cli, shelf, telemetry
from headwater.config import Settings

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "headwater").rglob("*.py"))
LINES_MAX = 400
FUNCTION_LINES_MAX = 50


def code_lines(function):
    """Return how many lines a function has besides its docstring."""
    documentation = ast.get_docstring(function, clean=False) or ""
    return function.end_lineno - function.lineno + 1 - documentation.count("\n")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_a_head_and_a_function_on_a_screen(path):
    text = path.read_text()
    assert text.count("\n") <= LINES_MAX
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {node.name for node in functions if code_lines(node) > FUNCTION_LINES_MAX}


def test_nothing_is_left_for_later():
    words = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert not [str(path) for path in SOURCES if words.search(path.read_text())]


def test_no_module_is_named_after_nothing():
    assert not {path.stem for path in SOURCES} & {"utils", "helpers", "common", "base", "misc"}


def test_no_type_checking_block_hides_a_cycle():
    assert not [str(path) for path in SOURCES if "TYPE_CHECKING" in path.read_text()]


def test_every_setting_is_documented():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert {f.name.upper() for f in fields(Settings)} == set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))


def test_every_command_has_a_module_an_example_and_a_line_in_the_list():
    modules = {entry.name.replace("_", "-") for entry in pkgutil.iter_modules(cli.__path__)}
    for name in cli.COMMANDS:
        assert name in modules
        command = importlib.import_module(f"headwater.cli.{name.replace('-', '_')}").command
        assert "Example" in (command.help or ""), name


def test_every_metric_is_documented():
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    assert set(telemetry.METRICS) == set(re.findall(r"^\| `(headwater_\w+)`", page, re.MULTILINE))


@pytest.mark.parametrize("name", shelf.names("headwater.destinations"))
def test_every_destination_has_its_page(name):
    assert (ROOT / "docs" / "destinations" / f"{name}.md").exists()


def test_the_base_install_needs_no_heavy_package():
    lock = (ROOT / "requirements.txt").read_text()
    assert not re.search(r"^(pyarrow|pandas|polars|dlt|pydantic|numpy)==", lock, re.MULTILINE)


def test_no_lock_records_where_packages_came_from():
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "://" not in (ROOT / name).read_text()


@pytest.mark.parametrize("name", ["sources", "destinations", "warehouses"])
def test_everything_on_a_shelf_is_kept_apart_from_neighbours_and_engines(name):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    engines = next(each for each in contracts if each["type"] == "forbidden")
    assert f"headwater.{name}.*" in engines["forbidden_modules"]
    apart = [each["modules"] for each in contracts if each["type"] == "independence"]
    assert len(shelf.names(f"headwater.{name}")) == 1 or [f"headwater.{name}.*"] in apart
