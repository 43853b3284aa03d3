from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater.errors import InvalidEventError
from headwater.spec.parse import Decoded, decode, depth_of

NAMED = {"invalid_json", "invalid_utf8", "unsupported_charset"}


def test_clean_json_comes_back_as_it_is() -> None:
    assert decode(b'{"a":[1,2.5,"x",null,true]}') == Decoded({"a": [1, 2.5, "x", None, True]})


@pytest.mark.parametrize(
    ("body", "value", "warnings"),
    [
        (b"\xef\xbb\xbf[1]", [1], ()),
        (rb'"\ud800"', "\ufffd", ("lone_surrogate",)),
        (rb'["\ud83d\ude00\udc00"]', ["😀\ufffd"], ("lone_surrogate",)),
        (b"[NaN,Infinity,-Infinity]", [None] * 3, ("non_finite_number",)),
        (b"[1e999,-1e999]", [None] * 2, ("non_finite_number",)),
        (b"[%s]" % (b"9" * 4_300), [int("9" * 4_300)], ()),
        (b"[%s,-%s]" % (b"9" * 4_301, b"8" * 5_000), ["9" * 4_301, "-" + "8" * 5_000], ("huge_number",)),
        (b"[NaN,18446744073709551616]", [None, 2**64], ("non_finite_number",)),
    ],
)  # fmt: skip
def test_what_sdks_send_beyond_json_is_kept_and_named(body: bytes, value: object, warnings: tuple[str, ...]) -> None:
    assert decode(body) == Decoded(value, warnings)


def test_a_value_that_is_far_too_deep_does_not_cost_its_neighbours() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    value = decode(b'{"batch":[{"a":1},{"b":"[[[","deep":%s,"c":"]"},{"d":4}]}' % deep).value
    assert (value["batch"][0], value["batch"][2]) == ({"a": 1}, {"d": 4})
    assert (value["batch"][1]["b"], value["batch"][1]["c"]) == ("[[[", "]")
    assert depth_of(json.dumps(value["batch"][1]).encode()) > 64


def test_depth_counts_levels_and_not_brackets_in_strings() -> None:
    assert depth_of(b"1") == 0
    assert depth_of(b"{}") == 1
    assert depth_of(rb'{"a":"[[[\"{{","b":[{"c":[]}],"d":[[]]}') == 4


@pytest.mark.parametrize(
    "body", [b'"' + b"a" * 200_000, b'"' + b"\\" * 200_001, b"[" * 300_000, b"NaN" + b"{" * 300_000]
)
def test_a_hostile_body_costs_one_pass(body: bytes) -> None:
    with pytest.raises(InvalidEventError):
        decode(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_python_writes_as_json_is_read(value: object) -> None:
    decoded = decode(json.dumps(value).encode())
    msgspec.json.encode(decoded.value)


@given(st.binary() | st.text(alphabet='{}[]",:\\u1dNaInfity-+e. \n').map(str.encode))
@example(b'{"a":NaN')
@example(b"\xff\xfe{\0")
def test_any_bytes_are_a_value_or_a_named_error(body: bytes) -> None:
    try:
        decoded = decode(body)
    except InvalidEventError as error:
        assert error.code in NAMED  # noqa: PT017 - either outcome is right, anything else is not
    else:
        assert decode(msgspec.json.encode(decoded.value)).value == decoded.value
