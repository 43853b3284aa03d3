"""Which passwords are taken, how they are kept, and how many wrong ones are borne."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from headwater.control.people.passwords import Passwords, checked
from headwater.control.people.throttle import WINDOW, Throttle
from headwater.errors import InvalidRequestError, RequestError

CHEAP = Passwords(kib=8, passes=1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "password",
    [
        "seven77",
        "",
        "e\u0301" * 7,  # seven letters, fourteen code points
        "password",
        "Password1",
        "iloveyou",
        " 12345678 ",
        "ann@example.com",
        "ANN@example.com",
        "Ann Example",
        "x" * 1_025,
        "é" * 513,
    ],
)
def test_what_is_short_endless_common_or_ones_own_name_is_refused(password):
    with pytest.raises(InvalidRequestError) as refused:
        checked(password, "ann@example.com", "Ann Example")
    assert refused.value.field == "password"


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "x" * 1_024,
        "   blanks   count   ",
        "🐈🐕🐎🐖🐓🐄🐑🐇",
        "zwölf\x00boxkämpfer",
        "a\tb\nc\rd e f",
    ],
)
def test_any_characters_make_a_password_and_all_of_them_count(password):
    stored = CHEAP.hashed(checked(password, "ann@example.com", "Ann"))
    assert CHEAP.compare(stored, password).is_right
    assert not CHEAP.compare(stored, password[:-1]).is_right
    assert not CHEAP.compare(stored, password + " ").is_right
    assert password not in stored


@given(st.text(min_size=8, max_size=40))
def test_a_password_is_the_same_from_every_keyboard(password):
    composed, taken_apart = (unicodedata.normalize(form, password) for form in ("NFC", "NFD"))
    assert CHEAP.compare(CHEAP.hashed(composed), taken_apart).is_right


def test_nothing_stored_is_never_right_and_rubbish_neither():
    assert not CHEAP.compare(None, "correct horse battery").is_right
    assert not CHEAP.compare("no hash", "correct horse battery").is_right
    assert not CHEAP.compare(CHEAP.hashed("correct horse battery"), "").is_right


def test_it_is_argon2id_as_strong_as_owasp_says_and_weaker_hashes_are_told():
    found = extract_parameters(Passwords().hashed("correct horse battery"))
    assert (found.type.name, found.memory_cost, found.time_cost, found.parallelism) == ("ID", 19 * 1024, 2, 1)
    verdict = Passwords().compare(CHEAP.hashed("correct horse battery"), "correct horse battery")
    assert (verdict.is_right, verdict.is_outdated) == (True, True)


def test_unknown_people_cost_the_same_work(monkeypatch):
    passwords, verified = Passwords(kib=8, passes=1), []
    real = passwords._hasher.verify
    monkeypatch.setattr(
        type(passwords._hasher), "verify", lambda _, stored, given: verified.append(stored) or real(stored, given)
    )
    passwords.compare(None, "correct horse battery")
    passwords.compare(passwords.hashed("another horse"), "correct horse battery")
    assert [extract_parameters(each) for each in verified] == [extract_parameters(verified[0])] * 2


def wrongs(throttle, count, account="ann@example.com", address="192.0.2.1", at=NOON):
    for _ in range(count):
        throttle.admit(account, address, at)
        throttle.wrong(account, address, at)


def refusal(throttle, account="ann@example.com", address="192.0.2.1", at=NOON):
    """Return the seconds until the next try, None when it is let through."""
    try:
        throttle.admit(account, address, at)
    except RequestError as error:
        return error.retry_after_s if error.status == 429 else None
    return None


def test_the_eleventh_wrong_password_waits_until_the_first_is_ten_minutes_old():
    throttle = Throttle()
    wrongs(throttle, 10)
    assert refusal(throttle) == 600
    assert refusal(throttle, at=NOON + timedelta(minutes=9, seconds=59)) == 1
    assert refusal(throttle, at=NOON + WINDOW) is None


def test_a_stranger_locks_nobody_out():
    throttle = Throttle()
    wrongs(throttle, 10)
    assert refusal(throttle, address="198.51.100.7") is None


def test_the_fiftieth_of_an_address_waits_whoever_it_tries():
    throttle = Throttle()
    for number in range(49):
        wrongs(throttle, 1, account=f"person{number}@example.com")
    assert refusal(throttle, account="somebody@example.com") == 600
    assert refusal(throttle, account="somebody@example.com", address="192.0.2.2") is None


def test_an_ipv6_household_is_one_address():
    throttle = Throttle()
    for number in range(10):
        wrongs(throttle, 1, address=f"2001:db8:1:2::{number:x}")
    assert refusal(throttle, address="2001:db8:1:2:ffff::1") == 600
    assert refusal(throttle, address="2001:db8:1:3::1") is None


def test_many_addresses_against_one_account_are_bounded_and_its_own_stays_open():
    throttle = Throttle()
    throttle.right("ann@example.com", "198.51.100.7")
    for number in range(10):
        wrongs(throttle, 10, address=f"192.0.2.{number}")
    assert refusal(throttle, address="192.0.2.99") == 600
    assert refusal(throttle, address="198.51.100.7") is None


def test_a_right_password_forgets_the_wrong_ones_before_it():
    throttle = Throttle()
    wrongs(throttle, 9)
    throttle.right("ann@example.com", "192.0.2.1")
    wrongs(throttle, 10)
    assert refusal(throttle) == 600


@given(st.lists(st.integers(0, 1_300), max_size=60).map(sorted))
def test_no_ten_minutes_hold_more_than_ten_wrong_ones(seconds):
    throttle, tried = Throttle(), []
    for second in seconds:
        at = NOON + timedelta(seconds=second)
        if refusal(throttle, at=at) is None:
            throttle.wrong("ann@example.com", "192.0.2.1", at)
            tried.append(second)
    assert all(later - earlier >= 600 for earlier, later in zip(tried, tried[10:], strict=False))


def test_what_is_remembered_is_bounded():
    throttle = Throttle()
    for number in range(25_000):
        throttle.wrong(f"p{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOON)
    assert len(throttle._wrong) <= 20_000


def test_an_endless_address_takes_no_more_memory_than_a_short_one():
    throttle = Throttle()
    throttle.wrong("a" * 250_000, "192.0.2.1", NOON)
    throttle.right("b" * 250_000, "192.0.2.1")
    kept = [*throttle._wrong, *throttle._known]
    assert max(len(account) for account, _ in kept) < 100
