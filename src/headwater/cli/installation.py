"""Commands that work on the installation itself, on its machine, with or without a running server."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from headwater.cli import server

data_dir_option = click.option(
    "--data-dir",
    metavar="DIR",
    help="The data directory (default: of the server that runs here, else ./headwater-data).",
)


def settings_of(data_dir: str | None, *, may_begin: bool = False) -> Any:
    """Return the settings of an installation; `may_begin` where none may be there yet.

    Raises:
        ClickException: there is none: a mistyped directory must not become a new one.
        ConfigError: they are wrong.
    """
    from headwater import config

    settings = config.read({"data_dir": data_dir or os.environ.get("HEADWATER_DATA_DIR") or server.here()})
    key, where = config.key_path(settings), settings.data_dir
    if not may_begin and key is not None and not key.exists():
        raise click.ClickException(
            f"No Headwater keeps its data in {where}; start one: headwater serve --data-dir {where}"
        )
    return settings


@contextmanager
def opened(data_dir: str | None, *, may_begin: bool = False) -> Iterator[Any]:
    """Open the control plane of a data directory; what is changed in it is the command line's doing.

    Raises:
        ClickException: there is none, and none may begin.
        ConfigError: settings, key or database are wrong.
    """
    from headwater.control.acting import Actor, Kind, acting
    from headwater.control.keyring import ring_of
    from headwater.control.service import open_control

    settings = settings_of(data_dir, may_begin=may_begin)
    control = open_control(
        settings.control_url, ring_of(settings), region=settings.region, source_regions=settings.source_regions
    )
    try:
        with acting(Actor(Kind.COMMAND, name=f"command line ({login()})")):
            yield control
    finally:
        control.close()


def login() -> str:
    """Return who is at the shell."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"
