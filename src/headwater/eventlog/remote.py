"""The write side of the log from another process: appends over HTTP to the one process that may write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import aiohttp
import msgspec

from headwater.errors import ConfigError, LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Topic
from headwater.spec.event import Record

_DEADLINE: Final = aiohttp.ClientTimeout(total=60, connect=5)


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


class RemoteAppender:
    """An `Appender` over HTTP; close it when done.

    A connection that breaks leaves open whether the records were stored. It is an error here, and the caller appends
    again: events with a message id are stored once all the same.
    """

    def __init__(self, url: str, token: str) -> None:
        """Take the address of the ingest role, such as http://127.0.0.1:8080, and the token both sides know."""
        self._url = f"{url.rstrip('/')}/internal/append"
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        """Store the records and return once they are on disk; see the contract.

        Raises:
            LogUnavailableError: not stored, or not known to be: the ingest role is down or cannot write.
            LogOverloadedError: not stored: too much is waiting for the disk.
            ConfigError: the ingest role does not know the token.
        """
        request = AppendRequest(topic, source_id, received_at, tuple(records), reserved)
        try:
            async with self._opened().post(self._url, data=msgspec.msgpack.encode(request)) as answer:
                body = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"The log's process did not answer ({type(error).__name__}). Try again."
            raise LogUnavailableError(message) from error
        if status != 200:  # noqa: PLR2004 - the one status that means stored
            raise _error_of(status)
        stored = msgspec.msgpack.decode(body, type=AppendAnswer)
        return Appended(stored.first_seq, stored.count, stored.duplicates)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made inside the running loop at its first use."""
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/msgpack"}
            self._session = aiohttp.ClientSession(headers=headers, timeout=_DEADLINE)
        return self._session


def _error_of(status: int) -> Exception:
    if status == 429:  # noqa: PLR2004 - overloaded
        return LogOverloadedError("Too much is waiting for the disk. Try again.")
    if status == 404:  # noqa: PLR2004 - what a wrong token is answered
        return ConfigError("The ingest role does not know this token. Start both roles with the same SECRET_KEY.")
    return LogUnavailableError(f"The log's process answered {status}. Try again.")
