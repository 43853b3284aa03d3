"""Conditions in Segment's query language: what is true of an event, and what is refused with its place."""

import contextlib
import fnmatch
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import InvalidRequestError
from headwater.fql import CONDITION_BYTES_MAX, EvaluationError, parse
from headwater.fql.glob import Glob
from headwater.fql.grammar import Call, Comparison, Field, Junction, Negation, Value, read, written

CLICK = {
    "event": "Button Clicked",
    "type": "track",
    "context": {"library": {"name": "analytics.js", "version": "1.0"}, "ip": None},
    "properties": {
        "features": ["discounts", "dark-mode"],
        "products": [{"sku": "A", "price": 5}, {"sku": "B"}, "odd"],
        "price": 10,
        "total": 10.0,
        "amount": "10",
        "vip": True,
        "is new": 1,
        "a.b": "dotted",
        "naïve": "é",
        "quote": 'it\'s "so"\\',
    },
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the documentation's own examples
        ("event = 'Button Clicked'", True),
        ("event = 'Screen Tapped'", False),
        ("context.path.path = '/login'", False),
        ("type = 'identify' or type = 'track'", True),
        ("event = 'Button Clicked' and type = 'track'", True),
        ("match( context.library.version, '1.*' )", True),
        ("match( context.library.version, '2.*' )", False),
        ("type = 'track' and ( event = 'Click' or match( event, 'Button *' ) )", True),
        ("!contains( context.library.name, 'js' )", False),
        ("'dark-mode' in properties.features", True),
        ("'blink' in properties.features", False),
        # precedence: `and` is tighter than `or`
        ("true or true and false", True),
        ("(true or true) and false", False),
        ("!false and false", False),
        ("!(false and false)", True),
        ("!!true", True),
        ("(!properties.vip) = false", True),
        # types are never mixed
        ("properties.price = 10", True),
        ("properties.price = properties.total", True),
        ("properties.price = properties.amount", False),
        ("properties.amount > 5", False),
        ("properties.amount <= 5", False),
        ("properties.vip = 1", False),
        ("properties.vip = true", True),
        ("properties.vip", True),
        ("properties.is\\ new = true", False),
        ("properties.price > 9.5 and properties.price >= 10 and properties.price <= 1e1", True),
        ("properties.price > -1", True),
        ("event < 'C' and event >= 'Button Clicked'", True),
        # null
        ("properties.nothing = null", True),
        ("context.ip = null", True),
        ("properties.nothing != null", False),
        ("properties.nothing > 1", False),
        ("properties.nothing", False),
        ("!properties.nothing", True),
        ("'a' in properties.nothing", False),
        ("event.deeper.still = null", True),
        ("contains(null, 'a')", False),
        ("contains(event, null)", False),
        ("match(properties.nothing, '*')", False),
        ("length(null) = 0", True),
        ("typeof(properties.nothing) = 'null'", True),
        ("lowercase(properties.nothing) = null", True),
        # lists: of a whole list, of a field of every element
        ("event in ['x', 'Button Clicked']", True),
        ("properties.price in ['10', 10.0]", True),
        ("event in []", False),
        ("properties.features = ['discounts', 'dark-mode']", True),
        ("properties.features = ['discounts']", False),
        ("properties.products.sku = ['A', 'B']", True),
        ("'B' in properties.products.sku", True),
        ("length(properties.features) = 2", True),
        # functions
        ("lowercase(event) = 'button clicked'", True),
        ("uppercase(type) = 'TRACK'", True),
        ("snakecase(event) = 'button_clicked'", True),
        ("kebabcase(event) = 'button-clicked'", True),
        ("titlecase('button-clicked') = event", True),
        ("length('é') = 2", True),
        ("typeof(properties) = 'object' and typeof(properties.features) = 'list'", True),
        ("typeof(properties.vip) = 'boolean' and typeof(properties.price) = 'number'", True),
        ("number(properties.amount) = 10", True),
        ("string(properties.total) = '10'", True),
        ("string(properties.vip) = 'true'", True),
        ("bool('true') and !bool(0)", True),
        # spelling
        ("properties.a\\.b = 'dotted'", True),
        ("properties.na\\ïve = 'é'", True),
        ("properties.quote = 'it\\'s \"so\"\\\\'", True),
        ('event = "Button Clicked"', True),
        ("event='Button Clicked'and\ttype!='page'\n", True),
    ],
)
def test_a_condition_says_what_the_documentation_says(text, expected):
    assert parse(text)(CLICK) is expected


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", None, "empty"),
        ("event = ", 9, "expected a field"),
        ("event == 'a'", 8, "one `=` is enough"),
        ("!event = 'a'", 1, "parentheses"),
        ("price < 1 < 2", 11, "join them with `and`"),
        ("lowercase(5) = 'x'", 11, "takes a string, not a number"),
        ("length() = 1", 1, "takes one value, not 0"),
        ("contains('a')", 1, "takes 2 values"),
        ("foo(1)", 1, "there is no function `foo`"),
        ("'text'", 1, "compare it"),
        ("type = 'a' and 5", 16, "compare it"),
        ("!'a'", 2, "compare it"),
        ("length(event)", 1, "compare it"),
        ("event = 'a", 9, "no closing '"),
        ("a..b = 1", 1, "names each level"),
        ("a. = 1", 1, "names each level"),
        ("a in 5", 6, "is followed by a list"),
        ("a > true", 5, "numbers or texts"),
        ("a = [b]", 6, "expected a text"),
        ("a = [1 2]", 8, "`,` or `]`"),
        ("(a = 1", 7, "`)`, it ends here"),
        ("a = 1)", 6, "found `)`"),
        ("a & b", 3, "is unknown"),
        ("a = 1e999", 5, "too large"),
        ("match(a, b)", 10, "is a text"),
        ("match(a, '[')", 10, "needs a `]`"),
        ("match(a, '[z-a]')", 10, "lower character"),
        ("match(a, 'x\\')", 10, "no closing"),
        ("(" * 100 + "a" + ")" * 100, 33, "levels"),
        ("!" * 100 + "a", 33, "levels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, place, expected):
    with pytest.raises(InvalidRequestError) as raised:
        parse(text)
    assert raised.value.field == "if"
    assert expected in str(raised.value)
    assert place is None or f"character {place}:" in str(raised.value)


def test_a_condition_has_at_most_5_kilobytes():
    longest = "a = '" + "x" * (CONDITION_BYTES_MAX - 6) + "'"
    assert parse(longest)({"a": longest[5:-1]})
    with pytest.raises(InvalidRequestError, match="5120"):
        parse(longest + " ")


@pytest.mark.parametrize(
    "text",
    ["event", "!event", "lowercase(price) = 'a'", "'a' in event", "length(price) = 1", "number(event) = 1",
     "bool(event)", "contains(price, 'a')", "match(price, '*')", "string(list) = ''", "typeof(event) = 'x' or price"],
)  # fmt: skip
def test_what_is_neither_true_nor_false_is_an_error_of_its_own(text):
    with pytest.raises(EvaluationError):
        parse(text)({"event": "text", "price": 5, "list": []})


def test_the_rest_of_a_condition_is_not_asked_once_it_is_decided():
    assert parse("typeof(price) = 'string' and contains(price, '5')")({"price": 5}) is False
    assert parse("typeof(price) = 'number' or contains(price, '5')")({"price": 5}) is True


names = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3).map(tuple)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = (scalars | st.lists(scalars, max_size=3)).map(Value)
conditions = st.recursive(
    values | names.map(Field),
    lambda inner: (
        st.builds(Negation, inner)
        | st.builds(Comparison, st.sampled_from(["=", "!=", "<", ">=", "in"]), inner, inner)
        | st.builds(Junction, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Call, st.sampled_from(["length", "contains", "odd_name"]), st.lists(inner, max_size=2).map(tuple))
    ),
    max_leaves=8,
)


