"""Whose word counts on where a request came from."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.ingest.proxies import sender

TRUSTED = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128"))
STRANGER = "192.0.2.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [b"192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", [b"192.0.2.9, 10.0.0.7"], "192.0.2.9"),
        ("127.0.0.1", [b"198.51.100.1, 192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", [b"198.51.100.1", b"192.0.2.9"], "192.0.2.9"),
        ("192.0.2.9", [b"198.51.100.1"], "192.0.2.9"),
        ("127.0.0.1", [b"unknown"], "127.0.0.1"),
        ("127.0.0.1", [b"192.0.2.9, for=evil"], "127.0.0.1"),
        ("127.0.0.1", [b"192.0.2.9:5123"], "192.0.2.9"),
        ("::1", [b"[2001:db8::1]:443"], "2001:db8::1"),
        ("::1", [b"2001:DB8::1"], "2001:db8::1"),
        ("", [b"192.0.2.9"], ""),
        ("127.0.0.1", [b", ".join([b"10.0.0.1"] * 5_000)], "10.0.0.1"),
    ],
)
def test_the_last_address_that_a_trusted_proxy_wrote_is_the_sender(peer, forwarded, found):
    assert sender(peer, forwarded, TRUSTED) == found


@given(st.binary(max_size=200))
def test_what_a_stranger_writes_changes_nothing(written):
    assert sender(STRANGER, [written], TRUSTED) == STRANGER
    assert sender("127.0.0.1", [written, STRANGER.encode()], TRUSTED) == STRANGER


@given(st.lists(st.ip_addresses(), max_size=30))
def test_the_sender_is_one_of_those_who_were_named(addresses):
    named = [b", ".join(str(each).encode() for each in addresses)]
    assert ip_address(sender("127.0.0.1", named, TRUSTED)) in {*addresses, ip_address("127.0.0.1")}


def test_nobody_is_trusted_where_none_is_named():
    assert sender("127.0.0.1", [b"192.0.2.9"], ()) == "127.0.0.1"
