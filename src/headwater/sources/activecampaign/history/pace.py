"""When back-fills and reconciliations do what: all waits in one place, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Ours, all of them.

    Attributes:
        every_s: from one scheduled reconciliation to the next, up to a tenth later so that accounts spread.
        grace_s: webhooks come within seconds; what is missing after so long is taken for lost.
        steady_s: a ledger that has not changed for so long has taken what was put into the inbox.
        settle_s: but it is not waited for longer than this: live events may never rest.
        retry_s, retry_max_s: after a failure; doubles with each one in a row.
    """

    every_s: float = 3600.0
    grace_s: float = 20.0
    steady_s: float = 5.0
    settle_s: float = 60.0
    retry_s: float = 5.0
    retry_max_s: float = 300.0
