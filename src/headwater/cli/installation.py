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


@contextmanager
def opened(data_dir: str | None) -> Iterator[Any]:
    """Open the control plane of a data directory; what is changed in it is the command line's doing.

    Raises:
        ConfigError: settings, key or database are wrong.
    """
    from headwater import config
    from headwater.control.acting import Actor, Kind, acting
    from headwater.control.keyring import ring_of
    from headwater.control.service import open_control

    settings = config.read({"data_dir": data_dir or os.environ.get("HEADWATER_DATA_DIR") or server.here()})
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
