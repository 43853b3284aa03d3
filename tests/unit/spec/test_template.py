"""Templates: places are filled once, from the event, and the rest stays as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.spec.template import rendered

BODY = {"event": "A", "userId": 7, "properties": {"on": False, "none": None, "list": [1, "ü"], "deep": {"er": "x"}}}


@pytest.mark.parametrize(
    ("template", "text"),
    [("{{event}}", "A"), ("{{ traits.email | userId }}!", "7!"), ("{{properties.on}}", "false"),
     ("{{properties.none}}|{{properties.list}}", '|[1, "ü"]'), ("{{properties.deep.er}}", "x"),
     ("{{event.x}}{{ }}{event}", "{event}"), ("", "")],
)  # fmt: skip
def test_a_place_holds_the_first_path_that_has_something(template, text):
    assert rendered(template, BODY) == text


@given(st.text())
def test_a_value_is_written_as_it_is_and_never_read_as_a_template(value):
    assert rendered("<{{event}}>", {"event": value}) == f"<{value}>"


@given(st.text(alphabet=st.characters(exclude_characters="{}")))
def test_text_without_places_stays(text):
    assert rendered(text, BODY) == text


def test_only_values_are_cleaned():
    assert rendered("a-{{event}}", BODY, str.lower) == "a-a"
    assert rendered("A-{{event}}", BODY, str.lower) == "A-a"
