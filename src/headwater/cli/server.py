"""How commands reach the server: its address, a token, one call, one stream. Standard library only, to start fast."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlencode, urlsplit

import click

URL: Final = "http://localhost:8080"
DIRECTORIES: Final = ("headwater-data", "headwater-demo")
_DEADLINE_S: Final = 60.0
_LONG_DEADLINE_S: Final = 660.0  # a first sync of a long history is one call
_CHUNK_BYTES: Final = 64 * 1024
_SILENCE_S: Final = 60.0  # a stream says something every 15 seconds
_WAITS_MAX: Final = 5  # ours: many things at once (`apply`) come faster than the server lets a token in
_PAUSE_S_MAX: Final = 10.0  # ours: somebody sits before it
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class UnreachableError(click.ClickException):
    """Nothing answers at the address."""


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--url`, `--token`, `--data-dir` and `--workspace`; it gets the `Server` they name first."""

    @click.option("--url", metavar="URL", help=f"The server (HEADWATER_URL; default {URL}).")
    @click.option("--token", metavar="TOKEN", help="A Public API token (HEADWATER_TOKEN).")
    @click.option("--data-dir", metavar="DIR", help="The server's data directory, on its machine: no token is needed.")
    @click.option(
        "--workspace", metavar="SLUG", help="Which one (HEADWATER_WORKSPACE; default: the token's, the oldest)."
    )
    @functools.wraps(command)
    def found(
        *args: Any, url: str | None, token: str | None, data_dir: str | None, workspace: str | None, **kwargs: Any
    ) -> None:
        command(find(url, token, data_dir, workspace), *args, **kwargs)

    return found


def find(url: str | None, token: str | None, data_dir: str | None, workspace: str | None = None) -> Server:
    """Return the server that flags, environment and data directory lead to, in this order."""
    workspace = workspace or os.environ.get("HEADWATER_WORKSPACE") or ""
    url = url or os.environ.get("HEADWATER_URL") or None
    token = token or os.environ.get("HEADWATER_TOKEN") or None
    directory = Path(data_dir or os.environ.get("HEADWATER_DATA_DIR") or here())
    address = (url or _recorded(directory) or URL).rstrip("/")
    if token is None and (url is None or data_dir is not None or urlsplit(address).hostname in _LOOPBACK):
        # A token made from this machine's secret goes to this machine's server, or to one that was named beside it.
        return Server(address, functools.partial(_local_token, directory), workspace)
    return Server(address, lambda: token or "", workspace)


def here() -> str:
    """Return the data directory of the server that runs from this place: the service's own, or the demo's."""
    return next((name for name in DIRECTORIES if _runs(Path(name))), DIRECTORIES[0])


def _runs(directory: Path) -> bool:
    try:
        os.kill(int(json.loads((directory / "run" / "server.json").read_text())["pid"]), 0)  # asks, ends nothing
    except (OSError, ValueError, KeyError):
        return False
    return True


