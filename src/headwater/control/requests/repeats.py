"""Idempotency keys: the same request with the same key is carried out once, and answered alike for a day.

The form follows the IETF draft "The Idempotency-Key HTTP Header Field". Answers may hold what is shown only once (a
token, a webhook's address): they are sealed with a key of their own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, insert, select, update

from headwater.clock import Clock
from headwater.control.database import noting
from headwater.control.moments import text_of
from headwater.control.requests.tables import answers
from headwater.errors import ConflictError
from headwater.limits import KIB

KEPT_FOR: Final = timedelta(hours=24)
ANSWER_BYTES_MAX: Final = 64 * KIB  # ours: only questions have longer answers, and they can be asked again
KEYS_MAX: Final = 1_000  # ours, a token: the oldest are forgotten
_NONCE_BYTES: Final = 12  # NIST SP 800-38D: 96 bits


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a caller sent it.

    Attributes:
        value: 1 to 255 characters.
        digest: of everything that makes the request what it is.
    """

    workspace_id: str
    token_id: str
    value: str
    digest: str


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given: status and body."""

    status: int
    body: bytes


class Repeats:
    """Keeps answers by key. One process serves the API: what is under way is known in its memory."""

    def __init__(self, engine: Engine, sealing_key: Callable[[], bytes], clock: Clock) -> None:
        self._engine, self._sealing_key, self._clock = engine, sealing_key, clock
        self._running: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()

    def begin(self, key: Key) -> Given | None:
        """Return the answer that was given to this request; None when it is to be carried out, then `end` follows.

        Raises:
            ConflictError: the key was sent with another request, the first is still under way, or its end is unknown.
        """
        place = (key.workspace_id, key.token_id, key.value)
        with self._lock:
            if place in self._running:
                raise ConflictError("The first request with this Idempotency-Key is under way; ask again in a moment.")
            self._running.add(place)
        try:
            given = self._claimed(key)
        except BaseException:
            self._forget_running(place)
            raise
        if given is not None:
            self._forget_running(place)
        return given

    def end(self, key: Key, given: Given | None) -> None:
        """Keep the answer; None, or one that is too long, frees the key."""
        row = _row(key)
        try:
            if given is None or len(given.body) > ANSWER_BYTES_MAX:
                with noting(self._engine) as connection:
                    connection.execute(delete(answers).where(row))
                return
            sealed = self._seal(key, given.body)  # before the transaction: the first key of all is stored by one
            with noting(self._engine) as connection:
                connection.execute(update(answers).where(row).values(status=given.status, answer=sealed))
        finally:
            self._forget_running((key.workspace_id, key.token_id, key.value))

    def leave(self, key: Key) -> None:
        """Let a request go whose end is not known: its key is never carried out again."""
        self._forget_running((key.workspace_id, key.token_id, key.value))

    def _claimed(self, key: Key) -> Given | None:
        now = self._clock()
        with noting(self._engine) as connection:
            connection.execute(delete(answers).where(answers.c.created_at < text_of(now - KEPT_FOR)))
            row = connection.execute(select(answers).where(_row(key))).one_or_none()
            if row is None:
                self._insert(connection, key, now)
                return None
        if row.digest != key.digest:
            raise ConflictError("This Idempotency-Key was sent with another request; use a new key for each request.")
        if row.status is None:
            raise ConflictError(
                "The first request with this Idempotency-Key was cut off, and may have been carried out; "
                "look, and use a new key if it was not."
            )
        return Given(row.status, self._open(key, row.answer))

    def _insert(self, connection: Connection, key: Key, now: datetime) -> None:
        mine = and_(answers.c.workspace_id == key.workspace_id, answers.c.token_id == key.token_id)
        count = connection.execute(select(func.count()).select_from(answers).where(mine)).scalar_one()
        if count >= KEYS_MAX:
            oldest = select(answers.c.idempotency_key).where(mine, answers.c.status.is_not(None))
            chosen = oldest.order_by(answers.c.created_at).limit(count - KEYS_MAX + 1)
            connection.execute(delete(answers).where(mine, answers.c.idempotency_key.in_(chosen)))
        connection.execute(
            insert(answers).values(
                workspace_id=key.workspace_id,
                token_id=key.token_id,
                idempotency_key=key.value,
                digest=key.digest,
                created_at=text_of(now),
            )
        )

    def _seal(self, key: Key, body: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._sealing_key()).encrypt(nonce, body, key.digest.encode())

    def _open(self, key: Key, sealed: bytes) -> bytes:
        try:
            return AESGCM(self._sealing_key()).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key.digest.encode()
            )
        except InvalidTag:
            message = "The stored answer to this Idempotency-Key was altered; use a new key."
            raise ConflictError(message) from None

    def _forget_running(self, place: tuple[str, str, str]) -> None:
        with self._lock:
            self._running.discard(place)


def _row(key: Key) -> ColumnElement[bool]:
    return and_(
        answers.c.workspace_id == key.workspace_id,
        answers.c.token_id == key.token_id,
        answers.c.idempotency_key == key.value,
    )
