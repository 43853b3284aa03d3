"""Secrets in texts: found in every spelling, and nothing else is touched."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery.connection import Connection
from headwater.delivery.masking import MASK, Mask, mask_of
from headwater.destinations.contract import Delivered, Discarded, Retry, Skipped, Unauthorized
from headwater.functions.contract import Function

SECRET = 'k3y/with+odd"chars-and-länge'
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=12, max_size=40)


def connection(kind="webhook", **named):
    return Connection("d1", "s1", kind, "Mine", **{"enabled": True, "settings": {}, **named})


@given(SECRETS, st.sampled_from([str, quote, lambda text: json.dumps({"a": text}), lambda text: quote(text, safe="")]))
def test_a_secret_is_masked_however_it_is_spelled(secret, spelled):
    text = f"before {spelled(secret)} after"
    masked = Mask([secret])(text)
    assert secret not in masked
    assert spelled(secret) not in masked
    assert MASK in masked


@given(SECRETS, st.text("abc:", max_size=5), st.text("abc:", max_size=5))
def test_what_base64_tells_of_a_secret_is_masked(secret, before, after):
    whole = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    masked = Mask([secret])(whole)
    assert len(masked) - len(MASK) <= 4 + len(before) * 2 + len(after) * 2 + 6
    assert MASK in masked


@given(st.text(), SECRETS)
def test_a_text_without_the_secret_stays_as_it_is(text, secret):
    if not any(secret[:8] in text[at:] for at in range(len(text) or 1)) and secret not in text:
        assert Mask([secret])(text) == text


@pytest.mark.parametrize("left", range(8, len(SECRET)))
def test_a_secret_that_an_excerpt_cuts_is_masked(left):
    assert Mask([SECRET])(f"it says {SECRET[:left]}") == f"it says {MASK}"


def test_short_secrets_mask_no_words():
    assert Mask(["a", "the"])("the cat sat") == "the cat sat"


def test_of_an_address_the_host_stays_visible():
    mask = mask_of(connection("slack", settings={"url": "https://hooks.example/services/T0AB/B0CD/xyzxyzxyzxyzxyz"}))
    assert mask("https://hooks.example/services/T0AB/B0CD/xyzxyzxyzxyzxyz") == f"https://hooks.example/{MASK}"
    assert mask("token xyzxyzxyzxyzxyz is unknown") == f"token {MASK} is unknown"


def test_a_word_of_a_secret_header_is_a_secret():
    mask = mask_of(connection(settings={"headers": {"Authorization": "Bearer abcdefghijklmnop"}}))
    assert mask("unknown token abcdefghijklmnop") == f"unknown token {MASK}"
    assert mask("Bearer of news") == "Bearer of news"


def test_settings_of_functions_are_secrets_too():
    function = Function("f", "F", "", {"key": "s3cretkey", "deep": {"er": ["an0ther"]}})
    for named in ({"inserts": (function,)}, {"functions": {"f": function}}):
        assert mask_of(connection(**named))("s3cretkey an0ther") == f"{MASK} {MASK}"


def test_a_setting_of_a_function_that_is_no_secret_may_be_shown():
    function = Function("f", "F", "", {"key": "s3cretkey", "stage": "production"}, frozenset({"key"}))
    assert mask_of(connection(inserts=(function,)))("s3cretkey in production") == f"{MASK} in production"


def test_each_outcome_is_told_without_secrets():
    mask = Mask(["s3cretkey"])
    told, masked = Retry("no s3cretkey", 500, 3.0, "s3cretkey!", 9.0), Retry(f"no {MASK}", 500, 3.0, f"{MASK}!", 9.0)
    assert mask.outcome(told) == masked
    assert mask.outcome(Discarded("s3cretkey", 400, "x")) == Discarded(MASK, 400, "x")
    assert mask.outcome(Unauthorized("s3cretkey")) == Unauthorized(MASK)
    assert mask.outcome(Skipped("s3cretkey said")) == Skipped(f"{MASK} said")
    for same in (Delivered(201), Skipped("FILTERED_BY_FUNCTION")):
        assert mask.outcome(same) is same