def placeless(node):
    """Return a condition without the places that `read` notes, and with whole types beside equal numbers."""
    parts = [getattr(node, each.name) for each in fields(node) if each.name != "at"]
    inner = [[placeless(each) for each in part] if isinstance(part, tuple) and is_dataclass(next(iter(part), None))
             else placeless(part) if is_dataclass(part) else repr(part) for part in parts]  # fmt: skip
    return type(node), inner


@settings(deadline=None)
@given(conditions)
def test_a_condition_that_is_written_down_reads_as_itself(node):
    assert placeless(read(written(node))) == placeless(node)


json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
operands = st.sampled_from(
    ["a", "a.b", "a.b.c", "1", "'x'", "null", "true", "length(a)", "lowercase(a.b)", "number(b)", "string(c)",
     "bool(a)", "typeof(b)", "snakecase(a)", "titlecase(b)", "[1, 'x', null]"]
)  # fmt: skip
texts = st.builds(
    "{} {} {}".format, operands, st.sampled_from(["=", "!=", "<", ">=", "in"]), operands
) | st.sampled_from(["a", "!b", "contains(a, b)", "match(a.b, '*x?')", "a and b or c"])


@settings(deadline=None)
@given(texts, st.dictionaries(st.sampled_from("abc"), json_values, max_size=3))
def test_an_event_of_any_shape_gives_true_false_or_an_evaluation_error(text, body):
    try:
        condition = parse(text)
    except InvalidRequestError:
        return
    with contextlib.suppress(EvaluationError):
        assert condition(body) in (True, False)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_condition_or_refused(text):
    with contextlib.suppress(InvalidRequestError):
        assert parse(text).text == text


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("abc", "abc", True), ("abc", "abcd", False), ("ABC", "abc", False), ("", "", True), ("", "a", False),
        ("*", "", True), ("*", "any\nthing", True), ("a*", "a", True), ("*a", "ba", True), ("a*a", "a", False),
        ("?", "é", True), ("?", "", False), ("a?c", "abc", True), ("a?c", "ac", False),
        ("[abc]", "b", True), ("[abc]", "d", False), ("[a-c0-9]x", "7x", True), ("[a-]", "-", True),
        ("[^a]", "^", True), ("[^a]", "b", False), ("[\\]]", "]", True), ("\\*", "*", True), ("\\*", "a", False),
        ("a\\?b*", "a?bc", True), ("*.js?", "x.js", False), ("*[0-9]-*", "item7-a", True), ("**", "a", True),
        ("*a*a*", "a", False),
        ("*ab*ba*", "aba", False), ("*ab*ba*", "abba", True), ("/shop/*/item-??", "/shop/de/item-01", True),
    ],
)  # fmt: skip
def test_a_pattern_fits_the_whole_text(pattern, text, fits):
    assert Glob(pattern)(text) is fits


@settings(deadline=None)
@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=10))
def test_a_pattern_fits_what_the_shell_says(pattern, text):
    assert Glob(pattern)(text) == fnmatch.fnmatchcase(text, pattern)


class CountingText(str):
    """A text that counts how often something is looked for in it."""

    __slots__ = ("searches",)

    def find(self, *arguments):
        self.searches = getattr(self, "searches", 0) + 1
        return super().find(*arguments)


def test_many_stars_cost_one_search_each():
    text = CountingText("a" * 32_000)
    assert Glob("*a" * 200 + "*b")(text) is False
    assert text.searches == 200


def test_a_pattern_is_bounded():
    with pytest.raises(ValueError, match="512"):
        Glob("?" * 513)


@pytest.mark.parametrize("text", ["all", " all "])
def test_the_word_all_stands_for_every_event(text):
    assert parse(text)({"type": "page"}) is True
    assert parse("!all")({"type": "page"}) is True  # anywhere else it is a field, here one that is not there
