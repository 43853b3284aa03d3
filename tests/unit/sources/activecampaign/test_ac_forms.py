"""The body parser: bracket keys, encodings, bounds, JSON and multipart."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.limits import WEBHOOK_BYTES_MAX, WEBHOOK_DEPTH_MAX, WEBHOOK_PAIRS_MAX
from headwater.sources.activecampaign.mapping import bodies, forms
from headwater.sources.activecampaign.mapping.forms import CP1252, CUT, Form, parse, path_of
from headwater.sources.activecampaign.mapping.lists import MailingList, lists_of


def pairs(body: bytes) -> list[tuple[tuple[str, ...], str]]:
    return list(bodies.read(body).pairs)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("type", ("type",)),
        ("contact[id]", ("contact", "id")),
        ("contact[fields][12]", ("contact", "fields", "12")),
        ("list[][id]", ("list", "", "id")),
        ("account[fields][0][id]", ("account", "fields", "0", "id")),
        ("tags[999999999]", ("tags", "999999999")),
        ("__proto__[x]", ("__proto__", "x")),
        ("User-Agent", ("User-Agent",)),
        ("contact[id", ("contact[id",)),
        ("contact]id[", ("contact]id[",)),
        ("contact[a[b]]", ("contact[a[b]]",)),
        ("contact[a]b[c]", ("contact[a]b[c]",)),
        ("[id]", ("[id]",)),
        ("", ("",)),
    ],
)
def test_a_bracket_key_is_a_path_of_labels_and_anything_else_stands_as_it_is(key: str, path: tuple[str, ...]) -> None:
    assert path_of(key) == path


def test_numeric_labels_stay_ids() -> None:
    form = parse(b"contact[fields][31]=a&contact[fields][7]=b")
    assert list(form.under("contact", "fields")) == [(("31",), "a"), (("7",), "b")]


def test_repeated_keys_keep_their_order_and_number() -> None:
    form = parse(b"list[][id]=3&list[][id]=1&list[][id]=3")
    assert [value for _, value in form.under("list")] == ["3", "1", "3"]


def test_blank_values_are_kept_and_differ_from_absent_ones() -> None:
    form = parse(b"contact[phone]=&contact[ip]")
    assert form.has("contact", "phone")
    assert form.has("contact", "ip")
    assert not form.has("contact", "email")


def test_a_value_and_a_branch_of_the_same_name_are_both_kept() -> None:
    form = parse(b"contact=x&contact[id]=7&contact[id][deep]=y")
    assert (form.text("contact"), form.text("contact", "id"), form.text("contact", "id", "deep")) == ("x", "7", "y")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a+b", "a b"),
        (b"a%2Bb%40x.org", "a+b@x.org"),
        (b"https%3A%2F%2Fx.org%2F%3Fq%3D%2541%26r%3D%255B", "https://x.org/?q=%41&r=%5B"),
        (b"%F0%9F%98%80", "\U0001f600"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        (b"a=b", "a=b"),
        (b"%00", "\x00"),
    ],
)
def test_escapes_are_decoded_exactly_once(raw: bytes, text: str) -> None:
    form = parse(b"v=" + raw)
    assert form.raw("v") == text
    assert form.flags == frozenset()


@pytest.mark.parametrize("raw", [b"caf%E9", b"caf\xe9"])
def test_what_is_not_utf8_is_read_as_cp1252_and_flagged(raw: bytes) -> None:
    form = parse(b"v=" + raw + b"&w=%C3%A9")
    assert (form.raw("v"), form.raw("w"), form.flags) == ("café", "é", {CP1252})


def test_bytes_that_no_encoding_knows_become_replacement_characters() -> None:
    assert parse(b"v=%81%8d").raw("v") == "\ufffd\ufffd"


def test_five_thousand_members_are_parsed_and_the_rest_is_flagged() -> None:
    body = b"&".join(b"f[%d]=x" % number for number in range(WEBHOOK_PAIRS_MAX + 1))
    form = parse(body)
    assert (len(form.pairs), form.flags) == (WEBHOOK_PAIRS_MAX, {CUT})
    assert parse(body.rpartition(b"&")[0]).flags == frozenset()


def test_a_key_two_hundred_brackets_deep_is_left_out_and_flagged() -> None:
    form = parse(b"contact" + b"[a]" * 200 + b"=x&type=open")
    assert (form.pairs, form.flags) == (((("type",), "open"),), {CUT})
    assert len(parse(b"c" + b"[a]" * (WEBHOOK_DEPTH_MAX - 1) + b"=x").pairs) == 1


def test_a_body_above_the_bound_loses_its_last_half_member_only() -> None:
    form = parse(b"type=open&v=" + b"x" * WEBHOOK_BYTES_MAX)
    assert (form.pairs, form.flags) == (((("type",), "open"),), {CUT})


@pytest.mark.parametrize(
    ("body", "lists"),
    [
        (b"list=3", [("3", "")]),
        (b"list=0", []),
        (b"list=", []),
        (b"type=open", []),
        (b"list[0][id]=3&list[0][name]=News&list[1][id]=5&list[1][name]=Offers", [("3", "News"), ("5", "Offers")]),
        (b"list[1][id]=5&list[0][id]=3&list[0][name]=News", [("5", ""), ("3", "News")]),
        (b"list[][id]=3&list[][id]=1", [("3", ""), ("1", "")]),
        (b"list[][id]=3&list[][name]=News&list[][id]=1&list[][name]=Offers", [("3", "News"), ("1", "Offers")]),
        (b"list[id]=3&list[name]=News&list[userid]=1&list[fulladdress]=x", [("3", "News")]),
        (b"list[]=3&list[]=1", [("3", ""), ("1", "")]),
        (b"list[0][id]=0&list[0][name]=None", []),
        (b"list[0][id]=3&list[1][id]=3", [("3", "")]),
        (b"list[0][name]=News", []),
    ],
)
def test_a_list_is_read_in_every_shape_and_zero_is_none(body: bytes, lists: list[tuple[str, str]]) -> None:
    assert lists_of(parse(body)) == [MailingList(*found) for found in lists]


def test_json_gives_the_same_members_as_the_form() -> None:
    body = {"type": "open", "contact": {"id": 7, "fields": {"12": "x"}}, "list": [{"id": "3", "name": None}], "t": True}
    assert pairs(json.dumps(body).encode()) == [
        (("type",), "open"),
        (("contact", "id"), "7"),
        (("contact", "fields", "12"), "x"),
        (("list", "0", "id"), "3"),
        (("list", "0", "name"), ""),
        (("t",), "true"),
    ]


def test_flat_json_with_bracket_keys_is_read_like_the_form() -> None:
    assert pairs(b'{"contact[id]": "7", "type": "open"}') == [(("contact", "id"), "7"), (("type",), "open")]


def test_json_numbers_keep_every_digit_and_lone_surrogates_become_text() -> None:
    body = b'{"a": ' + b"9" * 5000 + b', "b": 1.10, "c": NaN, "d": "\\ud800x", "e": "\\ud83d\\ude00"}'
    values = [value for _, value in pairs(body)]
    assert values == ["9" * 5000, "1.10", "NaN", "\ufffdx", "\U0001f600"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (b'{"type": "open", "cont', "the body is not valid JSON"),
        (b"{" * 100_000, "the body is not valid JSON"),
        (b'{"a":' * 100_000, "the body is not valid JSON"),
        (b'["open"]', "the JSON body is not an object"),
        (b'{"a":"' + b"x" * WEBHOOK_BYTES_MAX + b'"}', "the JSON body is larger than the bound"),
    ],
)
def test_a_body_that_is_no_webhook_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(bodies.UnreadableError, match=reason):
        bodies.read(body)


def test_deep_and_wide_json_is_cut_at_the_bounds() -> None:
    deep = b'{"a":' * 40 + b"1" + b"}" * 40
    wide = json.dumps({"type": "open", "f": list(range(6000))}).encode()
    assert (bodies.read(deep).pairs, bodies.read(deep).flags) == ((), {CUT})
    assert (len(bodies.read(wide).pairs), bodies.read(wide).flags) == (WEBHOOK_PAIRS_MAX, {CUT})


def test_multipart_gives_the_same_members_as_the_form() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="type"\r\n\r\nopen\r\n'
        b'--B\r\nContent-Disposition: form-data; name="contact[email]"\r\nContent-Type: text/plain\r\n\r\na+b@x.org\r\n'
        b"--B\r\nContent-Disposition: form-data; name=v\r\n\r\nline\r\nline\r\n--B--\r\n"
    )
    assert pairs(body) == [(("type",), "open"), (("contact", "email"), "a+b@x.org"), (("v",), "line\r\nline")]


def test_dashes_that_are_no_boundary_are_a_form() -> None:
    assert pairs(b"--=1&type=open") == [(("--",), "1"), (("type",), "open")]


def test_a_byte_order_mark_before_json_is_skipped() -> None:
    assert pairs(b'\xef\xbb\xbf{"type":"open"}') == [(("type",), "open")]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_form(body: bytes) -> None:
    form = forms.parse(body)
    assert all(isinstance(value, str) and path for path, value in form.pairs)


@given(
    st.lists(
        st.tuples(
            st.lists(
                st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=1), min_size=1
            ),
            st.text(st.characters(exclude_categories=["Cs"])),
        ),
        max_size=8,
    )
)
def test_what_php_would_send_comes_back_as_it_was(members: list[tuple[list[str], str]]) -> None:
    short = [(tuple(path[:WEBHOOK_DEPTH_MAX]), value) for path, value in members]
    body = "&".join(
        quote_plus(path[0] + "".join(f"[{label}]" for label in path[1:])) + "=" + quote_plus(value)
        for path, value in short
    )
    assert forms.parse(body.encode()) == Form(tuple(short))
