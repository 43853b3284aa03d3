"""A simulated ActiveCampaign account as a program of its own, connected to a running Headwater over HTTP."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Self

from program import Program

PATIENCE_S = 120.0


class SimulatedAccount:
    """`headwater simulate activecampaign` on a free port, and how to talk to it."""

    KEY = "simulated-key"

    def __init__(self, *options: str):
        self.options = options
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "headwater", "simulate", "activecampaign", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--api-key", self.KEY, *self.options], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = next(word for word in line.split() if word.startswith("http://")).rstrip(".")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=20)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def send(self, method: str, path: str, body: Any) -> Any:
        head = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), head, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    def truth(self) -> Iterator[dict[str, Any]]:
        """Yield everything that happened in the account."""
        with urllib.request.urlopen(self.url + "/truth", timeout=600) as answer:
            for line in answer:
                yield json.loads(line)

    def begin(self) -> None:
        """Let time run in the account."""
        self.send("POST", "/play", {"pause": False})

    def wait_until_played(self, patience_s: float = PATIENCE_S) -> None:
        """Return once everything of the plan has happened and every webhook was sent."""
        within(patience_s, lambda: self.get("/progress")["done"], "the account's plan was not played to its end")


def within(patience_s: float, look: Any, message: str) -> Any:
    """Return what `look` returns as soon as it is true."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.25)
    raise AssertionError(message)


def connect(
    program: Program, account: SimulatedAccount, source: dict[str, Any], settings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Connect the account to a source by the source's write key; return the connection."""
    wanted: dict[str, Any] = {"accountUrl": account.url, "apiKey": account.KEY, "writeKey": source["writeKeys"][0]}
    if settings:
        wanted["settings"] = settings
    return program.api("POST", "/activecampaign/connections", wanted)["connection"]


def status(program: Program, connection: dict[str, Any]) -> dict[str, Any]:
    return program.api("GET", f"/activecampaign/connections/{connection['id']}")["connection"]


def run_to_its_end(
    program: Program, connection: dict[str, Any], what: str, body: Any = None, patience_s: float = PATIENCE_S
) -> dict[str, Any]:
    """Begin a back-fill or a reconciliation and return the run once it has ended and was mapped."""
    path = f"/activecampaign/connections/{connection['id']}"
    run = program.api("POST", f"{path}/{what}", body or {})["run"]

    def ended() -> Any:
        found = [each for each in program.api("GET", f"{path}/runs")["runs"] if each["id"] == run["id"]]
        return found[0] if found and found[0]["state"] not in {"waiting", "running"} else None

    done: dict[str, Any] = within(patience_s, ended, f"the {what} did not end")
    assert done["state"] == "done", done
    return done
