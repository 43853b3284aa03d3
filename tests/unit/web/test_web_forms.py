"""A form gives back values of the types that the settings have, and never shows a stored secret."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from headwater.control.models import MASKED
from headwater.control.options import options
from headwater.destinations.contract import setting
from headwater.errors import InvalidRequestError
from headwater.web.forms import fields, filled, instant


@dataclass(frozen=True, slots=True)
class Settings:
    url: str = field(metadata=setting("URL"))
    secret: str = field(default="", metadata=setting("Secret", secret=True, required=False))
    batch: int = field(default=10, metadata=setting("Batch", required=False))
    ordered: bool = field(default=False, metadata=setting("Ordered", required=False))
    names: list[str] = field(default_factory=list, metadata=setting("Names", required=False))
    headers: dict[str, str] = field(default_factory=dict, metadata=setting("Headers", required=False))
    region: Literal["us", "eu"] = field(default="us", metadata=setting("Region", required=False))
    keys: dict[str, str] = field(
        default_factory=dict, repr=False, metadata=setting("Keys", secret=True, required=False)
    )


OPTIONS = options(Settings)


def test_each_value_gets_its_type():
    form = {
        "settings.url": " https://example.com ",
        "settings.batch": "25",
        "settings.ordered": "on",
        "settings.names": "a\n\nb\n",
        "settings.headers": " x-team = shop \n\nx-sum=1+1=2\n",
    }
    assert filled(OPTIONS, form) == {
        "url": "https://example.com",
        "batch": 25,
        "ordered": True,
        "names": ["a", "b"],
        "headers": {"x-team": "shop", "x-sum": "1+1=2"},
    }


@pytest.mark.parametrize("text", ["ten", "1,5", "\u0661\u0662", "1e"])
def test_what_is_no_number_is_refused_by_name(text):
    with pytest.raises(InvalidRequestError) as refused:
        filled(OPTIONS, {"settings.url": "x", "settings.batch": text})
    assert refused.value.field == "settings.batch"


def test_a_secret_is_a_password_field_that_holds_its_mask():
    shown = {each.name: each for each in fields(OPTIONS, {"url": "https://example.com", "secret": MASKED})}
    assert (shown["settings.secret"].kind, shown["settings.secret"].value) == ("password", MASKED)
    assert filled(OPTIONS, {"settings.url": "x", "settings.secret": MASKED})["secret"] == MASKED


def test_a_choice_is_picked_from_a_list():
    region = next(each for each in fields(OPTIONS, {"region": "eu"}) if each.name == "settings.region")
    assert (region.kind, region.value, region.choices) == ("select", "eu", ("us", "eu"))


def test_a_secret_map_stays_masked_until_it_is_written_anew():
    keys = next(each for each in fields(OPTIONS, {"keys": MASKED}) if each.name == "settings.keys")
    assert (keys.kind, keys.value) == ("pairs", MASKED)
    assert filled(OPTIONS, {"settings.url": "x", "settings.keys": MASKED})["keys"] == MASKED
    assert filled(OPTIONS, {"settings.url": "x", "settings.keys": "a=b"})["keys"] == {"a": "b"}


@pytest.mark.parametrize("text", ["x-team", "=shop", "a=1\na=2"])
def test_a_line_that_is_no_name_and_value_is_refused_by_name(text):
    with pytest.raises(InvalidRequestError, match="one name=value a line") as refused:
        filled(OPTIONS, {"settings.url": "x", "settings.headers": text})
    assert refused.value.field == "settings.headers"


def test_a_map_is_shown_as_it_is_written():
    headers = {"a": "1", "b": "x=y"}
    shown = next(each for each in fields(OPTIONS, {"headers": headers}) if each.name == "settings.headers")
    assert (shown.kind, shown.value) == ("pairs", "a=1\nb=x=y")
    assert filled(OPTIONS, {"settings.url": "x", shown.name: shown.value})["headers"] == headers


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (" 2026-01-31 ", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00:00+02:00", "2026-01-31T08:00:00+02:00"),
        ("", None),
    ],
)
def test_a_time_without_a_zone_is_utc(given, meant):
    assert instant("since", given) == meant


def test_what_is_no_time_names_its_field():
    with pytest.raises(InvalidRequestError, match="This is no time") as told:
        instant("since", "banana")
    assert told.value.field == "since"
