"""The write side of the log from another process: appends and erasures over HTTP, to the one process that may write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

import aiohttp
import msgspec

from headwater.errors import ConfigError, LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Erased, Topic
from headwater.eventlog.erasing import spans_of, within
from headwater.spec.event import Record

SPANS_MAX: Final = 50_000  # ours: of one request, whose body stays below 1 MB
_DEADLINE: Final = aiohttp.ClientTimeout(total=60, connect=5)
_ERASE_DEADLINE: Final = aiohttp.ClientTimeout(total=300, connect=5)  # ours: a few segments, on a slow disk


class _Refusal(msgspec.Struct):
    message: str


class AppendRequest(msgspec.Struct, array_like=True, frozen=True):
    """What goes over the wire, as MessagePack: lines of JSON stay bytes."""

    topic: Topic
    source_id: str
    received_at: datetime
    records: tuple[tuple[str, bytes], ...]
    reserved: bool = False


class AppendAnswer(msgspec.Struct, array_like=True, frozen=True):
    """What comes back."""

    first_seq: int
    count: int
    duplicates: tuple[int, ...]


class EraseRequest(msgspec.Struct, array_like=True, frozen=True):
    """What goes over the wire: stretches of sequences, each with what comes behind it."""

    topic: Topic
    spans: tuple[tuple[int, int], ...]


class EraseAnswer(msgspec.Struct, array_like=True, frozen=True):
    """What comes back; see `Erased`."""

    records: int
    already: int
    missing: int
    unreadable: int
    segments: int
    size: int
    rest: int | None


class _Remote:
    """The way to the process that writes the log."""

    def __init__(self, url: str, token: str, deadline: aiohttp.ClientTimeout) -> None:
        self._url, self._token, self._deadline = url, token, deadline
        self._session: aiohttp.ClientSession | None = None

    async def post(self, request: msgspec.Struct) -> bytes:
        """Return the body of an answer that says it is done."""
        try:
            async with self._opened().post(self._url, data=msgspec.msgpack.encode(request)) as answer:
                body = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"The log's process did not answer ({type(error).__name__}). Try again."
            raise LogUnavailableError(message) from error
        if status != 200:  # noqa: PLR2004 - the one status that means done
            raise _error_of(status, body)
        return body

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made inside the running loop at its first use."""
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/msgpack"}
            self._session = aiohttp.ClientSession(headers=headers, timeout=self._deadline)
        return self._session


class RemoteAppender:
    """An `Appender` over HTTP; close it when done.

    A connection that breaks leaves open whether the records were stored. It is an error here, and the caller appends
    again: events with a message id are stored once all the same.
    """

    def __init__(self, url: str, token: str) -> None:
        """Take the address of the ingest role, such as http://127.0.0.1:8080, and the token both sides know."""
        self._remote = _Remote(f"{url.rstrip('/')}/internal/append", token, _DEADLINE)

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        """Store the records and return once they are on disk; see the contract.

        Raises:
            LogUnavailableError: not stored, or not known to be: the ingest role is down or cannot write.
            LogOverloadedError: not stored: too much is waiting for the disk.
            ConfigError: the ingest role does not know the token.
        """
        body = await self._remote.post(AppendRequest(topic, source_id, received_at, tuple(records), reserved))
        stored = msgspec.msgpack.decode(body, type=AppendAnswer)
        return Appended(stored.first_seq, stored.count, stored.duplicates)

    async def close(self) -> None:
        """Close the connections."""
        await self._remote.close()


class RemoteEraser:
    """An `Eraser` over HTTP; close it when done. Asks for a few segments at a time, so that no answer takes long."""

    def __init__(self, url: str, token: str) -> None:
        """Take the address of the ingest role and the token both sides know."""
        self._remote = _Remote(f"{url.rstrip('/')}/internal/erase", token, _ERASE_DEADLINE)

    async def erase(self, topic: Topic, sequences: Iterable[int | range]) -> Erased:
        """Replace records by tombstones; see the contract.

        Raises:
            LogUnavailableError: the ingest role is down, closes or has too little space; the same call again goes on.
            ConfigError: the ingest role does not know the token.
        """
        spans, done = spans_of(sequences), Erased()
        while spans:
            some, later = spans[:SPANS_MAX], spans[SPANS_MAX:]
            body = await self._remote.post(EraseRequest(topic, tuple(some)))
            answer = msgspec.msgpack.decode(body, type=EraseAnswer)
            done = done.plus(Erased(*msgspec.structs.astuple(answer)))
            left = [] if answer.rest is None else within(some, answer.rest, some[-1].behind)
            spans = [*left, *later]
        return replace(done, rest=None)

    async def close(self) -> None:
        """Close the connections."""
        await self._remote.close()


def _error_of(status: int, body: bytes) -> Exception:
    if status == 429:  # noqa: PLR2004 - overloaded
        return LogOverloadedError("Too much is waiting for the disk. Try again.")
    if status == 404:  # noqa: PLR2004 - what a wrong token is answered
        return ConfigError("The ingest role does not know this token. Start both roles with the same SECRET_KEY.")
    with suppress(msgspec.MsgspecError):
        return LogUnavailableError(msgspec.json.decode(body, type=_Refusal).message)
    return LogUnavailableError(f"The log's process answered {status}. Try again.")
