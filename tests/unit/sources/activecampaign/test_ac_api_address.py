"""The account's address, in every form that somebody may paste."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.activecampaign.address import Address, normalised
from headwater.errors import InvalidRequestError

ACME = Address("https://acme.api-us1.com", "acme")


@pytest.mark.parametrize(
    "pasted",
    [
        "https://acme.api-us1.com",
        "https://acme.api-us1.com/",
        "https://acme.api-us1.com/api/3",
        "https://acme.api-us1.com/api/3/",
        "https://acme.api-us1.com//api/3//",
        "https://acme.api-us1.com/API/3",
        "https://acme.api-us1.com/admin/api.php",
        "https://acme.api-us1.com:443/api/3",
        "https://acme.api-us1.com./",
        "HTTPS://ACME.API-US1.COM",
        "  https://acme.api-us1.com\n",
        "\ufeff<https://acme.api-us1.com/>",
        '"https://acme.api-us1.com"',
        "acme.api-us1.com",
        "acme.api-us1.com/api/3",
        "//acme.api-us1.com",
    ],
)
def test_pitfall_49_what_was_pasted_means_the_same_account(pasted):
    assert normalised(pasted) == ACME


@pytest.mark.parametrize(
    ("pasted", "base", "name"),
    [
        # neither host is turned into the other: both answer, and which API host an account has is not ours to guess
        ("https://acme.activehosted.com/", "https://acme.activehosted.com", "acme"),
        ("https://acme.activehosted.com/app/settings/developer", "https://acme.activehosted.com", "acme"),
        ("https://acme.api-eu1.com/api/3", "https://acme.api-eu1.com", "acme"),
        ("https://mail.example.org", "https://mail.example.org", "mail.example.org"),
        ("https://mail.example.org:8443/api/3", "https://mail.example.org:8443", "mail.example.org"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://\uff45xample.org", "https://example.org", "example.org"),
        ("http://localhost:8082", "http://localhost:8082", "localhost"),
        ("http://127.0.0.1:8082/api/3/", "http://127.0.0.1:8082", "127.0.0.1"),
        ("http://[::1]:8082", "http://[::1]:8082", "::1"),
        ("http://localhost:80", "http://localhost", "localhost"),
    ],
)
def test_pitfall_49_both_hosts_are_taken_as_they_are(pasted, base, name):
    assert normalised(pasted) == Address(base, name)


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("", "missing"),
        ("   ", "missing"),
        ("acme", "a name and no URL"),
        ("https://acme", "a name and no URL"),
        ("http://acme.api-us1.com", "unencrypted"),
        ("http://192.168.1.5:8082", "unencrypted"),
        ("ftp://acme.api-us1.com", "must begin with https://"),
        ("https://me:secret@acme.api-us1.com", "user name or password"),
        ("https://me@acme.api-us1.com", "user name or password"),
        ("https://acme.api-us1.com/?api_key=secret", "query or fragment"),
        ("https://acme.api-us1.com/#/segment", "query or fragment"),
        ("https://acme.api-us1.com?", "query or fragment"),
        ("https://mail.example.org/login", "path"),
        ("https://acme.api-us1.com:99999", "port"),
        ("https://acme.api-us1.com:0", "port"),
        ("https://acme.api-us1.com:port", "port"),
        ("https://acme api-us1.com", "space"),
        ("https:\\\\acme.api-us1.com", "backslash"),
        ("https://", "not a valid name"),
        ("https://-acme.api-us1.com", "not a valid name"),
        ("https://acme..com", "not a valid name"),
        ("https://" + "a." * 130 + "com", "not a valid name"),
        ("https://2130706433.1", "four decimal numbers"),
        ("https://127.1", "four decimal numbers"),
        ("https://0.0x7f", "four decimal numbers"),
        ("https://[fe80::1%25eth0]", "scope"),
        ("https://[::gg]", "malformed"),
    ],
)
def test_pitfall_49_what_is_no_safe_address_is_refused_in_a_sentence(pasted, said):
    with pytest.raises(InvalidRequestError) as caught:
        normalised(pasted)
    sentence = str(caught.value)
    assert said in sentence
    assert caught.value.field == "accountUrl"
    assert sentence.endswith(".")
    assert "secret" not in sentence


@given(st.text(max_size=60) | st.from_regex(r"(https?://)?[a-z.:\[\]/@%0-9-]{0,40}", fullmatch=True))
def test_anything_is_an_address_or_refused_and_an_address_stays_itself(text):
    try:
        address = normalised(text)
    except InvalidRequestError:
        return
    assert normalised(address.base) == address
    assert (
        address.base.startswith("https://")
        or address.name in {"localhost", "::1"}
        or "127." in address.name
        or (address.name.endswith(".localhost"))
    )
