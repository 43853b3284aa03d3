"""The audit trail's law, held over every request that the API tests make: one change, one entry; a refusal, none."""

import threading
from contextlib import contextmanager

from sqlalchemy import func, select

from headwater.control.audit.tables import entries

# An account's webhook is taken down before the account or its source changes or goes, and put up again where that
# fails: steps of their own, each of which may be the last.
STEP = "ActiveCampaign Account "
ASKS = ("GET", "HEAD", "OPTIONS")


class Law:
    """Looks at the trail before and after a request; requests that overlap are not judged."""

    def __init__(self, control):
        self._control, self._lock = control, threading.Lock()
        self._open, self._begun = 0, 0

    @contextmanager
    def held(self, method):
        """Yield a list that takes the answer's status."""
        with self._lock:
            self._open += 1
            self._begun += 1
            alone, begun = self._open == 1, self._begun
        before, answers = self._seen() if alone else None, []
        try:
            yield answers
        finally:
            with self._lock:
                self._open -= 1
                alone = alone and self._begun == begun
        if alone and answers:
            self._judge(method, answers[0], before, self._seen())

    def _seen(self):
        with self._control._engine.connect() as connection:
            return connection.execute(select(func.max(entries.c.seq))).scalar() or 0

    def _judge(self, method, status, before, after):
        told = self._newest(after - before)
        deeds = [type_ for type_, _ in told if not type_.startswith(STEP)]
        if method in ASKS or status >= 400:
            assert not deeds, f"{method} that answered {status} left {told}"
        assert len(deeds) <= 1, f"{method} left {told}"

    def _newest(self, count):
        newest = select(entries.c.type, entries.c.actor_name).order_by(entries.c.seq.desc()).limit(count)
        with self._control._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(newest)]
