"""`serve`: the supervisor with its roles, or one role."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import Any

import click

from headwater import config, telemetry
from headwater.app.supervisor import Supervisor
from headwater.clock import now
from headwater.config import Settings
from headwater.control import local_token
from headwater.control.revision import refuse_newer


def serve(
    *,
    role: str,
    socket_fd: int | None = None,
    alive_fd: int | None = None,
    peers: str | None = None,
    open_access: bool = False,
    **flags: Any,
) -> None:
    """Run what `headwater serve` asks for; returns when it was told to stop."""
    settings = config.read(flags)
    telemetry.configure(settings.log_level, role)
    if role == "all":
        sys.exit(supervised(settings, flags).run())
    # the supervisor does without what its roles are made of: 20 MB
    one = importlib.import_module("headwater.app.one_role")
    one.run(settings, role, socket_fd=socket_fd, alive_fd=alive_fd, peers=peers, open_access=open_access)


def supervised(settings: Settings, flags: dict[str, Any], *, open_access: bool = False) -> Supervisor:
    """Return a supervisor whose roles get the same flags; it says where people find the program.

    Raises:
        ConfigError: it cannot start with this data directory.
    """
    config.secret_key(settings)
    refuse_newer(_control_file(settings))
    repeated = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items() if value and name != "data_dir"]
    return Supervisor(settings, flags=[*repeated, *(["--open-access"] if open_access else [])], on_ready=_greet)


def _greet(url: str, settings: Settings) -> None:
    click.echo(f"Headwater keeps its data in {settings.data_dir} and answers at {url}", err=True)
    if is_set_up(settings):
        link = f"{url}/sign-in?token={_signed(settings, local_token.COMMAND)}"
        click.echo(f"Open it, signed in (this link works for 5 minutes): {link}", err=True)
    else:
        click.echo(f"Set it up (this link works once, within an hour): {set_up_link(url, settings)}", err=True)


def set_up_link(url: str, settings: Settings) -> str:
    """Return the address where the first person sets Headwater up, good for an hour and until somebody has."""
    return f"{url}/set-up?token={_signed(settings, local_token.SET_UP)}"


def _signed(settings: Settings, purpose: local_token.Purpose) -> str:
    return local_token.make(config.secret_key(settings), now(), purpose)


def is_set_up(settings: Settings) -> bool:
    """Return whether somebody has set Headwater up; read from the file, so that the supervisor stays small."""
    from headwater import sqlite  # noqa: PLC0415

    path = _control_file(settings)
    if not path.exists():
        return False
    try:
        with contextlib.closing(sqlite.connect(path, read_only=True)) as connection:
            return connection.execute("select 1 from users where is_operator limit 1").fetchone() is not None
    except sqlite.Error:  # the roles are about to make the tables
        return False


def _control_file(settings: Settings) -> Path:
    return Path(settings.control_url.removeprefix("sqlite:///"))
