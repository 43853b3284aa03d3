"""The whole program under test: `headwater serve` with its three roles, in a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, Self

import duckdb
import msgspec

from headwater import config
from headwater.app.api import Api
from headwater.app.bench import processes
from headwater.errors import BenchError

_PATIENCE_S: Final = 60.0
_SYNC_S: Final = 600.0
_ROLES: Final = 3


class Service:
    """One `headwater serve` on a free port; ends with the block that started it."""

    def __init__(self, directory: Path) -> None:
        """Take a directory that is empty or missing."""
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.roles: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        untouched = {name: value for name, value in os.environ.items() if not name.startswith(config.PREFIX)}
        ours = {"HEADWATER_ALLOW_NETWORKS": "127.0.0.0/8", "HEADWATER_LOG_LEVEL": "warning"}
        command = [sys.executable, "-m", "headwater", "serve", "--data-dir", str(self._directory), "--port", "0"]
        with (self._directory / "serve.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, env=untouched | ours, stdout=log, stderr=log
            )
        try:
            self.url = self._address()
            self.api = Api(self.url, config.read({"data_dir": str(self._directory)}, {}))
            self.api.wait()
        except BaseException:
            self.__exit__()
            raise
        self.roles = processes.roles(self._process.pid)
        if len(self.roles) != _ROLES:
            raise BenchError(f"The service runs {', '.join(self.roles) or 'no role'}; see {self._directory}/serve.log.")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    @property
    def pids(self) -> dict[str, int]:
        """The id of every process: the roles and their supervisor."""
        assert self._process is not None  # noqa: S101 - checks our own work: the block was entered
        return {"supervisor": self._process.pid, **self.roles}

    @property
    def port(self) -> int:
        """The port of the door."""
        return int(self.url.rpartition(":")[2])

    @property
    def views(self) -> Path:
        """What a reader of the embedded warehouse opens."""
        return self._directory / "warehouses" / "embedded" / "views.duckdb"

    def source(self, slug: str) -> str:
        """Make a source and return its write key, once the door knows it."""
        key = str(self.api.source(slug, "http-api", slug)["writeKeys"][0])
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/v1/projects/{key}/settings", timeout=5):  # noqa: S310 - our own
                    return key
            except urllib.error.HTTPError:  # 404 until the configuration has reached the door
                time.sleep(0.1)
        raise BenchError("The door did not get to know a new source; please report this.")

    def sync(self) -> None:
        """Return once every event accepted before the call can be queried."""
        self.api.call("POST", "/sync", {"wait": True}, timeout_s=_SYNC_S)

    def numbers(self, sql: str) -> tuple[int, ...]:
        """Return the first row of a SELECT, asked as a BI tool asks: plain DuckDB in a process that is not ours."""
        with duckdb.connect(str(self.views), read_only=True) as connection:
            return tuple(int(each) for each in connection.execute(sql).fetchone() or ())

    def _address(self) -> str:
        """Return where it answers, once it says so."""
        assert self._process is not None  # noqa: S101 - as above
        file, deadline = self._directory / "run" / "server.json", time.monotonic() + _PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            if file.exists():
                return str(msgspec.json.decode(file.read_bytes())["url"])
            time.sleep(0.02)
        words = (self._directory / "serve.log").read_text().strip().splitlines()
        raise BenchError(f"The service did not start: {words[-1] if words else 'it said nothing'}")
