"""What is known of each connection's webhook, kept over restarts: one row a connection."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from headwater import sqlite
from headwater.sources.activecampaign.connection.silence import Silence
from headwater.sources.activecampaign.connection.states import WebhookState

_SCHEMA: Final = "create table if not exists health (connection text primary key, body blob not null) without rowid"

_log = structlog.get_logger()


class Untracked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recent campaign in which ActiveCampaign does not measure opens or clicks."""

    campaign_id: str
    name: str
    opens: bool = False
    links: bool = False


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a connection's webhook is.

    Attributes:
        base: the account that `webhook_id` is of.
        webhook_id: as ActiveCampaign numbers it, "" where there is none.
        webhook: as last found, after putting it right.
        complaint: why that failed, or why nobody could look; a sentence, "" otherwise.
        refused: the key was refused at the last look.
        wish: tells whether another webhook was wanted at the last look.
        blind: why campaigns cannot be read, so that silence is not noticed, "" otherwise.
        checked_at: of the last look that got an answer.
        repairs: how often something was put right that had been right before.
        refused_events: types of webhooks that ActiveCampaign does not take.
        silence: see there.
        untracked: newest first, bounded.
    """

    base: str = ""
    webhook_id: str = ""
    webhook: WebhookState = WebhookState.UNKNOWN
    complaint: str = ""
    refused: bool = False
    wish: str = ""
    blind: str = ""
    checked_at: datetime | None = None
    repairs: int = 0
    refused_events: tuple[str, ...] = ()
    silence: Silence = Silence()
    untracked: tuple[Untracked, ...] = ()


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Health).decode


class Healths:
    """The file. What it holds can be found out again, so an unreadable row or a full disk stops nothing."""

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        self._connection = sqlite.connect(path)
        self._connection.execute(_SCHEMA)

    def get(self, connection_id: str) -> Health:
        """Return what is known, nothing at first."""
        row = self._connection.execute("select body from health where connection = ?", (connection_id,)).fetchone()
        if row is None:
            return Health()
        try:
            return _decode(row[0])
        except msgspec.MsgspecError:
            _log.warning("connection.health_unreadable", connection_id=connection_id)
            return Health()

    def put(self, connection_id: str, health: Health) -> None:
        """Keep what is known."""
        self._change("insert or replace into health values (?, ?)", (connection_id, _encode(health)))

    def forget(self, connection_id: str) -> None:
        """Keep nothing of a connection that is gone."""
        self._change("delete from health where connection = ?", (connection_id,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _change(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite.Error as error:
            _log.warning("connection.health_not_kept", connection_id=values[0], error=type(error).__name__)
