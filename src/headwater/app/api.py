"""The Public API as this room itself uses it: the demo and the benchmark set a service up like everybody else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater import config
from headwater.clock import now
from headwater.config import Settings
from headwater.control import local_token
from headwater.errors import ConfigError

_PATIENCE_S: Final = 60.0
_UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Api:
    """One running service, called with a token that its own machine can make."""

    url: str
    settings: Settings

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 30
    ) -> dict[str, Any]:
        """Return the answer's `data`."""
        token = local_token.make(config.secret_key(self.settings), now())
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.url}/api{path}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {token}", "content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            data: dict[str, Any] = json.loads(answer.read())["data"]
            return data

    def wait(self) -> None:
        """Return once every role answers."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:  # noqa: PLR2004 - HTTP OK
                        return
            except OSError:
                time.sleep(0.2)
        raise ConfigError(f"the service did not become ready within {_PATIENCE_S:g} seconds; see its messages above.")

    def source(self, slug: str, kind: str, name: str) -> dict[str, Any]:
        """Return the source with this slug, made if it is missing."""
        for source in self.call("GET", "/sources?pagination.count=100")["sources"]:
            if source["slug"] == slug:
                return dict(source)
        made = self.call("POST", "/sources", {"slug": slug, "enabled": True, "metadataId": kind, "name": name})
        return dict(made["source"])

    def destination(self, source_id: str, kind: str, name: str, settings: Mapping[str, Any]) -> None:
        """Connect the destination, or bring the settings of the one of this name up to date."""
        for each in self.call("GET", "/destinations?pagination.count=100")["destinations"]:
            if each["name"] == name:
                self.call("PATCH", f"/destinations/{each['id']}", {"settings": settings})
                return
        wanted = {"sourceId": source_id, "metadataId": kind, "name": name, "enabled": True, "settings": settings}
        self.call("POST", "/destinations", wanted)

    def connect(self, account_url: str, api_key: str, source: Mapping[str, Any]) -> None:
        """Connect the account to the source once it answers, and have its history read; a known one moves there."""
        path = "/activecampaign/connections"
        key = {"accountUrl": account_url, "apiKey": api_key}
        for known in self.call("GET", path)["connections"]:
            if known["source"]["id"] == source["id"]:
                self._patiently("PATCH", f"{path}/{known['id']}", {**key, "enabled": True})
                return
        made = self._patiently("POST", path, {**key, "writeKey": source["writeKeys"][0]})["connection"]
        self.call("POST", f"{path}/{made['id']}/backfill", {})

    def _patiently(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call until the account answers: it is started at the same time."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self.call(method, path, body, timeout_s=_PATIENCE_S)
            except urllib.error.HTTPError as error:
                if error.code != _UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def webhook_url(self, source: Mapping[str, Any]) -> str:
        """Return a new address for the account's webhooks, once the door knows it."""
        path = self.call("POST", f"/sources/{source['id']}/webhook-secret", {})["webhookPath"]
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}{path}", timeout=5):  # noqa: S310
                    return f"{self.url}{path}"
            except urllib.error.HTTPError:  # 403 until the configuration has reached the door
                time.sleep(0.1)
        raise ConfigError("the webhook address did not come to life; see the messages above.")
