"""The real program as its users run it: `headwater serve` on a free port, its CLI and its API over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import duckdb

from described import Description, description

READY_S = 60.0


class Program:
    """One `headwater serve` (or `demo`) and how to talk to it."""

    def __init__(self, data_dir: Path, *, command: str = "serve", arguments: tuple[str, ...] = (), **settings: str):
        self.data_dir = data_dir
        self.command = (command, "--data-dir", str(data_dir), "--port", "0", *arguments)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")},
            "HEADWATER_DISK_FREE_MB": "64",
            "HEADWATER_LOAD_EVERY_S": "0.3",
            "HEADWATER_API_REQUESTS_PER_S": "10000",
            **{f"HEADWATER_{name.upper()}": value for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""
        self._described: Description | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "run" / "server.json").unlink(missing_ok=True)
        with (self.data_dir / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headwater", *self.command], env=self.environment, stderr=log, stdout=log
            )
        self.wait_until_ready()
        if not self.token:
            self.token = self.cli("token", "create", "--name", "test").strip().split()[-1]

    def wait_until_ready(self) -> None:
        """Wait for `/health/ready`; fail with the program's own last words."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                break
            try:
                if self.http("GET", "/health/ready")[0] == 200:
                    return
            except (OSError, KeyError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready:\n{(self.data_dir / 'serve.log').read_text()[-4000:]}")

    def kill(self) -> None:
        """SIGKILL the program; its roles go with it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=40)
        return self.process.returncode

    @property
    def url(self) -> str:
        try:
            return json.loads((self.data_dir / "run" / "server.json").read_text())["url"]
        except (FileNotFoundError, json.JSONDecodeError) as error:
            raise KeyError("url") from error

    def http(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send one request; JSON when the body is not bytes."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {"content-type": "application/json"} if raw is not None and not isinstance(body, bytes) else {}
        request = urllib.request.Request(self.url + path, raw, {**kind, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the Public API with the owner's token and return its `data`."""
        status, answer = self.http(method, f"/api{path}", body, headers={"authorization": f"Bearer {self.token}"})
        assert status < 300, (status, answer)
        if self._described is None:
            self._described = description(json.loads(self.http("GET", "/api/openapi.json")[1]))
        assert not self._described.complaints(method, path.partition("?")[0], status, "application/json", answer)
        return json.loads(answer)["data"]

    def cli(self, *arguments: str, check: bool = True) -> str:
        """Run a command against this data directory and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "headwater", *arguments, "--data-dir", str(self.data_dir)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def first_line(self, *arguments: str) -> str:
        """Start a command that goes on for ever, and return the first line it prints."""
        command = [sys.executable, "-m", "headwater", *arguments, "--data-dir", str(self.data_dir)]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                return process.stdout.readline()
            finally:
                process.kill()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples whose labels begin with these values."""
        lines = self.http("GET", "/metrics")[1].decode().splitlines()
        wanted = [f'{key}="{value}' for key, value in labels.items()]
        samples = [line for line in lines if line.startswith(name) and all(pair in line for pair in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in samples)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask the embedded warehouse through the CLI."""
        return json.loads(self.cli("query", sql, "--format", "json"))

    def ids(self, table: str) -> list[str]:
        """Read every row's id from the warehouse as another program would: plain DuckDB on the views."""
        with duckdb.connect(self.data_dir / "warehouses" / "embedded" / "views.duckdb", read_only=True) as connection:
            return [row[0] for row in connection.execute(f"select id from {table}").fetchall()]

    def source(self, slug: str, kind: str = "http-api") -> dict[str, Any]:
        """Create a source and return it."""
        return self.api("POST", "/sources", {"slug": slug, "enabled": True, "metadataId": kind})["source"]

    def destination(self, source: dict[str, Any], kind: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Connect a destination to a source and return it."""
        body = {"sourceId": source["id"], "metadataId": kind, "name": kind, "enabled": True, "settings": settings}
        return self.api("POST", "/destinations", body)["destination"]
