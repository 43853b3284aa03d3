"""What can be set is read from a dataclass: text, flags, numbers, lists and maps, each of its own type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from headwater.control import options as settings_of
from headwater.control.secrets import SecretBox
from headwater.errors import ConfigError, InvalidRequestError


def setting(label, *, required=False):
    return {"label": label, "description": "", "secret": False, "required": required}


@dataclass(frozen=True, slots=True)
class Settings:
    """One of each."""

    fields: list[str] = field(metadata=setting("Fields", required=True))
    text: str = field(default="a", metadata=setting("Text"))
    flag: bool = field(default=False, metadata=setting("Flag"))
    number: int = field(default=5, metadata=setting("Number"))
    share: float = field(default=0.5, metadata=setting("Share"))
    names: Mapping[str, str] = field(default_factory=dict, metadata=setting("Names"))
    maybe: int | None = field(default=None, metadata=setting("Maybe"))
    region: Literal["us", "eu"] = field(default="us", metadata=setting("Region"))

    def __post_init__(self):
        if self.number > 100:
            raise ConfigError("Number is at most 100.")


GIVEN = {
    "fields": ["a"],
    "text": "",
    "flag": True,
    "number": 0,
    "share": 1,
    "names": {"a": "b"},
    "maybe": 3,
    "region": "eu",
}


def test_every_type_survives_checking_and_storing():
    box = SecretBox(b"k" * 32)
    checked = settings_of.checked(Settings, GIVEN)
    assert checked == GIVEN
    assert type(checked["flag"]) is bool
    assert settings_of.opened(Settings, "row", settings_of.sealed(Settings, "row", checked, box), box) == GIVEN
    assert [option.type for option in settings_of.options(Settings)] == [
        *("array", "string", "boolean", "number", "number", "map", "number", "string")
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"flag": "true"},
        {"flag": 1},
        {"number": True},
        {"number": "5"},
        {"number": 5.5},
        {"number": None},
        {"share": "1"},
        {"text": 5},
        {"fields": "a"},
        {"names": ["a"]},
        {"region": "mars"},
        {"region": 1},
        {"maybe": "x"},
    ],
)
def test_a_value_of_another_type_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(InvalidRequestError) as refused:
        settings_of.checked(Settings, GIVEN | wrong)
    assert refused.value.field == f"settings.{name}"


def test_what_is_required_may_be_a_list_and_must_be_there():
    with pytest.raises(InvalidRequestError, match="Fields is required"):
        settings_of.checked(Settings, {})
    assert settings_of.checked(Settings, {"fields": []}, {"fields": ["a"]}) == {"fields": []}


def test_the_classs_own_checks_speak_when_it_is_saved():
    with pytest.raises(InvalidRequestError, match="at most 100"):
        settings_of.checked(Settings, GIVEN | {"number": 101})


def test_a_choice_names_what_there_is():
    region = next(each for each in settings_of.options(Settings) if each.name == "region")
    assert region.choices == ("us", "eu")
    with pytest.raises(InvalidRequestError, match="Region is one of us, eu"):
        settings_of.checked(Settings, GIVEN | {"region": "mars"})
