"""ActiveCampaign: what the contract suite needs to know of it, and its rules that need no account."""

import asyncio
import json
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.destinations.activecampaign import Destination, Settings
from headwater.destinations.activecampaign.kept import Kept
from headwater.destinations.activecampaign.names import CHARS_MAX, fitted
from headwater.destinations.activecampaign.people import People, ids, own_email
from headwater.destinations.activecampaign.recent import AGE_S, Recent
from headwater.destinations.activecampaign.traits import event_value, plain, wanted, written
from headwater.destinations.contract import Answer
from headwater.errors import ConfigError, DeliveryError
from rooms import Example, room

EVERYTHING = {
    "user": {"id": "1"},
    "eventTracking": {"enabled": True},
    "eventTrackingEvents": [{"name": "A"}],
    "meta": {"total": "1"},
    "success": 1,
}
EXAMPLE = Example(
    {"api_url": "https://acme.api-us1.com", "api_key": "k", "event_key": "e", "actid": "1"},
    accepted=Answer(200, {}, json.dumps(EVERYTHING).encode()),
    count_max=5,
)
PASTED = ["acme.api-us1.com", "https://acme.api-us1.com/api/3/", " https://acme.activehosted.com "]
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


def traits(**members):
    return wanted({"type": "identify", "traits": members}, "a@b.c")


@pytest.mark.parametrize("pasted", PASTED)
def test_it_takes_what_somebody_pastes_as_the_url(pasted):
    Destination(Settings(pasted, "k"), room(None))


@pytest.mark.parametrize(("url", "key", "what"), [("acme", "k", "URL"), ("https://acme.api-us1.com", " ", "API key")])
def test_what_cannot_work_is_refused_when_it_is_saved(url, key, what):
    with pytest.raises(ConfigError, match=what):
        Destination(Settings(url, key), room(None))


@given(st.text(min_size=1, max_size=200), st.sampled_from(["truncate", "hash-suffix"]))
def test_a_name_always_fits_and_a_short_one_stays(name, rule):
    found = fitted(name, rule)
    assert len(found) <= CHARS_MAX
    assert found == name or len(name) > CHARS_MAX


@given(st.lists(st.text(string.ascii_letters, min_size=33, max_size=60), min_size=2, max_size=5, unique=True))
def test_a_hash_tells_long_names_apart(names):
    long = ["A long name with the same beginning " + name for name in names]
    assert len({fitted(name, "hash-suffix") for name in long}) == len(names)


def test_a_long_name_is_refused_where_that_is_wanted():
    assert (fitted("x" * 33, "reject"), fitted("x" * 32, "reject")) == (None, "x" * 32)


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        (["a", 1, None, "b"], "listbox", "||a||1||b||"),
        ("a", "checkbox", "||a||"),
        ("||a||b||", "checkbox", "||a||b||"),
        ([], "listbox", ""),
        (True, "text", "true"),
        ("2026-05-04T23:30:00Z", "date", "2026-05-04"),
        ("2026-05-04T23:30:00", "datetime", "2026-05-04T23:30:00+00:00"),
        ("tomorrow", "date", "tomorrow"),
        ({"a": 1}, "text", None),
        (None, "text", None),
    ],
)
def test_a_trait_is_written_as_the_field_takes_it(value, type_, expected):
    assert written(value, type_) == expected


@given(st.dictionaries(st.text() | st.sampled_from(["tags", "lists", "Phone"]), JSON, max_size=6))
def test_no_traits_are_too_odd(odd):
    wish = traits(**odd)
    assert all(plain(name) not in {"email", "tags", "lists", "phone"} for name in wish.others)
    assert all(isinstance(written(value, "listbox"), str | None) for value in wish.others.values())


@pytest.mark.parametrize("value", [1, "1", True, "true", 0, "0", False, None, "no", 2, [1]])
def test_only_a_clear_yes_resets_tags(value):
    assert traits(tagsReset=value).resets == (value in (1, "1", "true"))


def test_a_full_name_is_split_only_where_no_part_is_given():
    assert traits(name="Ann van Dyk").basics == {"firstName": "Ann", "lastName": "van Dyk"}
    assert traits(name="Ann van Dyk", lastName="Dyk").basics == {"lastName": "Dyk"}


def test_the_value_of_an_event_is_a_text():
    given_ = ({"acValue": 1.5}, {"properties": {"acValue": "x"}}, {"acValue": [1]}, {})
    assert [event_value({"properties": each}) for each in given_] == ["1.5", "x", "[1]", ""]


def test_the_address_of_the_call_goes_before_that_of_its_context():
    body = {"type": "track", "properties": {"email": "a@x.y"}, "context": {"traits": {"email": "b@x.y"}}}
    assert own_email(body) == "a@x.y"
    assert own_email({**body, "type": "identify", "traits": {"email": "c@x.y"}}) == "c@x.y"
    assert own_email({"type": "track", "properties": {"email": "nobody"}}) == ""


def test_people_are_remembered_over_a_restart(tmp_path):
    body = {"type": "identify", "userId": "u", "anonymousId": "x", "traits": {"email": "A@x.y"}}
    people = People(tmp_path / "home")
    people.meet([body])
    people.keep({}, {"a@x.y": "7"})
    people.close()
    again = People(tmp_path / "home")
    assert again.meet([{"type": "track", "anonymousId": "x"}]) == ({"a:x": "A@x.y"}, {"a@x.y": "7"})
    again.close()
    assert ids(body) == ["u:u", "a:x"]


async def test_what_is_read_at_once_is_read_once_and_a_refusal_is_trusted():
    seconds, reads = [0.0], Counter()

    async def read():
        reads["all"] += 1
        await asyncio.sleep(0)
        if reads["all"] == 2:
            raise DeliveryError("no")
        return reads["all"]

    kept = Kept(read, 10.0, lambda: seconds[0])
    assert await asyncio.gather(*(kept.get() for _ in range(5))) == [1] * 5
    seconds[0] = 11.0
    for _ in range(3):
        with pytest.raises(DeliveryError, match="no"):
            await kept.get()
    kept.forget()
    assert await kept.get() == 3


def test_what_is_recent_is_so_for_a_while():
    seconds = [0.0]
    recent = Recent(lambda: seconds[0])
    recent.add("a")
    seconds[0] = AGE_S - 1
    assert ("a" in recent, "b" in recent) == (True, False)
    seconds[0] = AGE_S + 1
    assert "a" not in recent
