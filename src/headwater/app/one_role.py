"""Run one role in this process."""

from __future__ import annotations

import importlib
import os
import sys

import uvloop

from headwater.app import place
from headwater.config import Settings


def run(
    settings: Settings, role: str, *, socket_fd: int | None, alive_fd: int | None, peers: str | None, open_access: bool
) -> None:
    """Take the role's place and run it until this process is told to stop."""
    place.end_with(alive_fd)
    here = place.take(settings, role, socket_fd=socket_fd, peers=peers, open_access=open_access)
    module = importlib.import_module(f"headwater.app.{role}_role")
    uvloop.run(module.run(here), debug=False)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is closed and stored; DuckDB's binding would now print pages about objects it takes for leaked
