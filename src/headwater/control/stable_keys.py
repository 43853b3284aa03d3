"""Keys that outlive SECRET_KEY: what is hashed or signed with them still matches after a rotation.

Each is random, made when it is first asked for, and stored sealed; a rotation only seals it anew.
"""

from __future__ import annotations

import base64
import os
from typing import Final

from sqlalchemy import Column, Engine, String, Table, Text, select
from sqlalchemy.dialects.sqlite import insert

from headwater.clock import Clock
from headwater.control.database import noting
from headwater.control.moments import text_of
from headwater.control.schema import UNAUDITED, metadata
from headwater.control.secrets import SecretBox

_KEY_BYTES: Final = 32
_FIELD: Final = "sealed"

stable_keys = Table(
    "stable_keys",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    info=UNAUDITED,
)


class StableKeys:
    """Gives each purpose its key; the same one in every process and for ever."""

    def __init__(self, engine: Engine, box: SecretBox, clock: Clock) -> None:
        self._engine, self._box, self._clock = engine, box, clock
        self._known: dict[str, bytes] = {}

    def get(self, purpose: str) -> bytes:
        """Return the 32 bytes of a purpose.

        Raises:
            ConfigError: it was sealed with a SECRET_KEY that is not there.
        """
        if purpose not in self._known:
            self._known[purpose] = self._stored(purpose)
        return self._known[purpose]

    def _stored(self, purpose: str) -> bytes:
        wanted = select(stable_keys.c.sealed).where(stable_keys.c.id == purpose)
        with self._engine.connect() as connection:
            sealed = connection.execute(wanted).scalar()
        if sealed is None:
            with noting(self._engine) as connection:
                made = base64.b64encode(os.urandom(_KEY_BYTES)).decode()
                row = {
                    "id": purpose,
                    _FIELD: self._box.seal(purpose, _FIELD, made),
                    "created_at": text_of(self._clock()),
                }
                connection.execute(insert(stable_keys).values(row).on_conflict_do_nothing())
                sealed = connection.execute(wanted).scalar_one()
        return base64.b64decode(self._box.open(purpose, _FIELD, sealed))
