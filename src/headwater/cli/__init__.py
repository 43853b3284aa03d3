"""The command line: one file a command group; parses, calls, prints.

A command is a module of this package with a click command called `command`; the module's name is the command's name
(`dead_letters.py` is `headwater dead-letters`). Modules load when their command is used, so `--help` stays quick.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from headwater import __version__
from headwater.errors import HeadwaterError

# Name and one line for each command, grouped, in the order of a newcomer's day; a test holds it against the modules.
GROUPS: Final = {
    "Start": {
        "demo": "Run everything with a simulated ActiveCampaign account.",
        "serve": "Run the service.",
        "setup-link": "Print the link where the first person sets Headwater up.",
        "set-password": "Give somebody who has forgotten theirs another password.",
        "token": "Make and revoke Public API tokens.",
        "doctor": "Check configuration, disk, clock and connections.",
    },
    "Workspaces and people": {
        "workspaces": "Make and name workspaces.",
        "users": "List members, change what they may do, remove them.",
        "invites": "Invite people to the workspace.",
        "audit": "See who changed what.",
        "privacy": "Suppress people, delete or export what there is of them.",
        "secrets": "See and change the key of stored credentials.",
    },
    "Where events come from": {
        "sources": "List, add and change sources.",
        "labels": "Sort sources by words of your own.",
        "schema": "See what sources send, and block what they should not.",
        "plans": "Write down what sources shall send, and hold them to it.",
        "activecampaign": "Connect ActiveCampaign, read its history back, compare.",
    },
    "Where events go": {
        "destinations": "List, add and change destinations.",
        "filters": "Choose which events a destination gets, and what of them.",
        "mappings": "Choose what a destination's events look like.",
        "functions": "Write, test and use JavaScript of your own.",
        "warehouses": "List, add and change warehouses.",
    },
    "See and ask": {
        "tail": "Watch events arrive.",
        "query": "Ask the warehouse in SQL.",
        "overview": "See what became of events, and how many came.",
        "rejections": "See what was refused, and why.",
        "dead-letters": "See and retry what could not be delivered.",
        "alerts": "See what is wrong, and choose who is told.",
    },
    "Do it again": {
        "sync": "Load what is waiting into the warehouse now.",
        "replay": "Deliver events again from the log.",
        "replays": "See how far replays are, and end them.",
    },
    "All of it as a file": {
        "export": "Print the whole configuration as a file.",
        "apply": "Make a workspace as a file says.",
    },
    "For tests": {
        "bench": "Measure this machine.",
        "simulate": "Play the outside world for tests and demos.",
    },
}
COMMANDS: Final = {name: line for commands in GROUPS.values() for name, line in commands.items()}


class _Commands(click.Group):
    """Loads a command's module when it is called, and shows the list without loading any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command = importlib.import_module(f"headwater.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - checks our own work
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        width = max(map(len, COMMANDS))
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="headwater")
def root() -> None:
    """Every ActiveCampaign email event in your warehouse and your tools, on your own machine.

    \b
    Example:
      headwater serve --data-dir ./headwater-data
      headwater query "select event, count(*) from activecampaign.tracks group by 1"
    """


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line; errors are one sentence on stderr, exit 1; wrong use exits 2."""
    try:
        return root.main(args=None if arguments is None else list(arguments), standalone_mode=True)
    except HeadwaterError as error:
        click.echo(f"headwater: {error}", err=True)
        sys.exit(1)
