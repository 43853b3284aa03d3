"""The examples of docs/filters-and-mappings.md are what really happens."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from headwater import fql
from headwater.delivery.filters import checked_filter, preview
from headwater.fql.values import FUNCTIONS
from headwater.mapping import compile_fields
from headwater.mapping.directives import DIRECTIVES

PAGE = (Path(__file__).parents[3] / "docs" / "filters-and-mappings.md").read_text()
BLOCKS = [(title, json.loads(text)) for title, text in re.findall(r'```json title="(\w+)"\n(.*?)```', PAGE, re.DOTALL)]
[EVENT] = [block for title, block in BLOCKS if title == "event"]
PAIRS = [(title, block, left) for (title, block), (after, left) in pairwise(BLOCKS) if after == "left"]
CONDITIONS = re.findall(r"^\| `(.+)` \| (true|false) \|$", PAGE, re.MULTILINE)


def test_the_page_has_its_examples():
    assert len(CONDITIONS) > 10
    assert {title for title, _, _ in PAIRS} == {"filter", "fields"}


@pytest.mark.parametrize(("condition", "result"), CONDITIONS)
def test_a_condition_is_what_the_page_says(condition, result):
    assert fql.parse(condition)(EVENT) is (result == "true")


@pytest.mark.parametrize(("title", "block", "left"), PAIRS)
def test_an_example_leaves_what_the_page_says(title, block, left):
    if title == "filter":
        checked_filter(block["title"], block["if"], block["actions"])
        done = preview(block["if"], block["actions"], EVENT)
    else:
        done = compile_fields(block)(EVENT)
    assert (left is None) == (done is None)
    assert done is None or {name: done[name] for name in left} == left


def test_every_directive_has_its_line_and_is_read_as_it_is_written():
    rows = re.findall(r'^\| `(\{"(@\w+)": .+\})` \|', PAGE, re.MULTILINE)
    assert {name for _, name in rows} == {*DIRECTIVES, "@remove"}
    for written, _ in rows:
        compile_fields({"properties.x": json.loads(re.sub(r"(?<=[ \[])[abvx](?=[,}\]])", "1", written))})


def test_every_function_is_named():
    assert all(f"`{name}" in PAGE for name in [*FUNCTIONS, "match"])
