"""The simulator's options: grouped in the help, and each on its page."""

from __future__ import annotations

from pathlib import Path

import click
from click.testing import CliRunner

from headwater.simulators.activecampaign.command import command, program_of
from headwater.simulators.activecampaign.options import GROUPS
from headwater.simulators.activecampaign.settings import Settings, Switches

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "simulator.md"


def options() -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def test_every_option_is_on_its_page() -> None:
    page = PAGE.read_text()
    assert [name for each in options() for name in each.opts if f"`{name}`" not in page] == []


def test_the_help_shows_every_option_once_and_in_its_group() -> None:
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    assert [line[:-1] for line in text.splitlines() if line[:-1] in GROUPS] == list(GROUPS)
    lines = [line.split()[0] for line in text.splitlines() if line.startswith("  --") and "--help" not in line]
    assert sorted(lines) == sorted(each.opts[0] for each in options())


def test_nothing_given_is_the_default_account() -> None:
    settings = program_of(command.make_context("activecampaign", []).params).settings
    assert settings.switches == Switches()
    assert {**vars_of(settings), "present": None} == {**vars_of(Settings()), "present": None}


def vars_of(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
