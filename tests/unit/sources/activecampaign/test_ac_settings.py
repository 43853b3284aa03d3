"""Settings: strict when they are saved, lenient when something is mapped, and alive through form and options."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.control import options
from headwater.errors import ConfigError, InvalidRequestError
from headwater.sources.activecampaign.mapping.kinds import EXTRA_NAMES, webhook_types
from headwater.sources.activecampaign.settings import Settings, read
from headwater.web import forms

PAGE = Path(__file__).parents[4] / "docs" / "sources" / "activecampaign.md"
NAMES = [field.name for field in dataclasses.fields(Settings)]


def test_every_setting_is_shown_with_its_type_and_its_default() -> None:
    shown = {option.name: (option.type, option.default) for option in options.options(Settings)}
    assert shown == {
        "account": ("string", ""),
        "time_zone": ("string", "America/Chicago"),
        "delivered": ("string", "both"),
        "delivered_hold_h": ("number", 24),
        "include_contact": ("string", "basic"),
        "complaint_reason": ("string", "Abuse Reported."),
        "unsubscribed_too": ("boolean", False),
        "extra_events": ("boolean", False),
        "merge_unsubscribes_s": ("number", 60),
        "same_second": ("string", "collapse"),
        "backfill_repeats": ("boolean", False),
        "match_tolerance_s": ("number", 5),
        "user_id_field": ("string", ""),
        "identify_feed": ("boolean", True),
    }
    assert all(option.label and option.description for option in options.options(Settings))


CHANGED: dict[str, Any] = {
    "delivered_hold_h": 0,
    "unsubscribed_too": True,
    "identify_feed": False,
    "same_second": "count",
    "user_id_field": "%USER_ID%",
}


def test_numbers_and_switches_survive_the_web_form() -> None:
    known = options.options(Settings)
    shown = forms.fields(known, options.checked(Settings, CHANGED))
    posted = {field.name: field.value for field in shown if field.kind != "checkbox"}
    posted |= {field.name: "on" for field in shown if field.kind == "checkbox" and field.checked}
    stored = options.checked(Settings, forms.emptied(known) | forms.filled(known, posted))
    assert read(stored) == dataclasses.replace(Settings(), **CHANGED)


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"delivered": "yes"}, "Email Delivered is both, engagement, report or off."),
        ({"include_contact": "all"}, "Contact is basic, full or none."),
        ({"same_second": ""}, "Same second is collapse or count."),
        ({"delivered_hold_h": -1}, "Hold deliveries (hours) is a number from 0 to 720."),
        ({"merge_unsubscribes_s": 3_601}, "Wait for a reason (seconds) is a number from 0 to 3600."),
        ({"time_zone": "Mars"}, "There is no time zone 'Mars'; use one such as America/Chicago."),
        ({"user_id_field": "x" * 201}, "User id field is longer than 200 characters."),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(given_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**given_)
    assert str(caught.value) == sentence
    with pytest.raises(InvalidRequestError):
        options.checked(Settings, given_)


@pytest.mark.parametrize("given_", [{"identify_feed": 1}, {"delivered_hold_h": "24"}, {"delivered_hold_h": 2.5}])
def test_a_value_of_another_type_is_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        options.checked(Settings, given_)


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), ANYTHING | st.binary()))
def test_reading_never_fails(stored: dict[str, Any]) -> None:
    assert isinstance(read(stored), Settings)


def test_a_number_is_no_switch_and_a_switch_no_number() -> None:
    assert read({"unsubscribed_too": 1, "delivered_hold_h": True}) == Settings()
    assert read({"unsubscribed_too": True, "delivered_hold_h": 1}) != Settings()


@pytest.mark.parametrize("switch", ["unsubscribed_too", "extra_events", "backfill_repeats"])
def test_each_switch_is_read(switch: str) -> None:
    assert getattr(read({switch: True}), switch) is True


def test_a_dash_means_that_no_reason_is_a_complaint() -> None:
    assert [read({"complaint_reason": text}).spam_reason for text in ("-", " Abuso ", "")] == [
        "",
        "Abuso",
        "Abuse Reported.",
    ]


def test_the_webhook_is_registered_for_what_is_wanted() -> None:
    assert webhook_types(Settings()) == ("open", "click", "unsubscribe", "bounce")
    all_types = webhook_types(Settings(extra_events=True))
    assert set(all_types) == {"open", "click", "unsubscribe", "bounce", *EXTRA_NAMES}
    assert len(all_types) == 30


def test_the_docs_tell_every_setting_with_its_default_and_every_other_event() -> None:
    table = PAGE.read_text().partition("| setting | default |")[2]
    told = dict(re.findall(r"^\| `([a-z_]+)` \| `(.+?)` \|", table, re.MULTILINE))
    words = {True: "yes", False: "no"}
    defaults = {option.name: option.default for option in options.options(Settings) if option.default != ""}
    written = {name: words[value] if isinstance(value, bool) else str(value) for name, value in defaults.items()}
    assert told == written | {name: f"ActiveCampaign {text}" for name, text in EXTRA_NAMES.items()}
