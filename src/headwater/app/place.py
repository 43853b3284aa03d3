"""Where a role stands: its socket, its neighbours, and what ends it."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass

from headwater.app.rpc import internal_token
from headwater.app.supervisor import listen
from headwater.config import Settings
from headwater.control.keyring import Keyring, ring_of


@dataclass(frozen=True, slots=True)
class Place:
    """What `serve --role` was told.

    Attributes:
        keys: seal and open stored secrets, and tell local tokens.
        listener: this role's listening socket.
        ingest_url, web_url, pipeline_url: the roles on loopback.
        token: what roles show each other.
        open_access: pages need no sign-in (the demo, on loopback).
    """

    settings: Settings
    keys: Keyring
    listener: socket.socket
    ingest_url: str
    web_url: str
    pipeline_url: str
    open_access: bool = False

    @property
    def token(self) -> str:
        """The token that the roles of this installation show each other."""
        return internal_token(self.settings.data_dir)

    @property
    def public_url(self) -> str:
        """The address for ActiveCampaign and browsers."""
        return (
            self.settings.public_url or f"{self.settings.url.rpartition(':')[0]}:{self.ingest_url.rpartition(':')[2]}"
        )


def take(settings: Settings, role: str, *, socket_fd: int | None, peers: str | None, open_access: bool) -> Place:
    """Return this role's place: what the supervisor handed down, or ports of its own when it was started alone."""
    ports = [int(port) for port in peers.split(",")] if peers else [settings.port + offset for offset in range(3)]
    if socket_fd is not None:
        listener = socket.socket(fileno=socket_fd)
    else:
        host = settings.host if role == "ingest" else "127.0.0.1"
        listener = listen(host, dict(zip(("ingest", "web", "pipeline"), ports, strict=True))[role])
    ingest, web, pipeline = (f"http://127.0.0.1:{port}" for port in ports)
    return Place(settings, ring_of(settings), listener, ingest, web, pipeline, open_access)


def end_with(alive_fd: int | None) -> None:
    """End this process as soon as the supervisor is gone: its end of the pipe closes, however it went."""
    if alive_fd is None:
        return

    def wait() -> None:
        os.read(alive_fd, 1)
        os._exit(75)  # not sys.exit: nothing of this process may outlive its supervisor

    threading.Thread(target=wait, name="alive", daemon=True).start()
