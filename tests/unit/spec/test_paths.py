"""Dotted paths: read, set and removed on a copy, through the lists on the way; and the spelling of words."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.spec import casing
from headwater.spec.paths import changed, names_of, only, read, without

ORDER = {"properties": {"coupon": "X", "products": [{"sku": "A", "price": 1}, {"sku": "B"}], "a.b": 1}}


@pytest.mark.parametrize(
    ("path", "names"),
    [("a", ("a",)), ("a.b", ("a", "b")), ("a\\.b", ("a.b",)), ("a b.c\\\\", ("a b", "c\\")), ("\\a", ("a",))],
)
def test_a_path_names_each_level(path, names):
    assert names_of(path) == names


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a\\", ".".join("a" * 33)])
def test_a_path_that_leads_nowhere_is_refused(path):
    with pytest.raises(ValueError, match="path"):
        names_of(path)


def test_a_path_goes_through_the_elements_of_a_list():
    assert read(ORDER, ("properties", "products", "sku")) == ["A", "B"]
    assert read(ORDER, ("properties", "products", "price")) == [1]
    assert without(ORDER, ("properties", "products", "sku"))["properties"]["products"] == [{"price": 1}, {}]
    assert only(ORDER["properties"], [("products", "sku")]) == {"products": [{"sku": "A"}, {"sku": "B"}]}


def test_what_is_set_makes_its_way():
    assert changed({"a": 1}, ("a", "b", "c"), 2) == {"a": {"b": {"c": 2}}}


members = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner) | st.lists(inner)),
)
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)


@settings(deadline=None)
@given(members, paths, st.integers())
def test_what_was_set_is_read_and_the_original_stays(body, names, value):
    before = copy.deepcopy(body)
    assert read(changed(body, names, value), names) == value
    assert body == before


def leaves(found):
    """Return how many things there are in lists of lists."""
    return sum(map(leaves, found)) if isinstance(found, list) else int(found is not None)


@settings(deadline=None)
@given(members, paths)
def test_what_was_removed_is_not_read_and_nothing_else_is_missing(body, names):
    before = copy.deepcopy(body)
    left = without(body, names)
    assert leaves(read(left, names)) == 0
    assert body == before
    assert {name: value for name, value in left.items() if name != names[0]} == {
        name: value for name, value in body.items() if name != names[0]
    }


@pytest.mark.parametrize(
    ("text", "snake", "kebab", "title"),
    [
        ("Order Completed", "order_completed", "order-completed", "Order Completed"),
        ("orderCompleted", "order_completed", "order-completed", "Order Completed"),
        ("HTTPServer 2x", "http_server_2x", "http-server-2x", "Http Server 2x"),
        ("  --a__b  ", "a_b", "a-b", "A B"),
        ("", "", "", ""),
    ],
)
def test_words_are_found_however_they_are_written(text, snake, kebab, title):
    assert (casing.snake(text), casing.kebab(text), casing.title(text)) == (snake, kebab, title)
