"""`serve`: the supervisor with its roles, or one role."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from headwater import config, telemetry
from headwater.app.supervisor import Supervisor
from headwater.config import Settings


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
    """Return a supervisor whose roles get the same flags; it says where people find the program."""
    config.secret_key(settings)
    repeated = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items() if value and name != "data_dir"]
    return Supervisor(settings, flags=[*repeated, *(["--open-access"] if open_access else [])], on_ready=_greet)


def _greet(url: str, settings: Settings) -> None:
    from headwater.clock import now  # noqa: PLC0415 - the supervisor stays small
    from headwater.control import local_token  # noqa: PLC0415

    link = f"{url}/sign-in?token={local_token.make(config.secret_key(settings), now())}"
    click.echo(f"Headwater keeps its data in {settings.data_dir} and answers at {url}", err=True)
    click.echo(f"Open it, signed in (this link works for 5 minutes): {link}", err=True)
