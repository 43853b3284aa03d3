"""What is wrong now and was, and which messages about it are still to be sent; SQLite, written by one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from headwater import sqlite
from headwater.alerts.judging import Verdict
from headwater.alerts.rules import CARDS, Kind, Rule

FILE: Final = "alerts.sqlite"
BEGAN: Final = "began"
WORSE: Final = "worse"
ENDED: Final = "ended"
ATTEMPTS_MAX: Final = 8  # ours: with the pauses below, about a day
_PAUSES_S: Final = (30, 120, 600, 1_800, 3_600, 4 * 3_600, 12 * 3_600)
_KEPT_S: Final = 90 * 86_400.0  # ours: as long as the audit trail is shown
_PAGE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is or was wrong; times in epoch seconds.

    Attributes:
        ended_at: None while it lasts.
        unsent: messages about it that could not be sent, or not yet.
        error: why not; "" where all were sent.
    """

    id: int
    workspace_id: str
    rule_id: str
    kind: Kind
    subject_id: str
    subject: str
    text: str
    step: int
    began_at: float
    ended_at: float | None
    unsent: int = 0
    error: str = ""

    @property
    def title(self) -> str:
        """What kind of thing it is, in words."""
        return CARDS[self.kind].title


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one channel that has not been sent.

    Attributes:
        deed: `BEGAN`, `WORSE` or `ENDED`.
        attempts: that failed.
    """

    id: int
    channel_id: str
    deed: str
    text: str
    attempts: int
    alert: Alert


_ALERT: Final = "id, workspace_id, rule_id, kind, subject_id, subject, text, step, began_at, ended_at"
_OF_ALERT: Final = ", ".join(f"alerts.{name.strip()}" for name in _ALERT.split(","))


class Book:
    """The alerts of all workspaces; may be used from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite.connect(path)
        self._connection.executescript(resources.files("headwater.alerts").joinpath("book.sql").read_text())
        self._lock = threading.Lock()

    def open_ones(self, workspace_id: str) -> list[Alert]:
        """Return what is wrong in a workspace, the newest first."""
        return self._alerts("workspace_id = ? and ended_at is null", workspace_id)

    def page(self, workspace_id: str, before: int | None = None, count: int = 100) -> list[Alert]:
        """Return what is and was wrong, the newest first, below the id `before`."""
        return self._alerts("workspace_id = ? and id < ?", workspace_id, before or 2**62, count=count)

    def begin(self, rule: Rule, verdict: Verdict, channels: Sequence[str], now: float) -> None:
        """Note that something is wrong, and a message for each channel, in one commit."""
        with self._lock, sqlite.transaction(self._connection):
            made = self._connection.execute(
                "insert into alerts (workspace_id, rule_id, kind, subject_id, subject, text, step, began_at)"
                " values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
                (
                    rule.workspace_id,
                    rule.id,
                    str(rule.kind),
                    verdict.subject_id,
                    verdict.subject,
                    verdict.text,
                    verdict.step,
                    now,
                ),
            )
            if made.rowcount:
                self._write(made.lastrowid, BEGAN, verdict.text, channels, now)

    def worsen(self, alert: Alert, verdict: Verdict, channels: Sequence[str], now: float) -> None:
        """Note that it has become graver, and a further message for each channel."""
        with self._lock, sqlite.transaction(self._connection):
            self._set(alert, verdict)
            self._write(alert.id, WORSE, verdict.text, channels, now)

    def renew(self, alert: Alert, verdict: Verdict) -> None:
        """Note the newest figures; nobody is told."""
        with self._lock, sqlite.transaction(self._connection):
            self._set(alert, verdict)

    def end(self, alert: Alert, channels: Sequence[str], now: float) -> None:
        """Note that it is over; who was told that it began is told that it ended.

        Args:
            alert: lasts.
            channels: that are to be told; () where what it is about is gone or nobody wants to know any more.
            now: epoch seconds.
        """
        with self._lock, sqlite.transaction(self._connection):
            self._connection.execute("update alerts set ended_at = ? where id = ?", (now, alert.id))
            told = self._connection.execute(
                "select distinct channel_id from messages where alert_id = ? and sent_at is not null", (alert.id,)
            )
            to_tell = [channel for (channel,) in told if channel in channels]
            self._connection.execute("delete from messages where alert_id = ? and sent_at is null", (alert.id,))
            self._write(alert.id, ENDED, alert.text, to_tell, now)

    def due(self, now: float, count: int = 50) -> list[Message]:
        """Return messages that are to be tried now, the oldest first."""
        with self._lock:
            rows = self._connection.execute(
                f"select messages.id, channel_id, deed, messages.text, attempts, {_OF_ALERT} from messages"  # noqa: S608
                " join alerts on alerts.id = alert_id where sent_at is null and next_at <= ? and attempts < ?"
                " order by messages.id limit ?",
                (now, ATTEMPTS_MAX, count),
            ).fetchall()
        return [
            Message(identity, channel_id, deed, text, attempts, _alert(alert))
            for identity, channel_id, deed, text, attempts, *alert in rows
        ]

    def sent(self, message: Message, now: float) -> None:
        """Note that a message was taken."""
        with self._lock, sqlite.transaction(self._connection):
            self._connection.execute("update messages set sent_at = ?, error = '' where id = ?", (now, message.id))

    def failed(self, message: Message, why: str, now: float) -> None:
        """Note that a message was not taken; it is tried again later, up to `ATTEMPTS_MAX` times."""
        pause_s = _PAUSES_S[min(message.attempts, len(_PAUSES_S) - 1)]
        with self._lock, sqlite.transaction(self._connection):
            self._connection.execute(
                "update messages set attempts = attempts + 1, next_at = ?, error = ? where id = ?",
                (now + pause_s, why[:500], message.id),
            )

    def drop(self, message: Message) -> None:
        """Forget a message whose channel is gone."""
        with self._lock, sqlite.transaction(self._connection):
            self._connection.execute("delete from messages where id = ?", (message.id,))

    def forget(self, now: float) -> None:
        """Forget what ended long ago."""
        with self._lock, sqlite.transaction(self._connection):
            self._connection.execute("delete from alerts where ended_at < ?", (now - _KEPT_S,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _set(self, alert: Alert, verdict: Verdict) -> None:
        change = "update alerts set text = ?, step = ?, subject = ? where id = ?"
        self._connection.execute(change, (verdict.text, verdict.step, verdict.subject, alert.id))

    def _write(self, alert_id: int, deed: str, text: str, channels: Sequence[str], now: float) -> None:
        self._connection.executemany(
            "insert into messages (alert_id, channel_id, deed, text, next_at) values (?, ?, ?, ?, ?)",
            [(alert_id, channel, deed, text, now) for channel in channels],
        )

    def _alerts(self, condition: str, *values: object, count: int = _PAGE_MAX) -> list[Alert]:
        of_messages = "from messages where alert_id = alerts.id and sent_at is null"
        with self._lock:
            rows = self._connection.execute(
                f"select {_ALERT}, (select count(*) {of_messages}), coalesce((select max(error) {of_messages}), '')"  # noqa: S608
                f" from alerts where {condition} order by id desc limit ?",
                (*values, min(count, _PAGE_MAX)),
            ).fetchall()
        return [_alert(row) for row in rows]


def _alert(row: Sequence[object]) -> Alert:
    identity, workspace_id, rule_id, kind, *rest = row
    return Alert(identity, workspace_id, rule_id, Kind(str(kind)), *rest)  # type: ignore[arg-type] # as the columns are
