"""The simulator's options in groups, so that its help can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

GROUPS: Final = ("Program", "Account", "Time", "Webhooks", "People", "Campaigns", "API")


class Option(click.Option):
    """An option that knows its group."""

    def __init__(self, *args: Any, group: str, **attributes: Any) -> None:
        """Take what click takes, and the group."""
        super().__init__(*args, **attributes)
        self.group = group


class Command(click.Command):
    """A command whose help shows its options group by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups in their order, and what belongs to none at the end."""
        for group in (*GROUPS, ""):
            shown = [parameter for parameter in self.get_params(ctx) if getattr(parameter, "group", "") == group]
            records = [record for parameter in shown if (record := parameter.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(group or "Other"):
                    formatter.write_dl(records)


def option(group: str, *names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return a decorator that adds an option with its default shown."""
    attributes.setdefault("show_default", True)
    return click.option(*names, cls=Option, group=group, **attributes)


def share(group: str, name: str, help_: str) -> Callable[[Any], Any]:
    """Return a decorator that adds a share, 0 to 1, 0 unless told."""
    return option(group, name, default=0.0, type=click.FloatRange(0, 1), help=help_)


def choice(group: str, name: str, choices: tuple[str, ...], help_: str) -> Callable[[Any], Any]:
    """Return a decorator that adds a choice; the first is the default."""
    return option(group, name, default=choices[0], type=click.Choice(choices), help=help_)
