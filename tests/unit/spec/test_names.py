from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.spec.names import column_name, pointer, quote_ident, quote_text, snake_case, table_name

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Email Link Clicked", "email_link_clicked"),
        ("accountType", "account_type"),
        ("linkURL", "link_url"),
        ("HTMLBody", "htmlbody"),
        ("CStringRef", "cstring_ref"),
        ("iOS Version", "i_os_version"),
        ("2FA Enabled", "2fa_enabled"),
        ("samPLE text", "sam_ple_text"),
        ("f_pX9", "f_p_x9"),
        ("FOO:BAR$BAZ", "foo_bar_baz"),
        ("Café Opened", "caf_opened"),
        ("日本", ""),
        ("email-id", "email_id"),
        ("email.id", "email_id"),
        ("emailID", "email_id"),
        ("__leading and trailing__", "leading_and_trailing"),
        ("", ""),
    ],
)
def test_names_are_spelled_as_segment_spells_them(name, slug):
    assert snake_case(name) == slug


@pytest.mark.parametrize(
    ("event", "table"),
    [
        ("3doctors", "_3doctors"),
        ("Order", "_order"),
        ("Email Marked As Spam", "email_marked_as_spam"),
        ("日本", "event_cf2abf0c"),
        ("x" * 63, "x" * 63),
        ("x" * 64, "x" * 54 + "_" + "7ce10097"),
    ],
)
def test_an_event_name_gives_a_safe_table(event, table):
    assert table_name(event) == table


@pytest.mark.parametrize(
    ("path", "column"),
    [
        (("address", "street"), "address_street"),
        (("user",), "_user"),
        (("user", "id"), "user_id"),
        (("2nd",), "_2nd"),
        (("城市",), "property_ed84a166"),
        (("address", "城市"), "address_ed84a166"),
    ],
)
def test_a_property_gives_a_safe_column(path, column):
    assert column_name(*path) == column


@given(st.text(max_size=200))
def test_every_name_is_an_identifier_in_every_engine(name):
    for identifier in (table_name(name), column_name(name), column_name("context", name)):
        assert IDENTIFIER.fullmatch(identifier)


@given(st.text(max_size=40), st.text(max_size=40))
def test_names_of_other_scripts_stay_apart(one, other):
    if one != other and not snake_case(one) and not snake_case(other):
        assert table_name(one) != table_name(other)
        assert column_name(one) != column_name(other)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_text_and_pointers_survive_the_way_through_sql(key):
    document = f"json_object({quote_text(key)}, 5)"
    with duckdb.connect() as connection:
        question = f"select json_extract_string({document}, {quote_text(pointer([key]))})"
        found = connection.execute(question).fetchone()
    assert found == ("5",)


def test_an_identifier_is_quoted_even_when_it_looks_quoted():
    assert quote_ident('"a"; drop table x') == '"""a""; drop table x"'
    with pytest.raises(ValueError, match="NUL"):
        quote_ident("a\0b")