def _recorded(directory: Path) -> str | None:
    try:
        return str(json.loads((directory / "run" / "server.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None


def _local_token(directory: Path) -> str:
    from headwater import clock, config
    from headwater.control import local_token

    settings = config.read({"data_dir": str(directory)}, client=True)
    path = config.key_path(settings)
    if path is not None and not path.exists():
        return ""
    return local_token.make(config.secret_key(settings), clock.now())


@dataclass(frozen=True)
class Server:
    """One server's Public API.

    Attributes:
        token: asked for each call, because a local token lasts only minutes; "" when there is none.
        workspace: the slug of the one that is meant; "" is the token's own.
    """

    url: str
    token: Callable[[], str] = field(repr=False)
    workspace: str = ""

    def call(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None, is_long: bool = False
    ) -> dict[str, Any]:
        """Return the answer's `data`.

        Raises:
            ClickException: the server refused, with its own sentence, or cannot be reached.
        """
        with self._answer(method, path, body, query, _LONG_DEADLINE_S if is_long else _DEADLINE_S) as answer:
            try:
                told = json.loads(answer.read())
                data: dict[str, Any] = told["data"]
            except (ValueError, KeyError, TypeError):
                raise click.ClickException(f"{self.url} does not answer like Headwater; check --url.") from None
            return data

    def pages(self, path: str, member: str, asked: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return every item of a list, page by page; `asked` is what chooses them."""
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {"pagination.count": 1_000, **(asked or {})}
        while True:
            found = self.call("GET", path, query=query)
            items += found[member]
            cursor = found["pagination"].get("next")
            if not cursor:
                return items
            query["pagination.cursor"] = cursor

    def stream(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the JSON of each server-sent event; ends when the server closes the stream."""
        with self._answer("GET", path, None, query, _SILENCE_S) as answer:
            for line in answer:
                if line.startswith(b"data: ") and line.endswith(b"\n"):  # a line without its end was cut off
                    yield json.loads(line.removeprefix(b"data: "))

    def save(self, path: str, body: Any, target: BinaryIO) -> int:
        """Write the file that a POST answers with to `target` as it comes; return how many rows it has.

        Raises:
            ClickException: as `call`, or the file ended early.
        """
        with self._answer("POST", path, body, None, _LONG_DEADLINE_S) as answer:
            written = 0
            while chunk := answer.read(_CHUNK_BYTES):
                written += target.write(chunk)
            if written < int(answer.headers.get("content-length") or 0):
                raise click.ClickException("The answer broke off; try again.")
            return int(answer.headers.get("x-headwater-rows") or 0)

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Any, query: Mapping[str, Any] | None, deadline_s: float
    ) -> Iterator[HTTPResponse]:
        parts = urlsplit(self.url)
        connection = _connection(self.url, deadline_s)
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        target = f"{parts.path}/api{path}" + (f"?{urlencode(asked)}" if asked else "")
        headers = {"Authorization": f"Bearer {self.token()}", "Accept": "application/json"}
        if self.workspace:
            headers["Headwater-Workspace"] = quote(self.workspace)
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            raw = None if body is None else json.dumps(body)
            connection.request(method, target, raw, headers)
            answer = connection.getresponse()
            for _ in range(_WAITS_MAX):
                if answer.status != 429:  # noqa: PLR2004 - RFC 6585
                    break
                time.sleep(_pause_s(answer))  # nothing was done: the same request is sent again
                answer.read()
                connection.close()
                connection.request(method, target, raw, headers)
                answer = connection.getresponse()
            if not 200 <= answer.status < 300:  # noqa: PLR2004 - the status classes of RFC 9110
                raise _refusal(answer, self.url)
            yield answer
        except TimeoutError:
            raise click.ClickException("The server did not answer in time; try again, or see its log.") from None
        except (OSError, HTTPException):
            raise UnreachableError(
                f"No Headwater answers at {self.url}; start it with `headwater serve` or name another with --url."
            ) from None
        finally:
            connection.close()


def _connection(url: str, deadline_s: float) -> HTTPConnection:
    from http.client import HTTPSConnection

    try:
        parts = urlsplit(url)
        host, port, scheme = parts.hostname, parts.port, parts.scheme
    except ValueError:
        host, port, scheme = None, None, ""
    if scheme not in {"http", "https"} or not host:
        raise click.BadParameter(f"{url!r} is no address; use one such as {URL}", param_hint="--url")
    return (HTTPSConnection if scheme == "https" else HTTPConnection)(host, port, timeout=deadline_s)


def _pause_s(answer: HTTPResponse) -> float:
    """Return how long the server asks to wait, in seconds."""
    told = answer.headers.get("retry-after") or ""
    return min(float(told), _PAUSE_S_MAX) if told.isascii() and told.isdecimal() else 1.0


def _refusal(answer: HTTPResponse, url: str) -> click.ClickException:
    try:
        error = json.loads(answer.read())["errors"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return click.ClickException(f"{url} answered HTTP {answer.status}; check --url, or see the server's log.")
    if answer.status == 401 and error.get("type") != "unknown_workspace":  # noqa: PLR2004 - RFC 9110
        return click.ClickException(
            "The server wants a valid token; use --token (`headwater token create` makes one) "
            "or, on its machine, --data-dir."
        )
    message = str(error.get("message", ""))
    where = str(error.get("field", ""))
    return click.ClickException(f"{where}: {message}" if where and where.rpartition(".")[2] not in message else message)


def segment(text: str) -> str:
    """Return text as one part of a path."""
    return quote(text, safe="")
