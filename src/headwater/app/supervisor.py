"""Start the three roles as processes of their own, keep them running, stop them together.

The supervisor opens the listening sockets and hands them down, so a role that is restarted misses no connection: it
waits in the socket's queue. The roles hold the read end of a pipe: when the supervisor is gone, however it went, they
go too. The lock on the data directory is inherited, so it is free only once all of them are.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from headwater.config import Settings
from headwater.errors import ConfigError

_BACKLOG: Final = 1_024
_LOCK_PATIENCE_S: Final = 1.5
_STOP_PATIENCE_S: Final = 20.0
_RESTART_S_MAX: Final = 30.0
_STEADY_S: Final = 10.0  # a role that ran this long starts again at once

log = structlog.get_logger()


@dataclass
class _Role:
    """One supervised process and how often it has failed in a row."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    inherits: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    start_after: float = 0.0


@dataclass
class Supervisor:
    """Runs `serve` on one machine.

    Attributes:
        settings: of this start.
        flags: handed on to every role.
        on_ready: called once with the server's address, when the sockets are open.
    """

    settings: Settings
    flags: list[str] = field(default_factory=list)
    on_ready: Callable[[str, Settings], None] = lambda _url, _settings: None
    _roles: list[_Role] = field(default_factory=list)
    _alive_fd: int = -1
    _stopping: bool = False

    def add(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Keep a further program running, such as the demo's simulator; may be called from another thread.

        `{alive}` in its command stands for the pipe that closes with this process.
        """
        spoken = [part.format(alive=self._alive_fd) for part in command]
        self._roles.append(_Role(name, spoken, environment, (self._alive_fd,)))

    def run(self) -> int:
        """Keep the roles running until SIGTERM or SIGINT; return the exit code."""
        with locked(self.settings.data_dir) as lock, contextlib.ExitStack() as stack:
            sockets = {
                "ingest": stack.enter_context(listen(self.settings.host, self.settings.port)),
                "web": stack.enter_context(listen("127.0.0.1", 0)),
                "pipeline": stack.enter_context(listen("127.0.0.1", 0)),
            }
            self._alive_fd, alive_write = os.pipe()
            stack.callback(os.close, alive_write)
            for name, listener in sockets.items():
                inherits = (self._alive_fd, lock, listener.fileno())
                self._roles.append(_Role(name, self._command(name, sockets), inherits=inherits))
            self._announce(sockets)
            signal.signal(signal.SIGTERM, self._stop)
            signal.signal(signal.SIGINT, self._stop)
            self._keep()
            return _stop_all(self._roles)

    def _command(self, name: str, sockets: dict[str, socket.socket]) -> list[str]:
        ports = {role: each.getsockname()[1] for role, each in sockets.items()}
        return [
            *(sys.executable, "-m", "headwater", "serve", "--role", name, *self.flags),
            *("--data-dir", str(self.settings.data_dir)),
            *("--socket-fd", str(sockets[name].fileno()), "--alive-fd", str(self._alive_fd)),
            *("--peers", f"{ports['ingest']},{ports['web']},{ports['pipeline']}"),
        ]

    def _announce(self, sockets: dict[str, socket.socket]) -> None:
        port = sockets["ingest"].getsockname()[1]
        url = f"{self.settings.url.rpartition(':')[0]}:{port}"
        path = self.settings.data_dir / "run" / "server.json"
        aside = path.with_suffix(".aside")
        roles = {name: f"http://127.0.0.1:{each.getsockname()[1]}" for name, each in sockets.items()}
        aside.write_text(json.dumps({"url": url, "pid": os.getpid(), "roles": roles}))
        aside.replace(path)
        self.on_ready(url, self.settings)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _keep(self) -> None:
        while not self._stopping:
            for role in list(self._roles):
                _tend(role)
            time.sleep(0.1)


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[int]:
    """Hold the data directory for this program and what it starts; yield the lock's file descriptor.

    Raises:
        ConfigError: another program has it; the message names its process id.
    """
    run = data_dir / "run"
    try:
        run.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"The data directory {data_dir} cannot be written ({error.strerror}); choose another."
        ) from error
    try:
        _take(descriptor, data_dir)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, data_dir: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE_S  # roles of a killed supervisor need a moment to notice
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 20, 0).decode() or "unknown"
                raise ConfigError(
                    f"Headwater already runs on {data_dir} (process {holder}); stop it or use another --data-dir."
                ) from None
            time.sleep(0.05)
        else:
            return


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address is taken or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host}:{port} ({error.strerror}); free it or choose another --port."
        ) from error
    listener.listen(_BACKLOG)
    return listener


def _tend(role: _Role) -> None:
    """Start a role that does not run, with growing waits while it keeps failing."""
    clock = time.monotonic()
    if role.process is not None:
        code = role.process.poll()
        if code is None:
            return
        role.failures = 0 if clock - role.started_at > _STEADY_S else role.failures + 1
        wait_s = 0.0 if role.failures == 0 else min(0.25 * 2**role.failures, _RESTART_S_MAX)
        role.start_after = clock + wait_s
        role.process = None
        log.error("role.exited", name=role.name, code=code, restart_in_s=round(wait_s, 2))
    if clock >= role.start_after:
        role.process = subprocess.Popen(  # noqa: S603 - our own program
            role.command, pass_fds=role.inherits, start_new_session=True, env={**os.environ, **role.environment}
        )
        role.started_at = clock


def _stop_all(roles: list[_Role]) -> int:
    """Ask every role to finish what it has in hand, the door first; kill what does not. Return 0 if all went well."""
    running = [role.process for role in roles if role.process is not None and role.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _STOP_PATIENCE_S
    clean = True
    for process in running:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            clean = False
            process.kill()
            process.wait()
    return 0 if clean else 1
