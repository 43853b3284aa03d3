"""What the commands of warehouses say: on their page, and in a line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import cli
from headwater.cli import reloading, warehouse_family

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "warehouse-commands.md").read_text()


def commands():
    """Return (words of the command line, command) for each of warehouses."""
    group = cli.root.get_command(None, "warehouses")
    found = [(f"headwater warehouses {name}", command) for name, command in group.commands.items()]
    return [*found, ("headwater sync", cli.root.get_command(None, "sync"))]


@pytest.mark.parametrize(("words", "command"), commands())
def test_a_command_is_on_its_page_shows_an_example_and_prints_json(words, command):
    assert "--json" in [name for parameter in command.params for name in parameter.opts]
    assert re.search(rf"^\| `{words}[ `]", PAGE, re.MULTILINE)
    assert f"Example:\n  {words}" in re.sub(r"\n +headwater", "\n  headwater", command.help.replace("\b", ""))


def test_the_page_has_no_command_that_is_not_there():
    known = {words for words, _ in commands()}
    named = re.findall(r"^\| `(headwater warehouses [a-z-]+|headwater [a-z]+)", PAGE, re.MULTILINE)
    assert set(named) == known


def test_every_option_on_the_page_is_one():
    known = {
        option for _, command in commands() for each in command.params for option in (*each.opts, *each.secondary_opts)
    }
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known


def test_a_command_loads_nothing_of_the_server():
    loaded = "import sys; from headwater.cli import root; root.get_command(None, 'warehouses'); print(*sys.modules)"
    modules = set(subprocess.check_output([sys.executable, "-c", loaded], text=True).split())
    assert not modules & {"msgspec", "sqlalchemy", "aiohttp", "duckdb", "headwater.loading", "headwater.control"}


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ({"mode": "continuous"}, "all the time"),
        ({"mode": "manual"}, "only when asked"),
        ({"mode": "interval", "minutes": 1440}, "every 1,440 minutes"),
        ({"mode": "times", "times": ["06:00", "18:30"], "timezone": "UTC"}, "at 06:00, 18:30 (UTC)"),
    ],
)
def test_a_schedule_is_said(schedule, told):
    assert warehouse_family.when(schedule) == told


RUN = {"first": 0, "next": 0, "position": 0, "events": 0, "rows": 0, "state": "waiting", "error": "", "etaS": None}


def test_a_reload_in_a_line_says_how_far_it_is_and_why_it_stopped():
    half = {**RUN, "next": 2_000, "position": 1_000, "events": 900, "rows": 1_800, "state": "running", "etaS": 150.0}
    assert reloading.described(half) == (
        "[############............]  1,000/2,000 of the log  900 events  1,800 rows  2 min left"
    )
    failed = {**half, "state": "failed", "error": "The disk is full.", "etaS": None}
    assert reloading.described(failed).endswith("1,800 rows  failed  The disk is full.")


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(-1, 10**12))
def test_a_reload_is_never_beyond_its_end(first, length, position):
    line = reloading.described({**RUN, "first": first, "next": first + length, "position": position})
    done, total = (int(number.replace(",", "")) for number in re.search(r"([\d,]+)/([\d,]+) of", line).groups())
    assert 0 <= done <= total == length
