"""The addresses through which our own processes append and erase; to everybody else they are not there."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Final, Protocol

import msgspec

from headwater.errors import CorruptLogError, LogOverloadedError, LogUnavailableError, RequestError
from headwater.eventlog.contract import Appender, Erased, Topic
from headwater.eventlog.remote import AppendAnswer, AppendRequest, EraseAnswer, EraseRequest
from headwater.ingest.answers import NOT_FOUND, Answer, Receive, Scope, answer, refusal
from headwater.ingest.request import Head, read_body
from headwater.limits import APPEND_GROUP_BYTES_MAX
from headwater.spec.event import Record

APPEND: Final = "/internal/append"
ERASE: Final = "/internal/erase"
PATHS: Final = frozenset({APPEND, ERASE})

_SEGMENTS_MAX: Final = 4  # ours: written anew for one answer, which so comes within seconds

_append_of = msgspec.msgpack.Decoder(AppendRequest).decode
_erase_of = msgspec.msgpack.Decoder(EraseRequest).decode
_encode = msgspec.msgpack.Encoder().encode


class Log(Appender, Protocol):
    """What the addresses stand for."""

    async def erase(self, topic: Topic, sequences: Sequence[range], *, segments_max: int | None = None) -> Erased:
        """Replace records by tombstones; after as many segments it returns, naming what is left."""
        ...


class Internal:
    """The other end of `RemoteAppender` and `RemoteEraser`."""

    def __init__(self, log: Log, token: str) -> None:
        """Take the log and the token that our processes know."""
        self._log = log
        self._authorization = f"Bearer {token}".encode()
        self._routes: Mapping[str, Callable[[bytes], Awaitable[Answer]]] = {APPEND: self._append, ERASE: self._erase}

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Do what the path says and return the answer; 404 without the token."""
        head, route = Head(scope["headers"]), self._routes.get(scope["path"])
        is_known = compare_digest(head.authorization, self._authorization)
        if route is None or scope["method"] != "POST" or not is_known:
            return NOT_FOUND
        try:
            return await route(
                await read_body(receive, b"", APPEND_GROUP_BYTES_MAX, drained_max=APPEND_GROUP_BYTES_MAX)
            )
        except RequestError as error:
            return refusal(error.status, error.code, str(error), close=True)
        except msgspec.MsgspecError:
            return refusal(400, "invalid_request", "The body is not what this address takes.")
        except LogUnavailableError as error:
            return refusal(503, "unavailable", str(error), retry_after_s=5)
        except LogOverloadedError as error:
            return refusal(429, "overloaded", str(error), retry_after_s=1)

    async def _append(self, body: bytes) -> Answer:
        request = _append_of(body)
        records = [Record(message_id, line) for message_id, line in request.records]
        appended = await self._log.append(
            request.topic, request.source_id, request.received_at, records, reserved=request.reserved
        )
        return _done(AppendAnswer(appended.first_seq, appended.count, appended.duplicates))

    async def _erase(self, body: bytes) -> Answer:
        request = _erase_of(body)
        asked = [range(first, behind) for first, behind in request.spans]
        try:
            erased = await self._log.erase(request.topic, asked, segments_max=_SEGMENTS_MAX)
        except (CorruptLogError, OSError) as error:
            reason = str(error) if isinstance(error, CorruptLogError) else type(error).__name__
            return refusal(503, "unavailable", f"A segment of the log could not be written anew: {reason}")
        return _done(EraseAnswer(*dataclasses.astuple(erased)))


def _done(result: msgspec.Struct) -> Answer:
    return answer(200, _encode(result), (b"content-type", b"application/msgpack"))
